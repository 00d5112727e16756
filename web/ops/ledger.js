// The ledger, browsed: a recording, its chunks, the object that holds each, and the bytes.
import { html, nothing, render } from "lit-html";
import { inWords } from "./figures.js";
import { ask, askBytes } from "./server.js";

const ROWS = 20;
const BYTES_SHOWN = 256;
const RECORDING_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export class LedgerView {
  constructor(root, form) {
    this.root = root;
    this.form = form;
    this.state = {};
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      location.hash = address(form.elements.id.value.trim(), Number(form.elements.from.value) || 0);
    });
    addEventListener("hashchange", () => this.follow());
    this.follow();
  }

  // The address says what is looked at, so that a look can be sent to somebody.
  async follow() {
    const asked = new URLSearchParams(location.hash.slice(1));
    const id = asked.get("recording") ?? asked.get("chunk_id");
    if (!id) {
      await this.#listRecordings();
      return;
    }
    const from = Number(asked.get("from")) || 0;
    this.form.elements.id.value = id;
    this.form.elements.from.value = from;
    this.state = { id, from, places: [], isLoading: true };
    this.#show();
    await this.#load(asked.has("recording") ? `/api/ops/recordings/${encodeURIComponent(id)}/places?limit=${ROWS}&from=${from}`
      : `/api/ops/loose?chunk_id=${encodeURIComponent(id)}`);
    if (this.state.places.length === 1) await this.#open(this.state.places[0]);
  }

  async #listRecordings(cursor) {
    try {
      const page = await ask(`/api/recordings?limit=${ROWS}${cursor ? `&cursor=${cursor}` : ""}`);
      this.state = { recordings: [...(cursor ? this.state.recordings : []), ...page.recordings], nextCursor: page.next_cursor };
    } catch (failure) {
      this.state = { problem: failure.message };
    }
    this.#show();
  }

  async #load(path) {
    try {
      const page = await ask(path);
      this.state.places.push(...page.places);
      Object.assign(this.state, { nextCursor: page.next_cursor, problem: undefined });
    } catch (failure) {
      this.state.problem = failure.message;
    }
    this.state.isLoading = false;
    this.#show();
  }

  // One chunk: whether its object is there, who else lies in it, and what its bytes are.
  async #open(place) {
    this.state.opened = { place };
    this.#show();
    const opened = this.state.opened;
    const note = (name) => (failure) => { opened[name] = failure.message; };
    await Promise.all([
      ask(`/api/ops/objects/${place.object_id}`).then((object) => { opened.object = object; }, note("objectProblem")),
      askBytes(bytesOf(place)).then((bytes) => { opened.bytes = bytes; }, note("bytesProblem")),
    ]);
    this.#show();
    document.getElementById("opened")?.focus();
  }

  #show() {
    const { recordings, places, problem, nextCursor, isLoading, id } = this.state;
    render(html`
      ${problem ? html`<p class="problem" role="alert">${problem}</p>` : nothing}
      ${recordings ? this.#recordings(recordings, nextCursor) : nothing}
      ${places ? html`<p><a href="#ledger">All recordings</a></p>` : nothing}
      ${this.state.opened ? this.#opened(this.state.opened) : nothing}
      ${places?.length ? this.#places(id, places, nextCursor) : nothing}
      ${isLoading ? html`<p class="soft">Looking…</p>` : nothing}
      ${places && !places.length && !isLoading && !problem ? html`<p class="soft">No chunk of it is held from there on.</p>` : nothing}
    `, this.root);
  }

  #recordings(recordings, nextCursor) {
    if (!recordings.length) return html`<p class="soft">Nobody has recorded yet.</p>`;
    return html`<div class="scroll" tabindex="0"><table data-testid="ops-recordings">
      <caption>Recordings, newest first</caption>
      <thead><tr><th>Recording</th><th>State</th><th class="number">Chunks</th><th class="number">Size</th><th class="number">Wanted</th><th>Started</th></tr></thead>
      <tbody>${recordings.map((recording) => html`<tr>
        <td data-label="Recording"><a href="#${address(recording.recording_id, 0)}"><code>${recording.recording_id}</code></a><span class="soft">${recording.title ?? ""}</span></td>
        <td data-label="State">${recording.state}</td><td class="number" data-label="Chunks">${recording.chunk_count.toLocaleString()}</td>
        <td class="number" data-label="Size">${inWords.bytes(recording.byte_count)}</td><td class="number" data-label="Wanted">${recording.wanted_count || ""}</td>
        <td data-label="Started">${inWords.time(recording.started_at)}</td></tr>`)}</tbody></table></div>
      ${more(nextCursor, () => this.#listRecordings(nextCursor))}`;
  }

  #places(id, places, nextCursor) {
    return html`<div class="scroll" tabindex="0"><table data-testid="places">
      <caption>Where the chunks of ${id} lie</caption>
      <thead><tr><th class="number">Chunk</th><th class="number">Run</th><th>State</th><th class="number">Size</th><th>Object</th><th class="number">From byte</th><th>Read back</th></tr></thead>
      <tbody>${places.map((place) => html`<tr data-chunk=${place.chunk_index}>
        <td class="number" data-label="Chunk"><button class="linklike" @click=${() => this.#open(place)} aria-label="Chunk ${place.chunk_index}: object and bytes">${place.chunk_index}</button></td>
        <td class="number" data-label="Run">${place.run}</td>
        <td data-label="State"><span class="mark" data-kind=${place.state === "stored" ? "good" : "alarm"}>${place.state}</span></td>
        <td class="number" data-label="Size">${inWords.bytes(place.size)}</td><td data-label="Object"><code>${place.object_key}</code></td>
        <td class="number" data-label="From byte">${place.object_offset.toLocaleString()}</td>
        <td data-label="Read back">${place.verified_at ? inWords.time(place.verified_at) : html`<span class="soft">not yet</span>`}</td></tr>`)}</tbody></table></div>
      ${more(nextCursor, () => this.#load(`/api/ops/recordings/${id}/places?limit=${ROWS}&cursor=${nextCursor}`))}`;
  }

  #opened({ place, object, objectProblem, bytes, bytesProblem }) {
    const others = object?.chunks.filter((other) => other.recording_id !== place.recording_id || other.chunk_index !== place.chunk_index) ?? [];
    return html`<div class="detail" id="opened" tabindex="-1" data-testid="opened-chunk">
      <h3>Chunk ${place.chunk_index} of <code>${place.chunk_id ?? place.recording_id}</code></h3>
      <dl class="facts facts-long">
        <dt>SHA-256</dt><dd><code>${place.sha256}</code></dd>
        <dt>Acknowledged</dt><dd>${inWords.time(place.acknowledged_at)}</dd>
        <dt>Object</dt><dd><code>${place.object_key}</code>, ${place.size.toLocaleString()} bytes from ${place.object_offset.toLocaleString()}</dd>
        <dt>In the bucket</dt><dd>${presence(object, objectProblem)}</dd>
        <dt>Lies with</dt><dd>${object ? neighbours(others) : "…"}</dd>
        <dt>Bytes</dt><dd>${bytesProblem ? html`<span class="problem">${bytesProblem}</span>`
          : bytes ? html`<span class="mark">${bytes.length.toLocaleString()}, their digest is right</span> · <a href=${bytesOf(place)}>save them</a>` : "…"}</dd>
      </dl>
      ${bytes ? html`<pre tabindex="0" aria-label="The first bytes">${dump(bytes.subarray(0, BYTES_SHOWN))}</pre>` : nothing}
    </div>`;
  }
}

