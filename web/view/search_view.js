// What the person looks for in the list: words, a state, days. Rows that are here are looked through in the page, and
// the server is asked the same, so that a recording is found however old it is.
import { texts } from "../texts.js";
import { titleOf, whenOf } from "./row_view.js";

// What a choice means: states of rows, and those of the server's list.
const CHOICES = {
  complete: { rows: ["complete"], server: ["complete"] },
  unfinished: { rows: ["recording", "saved", "uploading", "uploaded", "verified", "elsewhere"], server: ["open"] },
  problem: { rows: ["parked", "stalled", "damaged"], server: ["stalled", "damaged"] },
};

export class SearchView {
  // `onChange()` is told when something else is sought.
  constructor({ search, filter, onChange }) {
    Object.assign(this, { search, filter });
    this.part = (name) => filter.querySelector(`.filter-${name}`);
    this.part("state").append(...["", ...Object.keys(CHOICES)].map((name) => new Option(texts.filter.states[name || "any"], name)));
    const change = () => {
      this.#read();
      onChange();
    };
    search.oninput = filter.oninput = change;
    this.part("clear").onclick = () => {
      this.clear();
      change();
      filter.querySelector("summary").focus();
    };
    this.#read();
  }

  // Also what a browser has filled in again after a reload.
  #read() {
    this.words = this.search.value.trim().toLocaleLowerCase();
    this.choice = CHOICES[this.part("state").value] ?? null;
    // Two days in the wrong order mean the time between them all the same.
    const [first, last] = [this.part("from").value, this.part("to").value];
    const [from, to] = first && last && last < first ? [last, first] : [first, last];
    this.fromMs = new Date(`${from}T00:00`).getTime() || null; // none: not a number
    this.beforeMs = new Date(`${to}T00:00`).setHours(24) || null;
    this.isFiltered = Boolean(this.choice || from || to);
    this.filter.dataset.on = this.isFiltered;
    this.part("clear").hidden = !this.isFiltered;
  }

  clear() {
    this.search.value = "";
    for (const name of ["state", "from", "to"]) this.part(name).value = "";
  }

  get isAny() {
    return Boolean(this.words) || this.isFiltered;
  }

  // For the worker, without what is not asked: a null of JavaScript is no None there.
  get message() {
    return {
      query: this.words,
      states: this.choice?.server ?? [],
      ...(this.fromMs && { startedFromMs: this.fromMs }),
      ...(this.beforeMs && { startedBeforeMs: this.beforeMs }),
    };
  }

  has(row) {
    if (this.choice && !this.choice.rows.includes(row.state)) return false;
    if (row.startedAtMs < (this.fromMs ?? -Infinity) || row.startedAtMs >= (this.beforeMs ?? Infinity)) return false;
    const words = `${titleOf(row)} ${whenOf(row)} ${texts.row[row.state] ?? ""} ${row.recordingId}`;
    return words.toLocaleLowerCase().includes(this.words);
  }
}
