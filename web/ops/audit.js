// Findings with what to do about them, the last audit, scrub and collect, and buttons that run them.
import { html, render } from "lit-html";
import { inWords } from "./figures.js";
import { ask } from "./server.js";
import { nextSteps, reports } from "./texts.js";

const FINDINGS_SHOWN = 50;
const UNSAID = new Set(["standing", "began_at", "bytes_so_far", "examined_so_far", "deleted_so_far"]);
const LOOKED_AT = new Set(["chunks", "objects", "bytes", "duration_s", "missing"]);
const PASSES = [
  ["audit", "Run an audit", "compares the whole bucket with the ledger"],
  ["scrub", "Run a scrub", "reads bytes back and checks their digests"],
  ["collect", "Run a collect", "removes from the bucket what nothing needs any more"],
];

export class AuditView {
  constructor(root) {
    this.root = root;
    this.running = new Set();
    this.problems = new Map();
    this.reports = {};
    this.findings = [];
    this.counts = {};
  }

  // `counts`: unresolved findings by kind.
  async refresh(counts) {
    this.counts = counts;
    await Promise.all([
      ...PASSES.map(async ([name]) => {
        this.reports[name] = await ask(`/api/${name}`).catch(() => this.reports[name]);
      }),
      ask(`/api/findings?limit=${FINDINGS_SHOWN}`).then(
        (page) => { this.findings = page.findings ?? []; },
        () => {},
      ),
    ]);
    this.#show();
  }

  async #run(name) {
    this.running.add(name);
    this.problems.delete(name);
    this.#show();
    try {
      this.reports[name] = await ask(`/api/${name}`, { method: "POST" });
    } catch (failure) {
      this.problems.set(name, failure.message);
    }
    this.running.delete(name);
    await this.refresh(this.counts);
  }

  #show() {
    const kinds = Object.entries(this.counts);
    render(html`
      ${kinds.length ? html`<dl class="facts facts-long" data-testid="finding-kinds">${kinds.map(([kind, count]) => html`
        <dt><span class="mark" data-kind=${kind === "orphan" ? "wait" : "alarm"}>${count.toLocaleString()} ${kind}</span></dt>
        <dd>${nextSteps[kind] ?? ""}</dd>`)}</dl>` : html`<p class="mark">No unresolved findings.</p>`}
      <div class="actions">${PASSES.map(([name, label, what]) => html`
        <button class="button button-small" data-testid="run-${name}" ?disabled=${this.#isRunning(name)} title=${what}
          @click=${() => this.#run(name)}>${this.#isRunning(name) ? `The ${name} is running…` : label}</button>`)}</div>
      <div role="status">${[...this.problems].map(([name, words]) => html`<p class="problem">The ${name} did not run: ${words}</p>`)}</div>
      <div class="columns">${PASSES.map(([name]) => this.#report(name))}</div>
      ${this.findings.length ? this.#table() : ""}
    `, this.root);
  }

  #isRunning(name) {
    return this.running.has(name) || this.reports[name]?.standing === "running";
  }

  #report(name) {
    const report = this.reports[name];
    return html`<div><h3>Last ${name}</h3>${report?.ended_at ? html`<dl class="facts" data-testid="last-${name}">${listFacts(report).map(([key, value]) => html`
      <dt>${reports[key] ?? key.replaceAll("_", " ")}</dt><dd>${say(key, value)}</dd>`)}</dl>`
      : html`<p class="soft">None has run yet.</p>`}</div>`;
  }

  #table() {
    return html`<div class="scroll" tabindex="0"><table>
      <caption>The newest findings</caption>
      <thead><tr><th>Kind</th><th>Seen</th><th>Recording, chunks</th><th>Object</th><th>What to do</th></tr></thead>
      <tbody>${this.findings.map((finding) => html`<tr>
        <td data-label="Kind"><span class="mark" data-kind=${finding.resolved_at ? "good" : "alarm"}>${finding.kind}${finding.resolved_at ? ", resolved" : ""}</span></td>
        <td class="when" data-label="Seen">${finding.seen_at ? inWords.time(finding.seen_at) : ""}</td>
        <td data-label="Recording">${finding.recording_id ? html`<a href="#recording=${finding.recording_id}&from=${finding.first_chunk_index ?? 0}"><code>${finding.recording_id}</code></a>` : "several"}
          <span class="soft">${range(finding)}</span></td>
        <td data-label="Object">${finding.object_key ? html`<code>${finding.object_key}</code>` : ""}</td>
        <td data-label="What to do">${finding.meaning ?? ""} ${finding.next_step ?? nextSteps[finding.kind]} <span class="soft">${finding.detail ?? ""}</span></td>
      </tr>`)}</tbody></table></div>`;
  }
}

// What was looked at, and what was found: a count of nothing says nothing.
const listFacts = (report) => {
  const keys = [...new Set([...Object.keys(reports), ...Object.keys(report)])];
  return keys.map((key) => [key, key === "held_back" ? listCounts(report[key]) : report[key]])
    .filter(([key, value]) => ["string", "number"].includes(typeof value) && !UNSAID.has(key) && ((value !== 0 && value !== "") || LOOKED_AT.has(key)));
};

const listCounts = (counts) => Object.entries(counts ?? {}).map(([why, count]) => `${count} ${why}`).join(", ");

const say = (key, value) => {
  if (key.endsWith("_at")) return inWords.time(value);
  if (key.endsWith("_s")) return `${value.toLocaleString(undefined, { maximumFractionDigits: 2 })} s`;
  return typeof value === "number" ? value.toLocaleString() : String(value);
};

const range = ({ first_chunk_index: first, last_chunk_index: last, chunk_count: count }) => {
  if (first === null || first === undefined) return count ? `${count} chunks` : "";
  return first === last ? `chunk ${first}` : `chunks ${first} to ${last}`;
};
