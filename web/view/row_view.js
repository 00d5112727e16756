// One row of the list.
import { html, nothing } from "lit-html";
import { duration, texts } from "../texts.js";
import { peaksOf } from "./peaks.js";

const POSTER_AGAIN_MS = { min: 10_000, max: 600_000 };
const when = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
export const whenOf = (row) => when.format(row.startedAtMs);
export const titleOf = (row) => row.title || whenOf(row);

export function rowTemplate(row, { position, total, isElsewhere, isEdited, act, endEdit }) {
  const title = titleOf(row);
  const isGoing = row.state === "deleting";
  const problem = row.problem || (row.chunksParked ? texts.parked(row.chunksParked) : "") || (row.mediaNote ?? "");
  const facts = [row.title ? whenOf(row) : "", row.durationMs ? duration(row.durationMs) : "", texts.rowSizes(row)];
  const state = isElsewhere ? texts.live : (texts.row[row.state] ?? row.state);
  const button = (name, icon, label, isDisabled = false) => html`
    <button type="button" class="row-button" data-act=${name} data-testid=${name} aria-label=${label} title=${label}
      ?disabled=${isDisabled} @click=${() => act(name, row)}>${picture(icon)}</button>`;
  return html`
    <article class="row" role="listitem" aria-posinset=${position} aria-setsize=${total}
      data-recording-id=${row.recordingId} data-state=${row.state}>
      <button type="button" class="row-play" data-act="play" data-testid="play" aria-label=${texts.act.play(title)}
        title=${texts.act.play(title)} ?disabled=${!row.play || isGoing || isElsewhere} @click=${() => act("play", row)}>
        ${preview(row, act)}${row.play && !isElsewhere ? picture("play") : nothing}</button>
      <div class="row-words">
        ${isEdited ? titleForm(row, endEdit) : html`<h3 class="row-title">${title}</h3>`}
        <p class="row-facts">${facts.filter(Boolean).join(" · ")}</p>
      </div>
      <p class="row-state">${state}</p>
      <div class="row-buttons">
        ${row.isCertified ? button("certificate", "certificate", texts.act.certificate(title), isGoing) : nothing}
        ${row.play && !isElsewhere ? button("download", "download", texts.act.download(title), isGoing) : nothing}
        ${button("rename", "rename", texts.act.rename(title), isElsewhere || isGoing)}
        ${button("delete", "delete", texts.deleteLabel(title), row.isLive || isGoing)}
      </div>
      ${problem ? html`<p class="row-problem">${problem}</p>` : nothing}
      ${row.chunksParked && !isElsewhere ? html`<p class="row-rescue">
        <button type="button" class="button button-small" data-testid="retry" @click=${() => act("retry", row)}>${texts.act.retry}</button>
        <button type="button" class="button button-small" data-testid="download-held" @click=${() => act("download-held", row)}>${texts.act.downloadHeld}</button>
      </p>` : nothing}
      ${row.state === "uploading" ? html`<progress class="row-bar" max="1" aria-hidden="true"
        .value=${row.chunksAcknowledged / Math.max(1, row.chunksSealed)}></progress>` : nothing}
    </article>`;
}

export const picture = (name) => html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><use href=${`#icon-${name}`}></use></svg>`;

// The server is away: no broken picture meanwhile, and asked for again, ever more seldom.
function missPoster({ target }) {
  target.classList.add("is-missing");
  target.againMs = Math.min(POSTER_AGAIN_MS.max, 2 * target.againMs || POSTER_AGAIN_MS.min);
  setTimeout(() => target.isConnected && target.setAttribute("src", target.getAttribute("src")), target.againMs);
}

// A still, the shape of the sound, or what kind of recording it is.
function preview(row, act) {
  if (row.hasPoster) {
    return html`<img class="row-poster" src=${`/api/recordings/${row.recordingId}/poster`} alt="" loading="lazy"
      @error=${missPoster} @load=${({ target }) => target.classList.remove("is-missing")}>`;
  }
  const shape = row.hasPeaks ? peaksOf(row.recordingId, () => act("refresh", row)) : "";
  if (shape) return html`<svg class="row-peaks" viewBox="0 0 100 40" preserveAspectRatio="none" aria-hidden="true"><path d=${shape}></path></svg>`;
  return row.play ? nothing : picture(row.mimeType?.startsWith("video") ? "camera" : "microphone");
}

function titleForm(row, endEdit) {
  const input = (event) => event.currentTarget.querySelector?.("input") ?? event.currentTarget;
  return html`<form class="row-edit" @submit=${(event) => {
    event.preventDefault();
    endEdit(input(event).value.trim(), true);
  }}><input type="text" maxlength="200" data-testid="title" aria-label=${texts.act.newTitle} .value=${row.title}
    placeholder=${whenOf(row)} @blur=${(event) => endEdit(input(event).value.trim())}
    @keydown=${(event) => event.key === "Escape" && endEdit(null, true)}></form>`;
}
