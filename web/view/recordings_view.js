// The list of recordings: the worker's View and the server's pages as one. Rows stand in blocks; only blocks near what
// is seen have their rows in the document, so thousands of recordings cost no more than a few screens of them.
import { html, nothing, render } from "lit-html";
import { repeat } from "lit-html/directives/repeat.js";
import { texts } from "../texts.js";
import { rowTemplate } from "./row_view.js";

const BLOCK_ROWS = 40;
const ROW_PX = 76; // of a row that was never measured
const MARGIN = "900px 0px"; // blocks this far from what is seen are made ready

export class RecordingsView {
  // `act(name, row)` carries out what a person does to a row; `wantMore()` asks for the server's next page,
  // `seek()` for the recordings that the server finds by what is `sought`.
  constructor({ list, sought, more, empty, act, wantMore, seek }) {
    Object.assign(this, { list, sought, more, empty, act, wantMore, seek });
    this.listed = new Map(); // the server's rows, by recordingId
    this.hasMore = true;
    this.isWaiting = false; // the server does not answer
    this.isAsked = false;
    this.hidden = new Set(); // ids of rows that go unless somebody says Undo
    this.renamed = new Map(); // titles given here, until a row has them
    this.blocks = [];
    this.rows = [];
    this.near = new IntersectionObserver((entries) => this.#onNear(entries), { rootMargin: MARGIN });
    this.end = new IntersectionObserver(([{ isIntersecting }]) => this.#onEnd(isIntersecting), { rootMargin: MARGIN });
  }

  // Something else is sought. Whether the server has more of it is not known before it answers.
  search() {
    if (this.isBegun) this.hasMore = true;
    this.seek();
    this.#arrange();
  }

  // The worker's message `listed`.
  take({ rows, gone, hasMore, isWaiting }) {
    for (const row of rows) this.listed.set(row.recordingId, row);
    for (const id of gone) this.listed.delete(id);
    Object.assign(this, { hasMore, isWaiting, isAsked: isWaiting });
    this.#arrange();
    if (this.isBegun) this.#watchEnd();
  }

  // `unbegunId`: it counts down, and may never be a recording.
  show(recordings, liveId, unbegunId) {
    if (recordings === this.recordings && liveId === this.liveId && unbegunId === this.unbegunId) return;
    Object.assign(this, { recordings, liveId, unbegunId });
    if (!this.isBegun) {
      this.#watchEnd();
      if (this.sought.isAny) this.seek();
    }
    this.isBegun = true;
    this.#arrange();
  }

  // A new worker lists from the beginning. What is here is shown meanwhile.
  restart() {
    Object.assign(this, { hasMore: true, isAsked: false, isBegun: false });
  }

  find(recordingId) {
    return this.rows.find((row) => row.recordingId === recordingId);
  }

  hide(recordingId, isHidden) {
    if (isHidden) this.hidden.add(recordingId);
    else this.hidden.delete(recordingId);
    this.#arrange();
  }

  edit(recordingId) {
    this.editing = recordingId;
    this.#arrange();
    this.list.querySelector(".row-edit input")?.select();
  }

  // `title` is null when the person thought better of it; `isByKey`: the keyboard's place is the row's.
  endEdit(row, title, isByKey = false) {
    if (this.editing !== row.recordingId) return;
    this.editing = null;
    if (title && title !== row.title) {
      this.renamed.set(row.recordingId, title);
      this.act("renamed", { ...row, title });
    }
    this.#arrange();
    if (isByKey) this.list.querySelector(`[data-recording-id="${row.recordingId}"] [data-act="rename"]`)?.focus();
  }

  refresh() {
    this.#arrange();
  }

  #arrange() {
    const here = new Map((this.recordings ?? []).map((row) => [row.recordingId, row]));
    const all = [...here.values(), ...[...this.listed.values()].filter((row) => !here.has(row.recordingId))];
    for (const [index, row] of all.entries()) {
      if (this.renamed.get(row.recordingId) === row.title) this.renamed.delete(row.recordingId);
      else if (this.renamed.has(row.recordingId)) all[index] = { ...row, title: this.renamed.get(row.recordingId) };
    }
    this.rows = all
      .filter((row) => !this.hidden.has(row.recordingId) && row.recordingId !== this.unbegunId && this.sought.has(row))
      .sort((a, b) => b.startedAtMs - a.startedAtMs || (a.recordingId < b.recordingId ? -1 : 1));
    this.#fit();
    this.blocks.forEach((block) => this.#fill(block));
    // Nothing is said to be absent before the last page was looked through.
    this.empty.hidden = this.rows.length > 0 || (this.hasMore && !this.isWaiting);
    const { isAny, words } = this.sought;
    this.empty.textContent = !isAny ? texts.list.nothing : words ? texts.list.noMatch(words) : texts.list.noneThere;
    this.more.hidden = !this.hasMore;
    const looking = isAny ? texts.list.searching(this.listed.size) : this.rows.length ? texts.list.more : texts.list.first;
    this.more.textContent = this.isWaiting ? texts.list.waiting : looking;
  }

  // As many blocks as the rows need.
  #fit() {
    const wanted = Math.ceil(this.rows.length / BLOCK_ROWS);
    while (this.blocks.length > wanted) {
      const gone = this.blocks.pop();
      this.near.unobserve(gone.element);
      gone.element.remove();
    }
    while (this.blocks.length < wanted) {
      const element = document.createElement("div");
      element.className = "rows-block";
      element.role = "presentation";
      this.list.append(element);
      this.blocks.push({ element, index: this.blocks.length, isNear: this.blocks.length === 0, rowPx: ROW_PX });
      this.near.observe(element);
    }
  }

  #onNear(entries) {
    for (const { target, isIntersecting } of entries) {
      const block = this.blocks.find(({ element }) => element === target);
      if (!block) continue;
      block.isNear = isIntersecting || block.index === 0 || target.contains(document.activeElement);
      this.#fill(block);
    }
  }

  #fill(block) {
    const rows = this.rows.slice(block.index * BLOCK_ROWS, (block.index + 1) * BLOCK_ROWS);
    const { element } = block;
    if (!block.isNear) {
      if (element.childElementCount) block.rowPx = element.offsetHeight / element.childElementCount;
      element.style.minHeight = `${block.rowPx * rows.length}px`;
      render(nothing, element);
      return;
    }
    element.style.minHeight = "";
    const total = this.hasMore ? -1 : this.rows.length; // -1: not known yet
    const make = (row, index) => rowTemplate(row, {
      position: block.index * BLOCK_ROWS + index + 1,
      total,
      isElsewhere: row.isLive && row.recordingId !== this.liveId,
      isEdited: row.recordingId === this.editing,
      act: this.act,
      endEdit: (title, isByKey) => this.endEdit(row, title, isByKey),
    });
    render(html`${repeat(rows, (row) => row.recordingId, make)}`, element);
  }

  // An observer speaks only when something changes; looked at anew, it speaks again.
  #watchEnd() {
    this.end.unobserve(this.more);
    this.end.observe(this.more);
  }

  #onEnd(isNear) {
    if (!this.hasMore || this.isAsked || !isNear) return;
    this.isAsked = true;
    this.wantMore();
  }
}