const address = (id, from) => new URLSearchParams(RECORDING_ID.test(id) ? { recording: id, from } : { chunk_id: id }).toString();
const bytesOf = (place) =>
  place.chunk_id ? `/api/chunks/${encodeURIComponent(place.chunk_id)}` : `/api/recordings/${place.recording_id}/chunks/${place.chunk_index}`;
const more = (cursor, load) => (cursor ? html`<div class="actions"><button class="button button-small" @click=${load}>More</button></div>` : nothing);

function presence(object, problem) {
  if (problem) return html`<span class="problem">${problem}</span>`;
  if (!object) return "…";
  if (object.size_in_bucket === null) return html`<span class="mark" data-kind="alarm" data-testid="object-gone">gone: an audit will ask for its chunks again</span>`;
  if (object.size_in_bucket !== object.size) return html`<span class="mark" data-kind="alarm">${object.size_in_bucket} bytes, expected ${object.size}</span>`;
  return html`<span class="mark">${object.size.toLocaleString()} bytes, ${object.state}</span>`;
}

function neighbours(others) {
  if (!others.length) return html`<span class="soft">nobody: the object is its own</span>`;
  const recordings = new Set(others.map((other) => other.recording_id)).size;
  return `${others.length} other ${others.length === 1 ? "chunk" : "chunks"} of ${recordings} ${recordings === 1 ? "recording" : "recordings"}`;
}

function dump(bytes) {
  const lines = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = [...bytes.subarray(at, at + 16)];
    const hex = row.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const shown = row.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".")).join("");
    lines.push(`${at.toString(16).padStart(4, "0")}  ${hex.padEnd(47)}  ${shown}`);
  }
  return lines.join("\n");
}
