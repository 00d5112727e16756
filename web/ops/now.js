// What there is at this moment: figures, stores, recordings by state, and the one verdict at the head of the page.
import { html, render } from "lit-html";
import { inWords } from "./figures.js";
import { checks, states } from "./texts.js";

const TILES = [
  ["Receipts", (f) => inWords.rate(f.acks), "a second"],
  ["Half within", (f) => inWords.ms(f.median), "from head to receipt"],
  ["99 % within", (f) => inWords.ms(f.slowest), "from head to receipt"],
  ["Received", (f) => inWords.rate(f.megabytes), "MB a second"],
  ["Packs", (f) => inWords.rate(f.packs), "stored a second"],
  ["Single chunks", (f) => inWords.rate(f.alone), "stored a second"],
  ["Flushes", (f) => inWords.count(f.flushes), "in flight"],
  ["Waiting", (f) => inWords.count(f.waitingBodies), (f) => `bodies, ${inWords.bytes(f.waitingBytes)}`],
  ["Refusals", (f) => inWords.rate(f.refusals), "a second"],
  ["Bucket errors", (f) => inWords.rate(f.bucketErrors), "a second"],
];
const STATES = ["open", "stalled", "complete", "damaged", "deleted"];

export function showNow(overview, figures) {
  if (figures) {
    const tile = ([name, read, unit]) => html`<div><dt>${name}</dt><dd>${read(figures)} <small>${unit.call ? unit(figures) : unit}</small></dd></div>`;
    render(html`${TILES.map(tile)}`, document.getElementById("tiles"));
  }
  render(checksTemplate(overview.checks), document.getElementById("checks"));
  render(recordingsTemplate(overview), document.getElementById("recordings"));
}

let seenAt = ""; // when the server last said how it is

export function showVerdict(overview, failure) {
  if (overview) seenAt = new Date().toLocaleTimeString(undefined, { timeStyle: "medium" });
  const [kind, words] = judge(overview, failure);
  const verdict = document.getElementById("verdict");
  verdict.dataset.kind = kind;
  // Said again only when it changes, or a screen reader would hear it every two seconds.
  if (verdict.textContent !== words) verdict.textContent = words;
}

function judge(overview, failure) {
  if (failure) return ["alarm", seenAt ? `${failure.message}. Below is how it was at ${seenAt}` : failure.message];
  const ill = Object.entries(overview.checks).filter(([, said]) => said !== "ok");
  if (ill.length) return ["alarm", `${ill.map(([name]) => checks[name] ?? name).join(" and ")}: not as it should be`];
  const found = Object.values(overview.findings).reduce((total, count) => total + count, 0);
  const damaged = overview.recordings.damaged ?? 0;
  if (damaged) return ["alarm", `${damaged} ${damaged === 1 ? "recording has" : "recordings have"} lost bytes`];
  if (found) return ["wait", `${found} ${found === 1 ? "finding" : "findings"} to look at`];
  return ["good", "Nothing is at risk"];
}

const checksTemplate = (said) => html`<dl class="facts">${Object.entries(said).map(
  ([name, words]) => html`<dt>${checks[name] ?? name}</dt><dd><span class="mark" data-kind=${words === "ok" ? "good" : "alarm"}>${words}</span></dd>`,
)}</dl>`;

const recordingsTemplate = ({ recordings, unmade, server_version }) => html`<dl class="facts">
  ${STATES.filter((state) => recordings[state]).map((state) => html`<dt>${recordings[state].toLocaleString()} ${state}</dt>
    <dd class="soft">${states[state]}</dd>`)}
  ${unmade ? html`<dt>${unmade.toLocaleString()} being finished</dt><dd class="soft">complete, and their playable file is still to be made</dd>` : ""}
  ${STATES.some((state) => recordings[state]) ? "" : html`<dt>None</dt><dd class="soft">nobody has recorded yet</dd>`}
  <dt class="soft">Server</dt><dd class="soft">${server_version}</dd>
</dl>`;
