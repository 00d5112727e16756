// Deletions wait here for a moment in which Undo takes them back. Nothing has happened until then: a tab that is
// closed in between has deleted nothing.
import { html, render } from "lit-html";
import { texts } from "../texts.js";
import { titleOf } from "./row_view.js";

const DELAY_S = 8;

export class Undo {
  // `hide(recordingId, isHidden)` takes the row away or brings it back; `carryOut(recordingId)` deletes for good.
  constructor({ region, delayS, hide, carryOut, refocus }) {
    Object.assign(this, { region, hide, carryOut, refocus });
    this.delayMs = 1_000 * Number(delayS ?? DELAY_S);
    this.waiting = new Map(); // recordingId -> {row, timer}
  }

  ask(row) {
    const { recordingId } = row;
    if (this.delayMs === 0) return this.carryOut(recordingId);
    this.waiting.set(recordingId, { row, timer: setTimeout(() => this.#end(recordingId, true), this.delayMs) });
    this.hide(recordingId, true);
    this.#show();
    this.region.querySelector(".toast:last-child button").focus();
  }

  #end(recordingId, isDeleted) {
    const { timer } = this.waiting.get(recordingId);
    clearTimeout(timer);
    const hadFocus = this.region.contains(document.activeElement);
    this.waiting.delete(recordingId);
    if (isDeleted) this.carryOut(recordingId);
    this.hide(recordingId, false);
    this.#show();
    if (hadFocus) this.refocus(isDeleted ? null : recordingId);
  }

  #show() {
    const toasts = [...this.waiting.values()].map(({ row }) => html`
      <div class="toast" data-testid="toast">
        <p>${texts.undo.words(titleOf(row))}</p>
        <button type="button" class="button button-small" data-testid="undo" @click=${() => this.#end(row.recordingId, false)}>${texts.undo.button}</button>
      </div>`);
    render(html`${toasts}`, this.region);
  }
}
