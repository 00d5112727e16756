// The list of recordings: one row each, kept and changed in place, so that focus and scroll stay where they are.
import { texts } from "../texts.js";

const when = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

export function showRecordings(list, recordings, liveId) {
  const rows = new Map([...list.children].map((row) => [row.dataset.recordingId, row]));
  recordings.forEach((recording, index) => {
    const row = rows.get(recording.recordingId) ?? makeRow(recording.recordingId);
    rows.delete(recording.recordingId);
    if (list.children[index] !== row) list.insertBefore(row, list.children[index] ?? null);
    const shown = JSON.stringify(recording);
    if (row.shown === shown) return;
    row.shown = shown;
    fill(row, recording, recording.isLive && recording.recordingId !== liveId);
  });
  for (const row of rows.values()) row.remove();
}

function makeRow(recordingId) {
  const row = document.getElementById("row").content.firstElementChild.cloneNode(true);
  row.dataset.recordingId = recordingId;
  return row;
}

function fill(row, recording, isElsewhere) {
  const part = (name) => row.querySelector(`.row-${name}`);
  const started = when.format(recording.startedAtMs);
  const title = recording.title || started;
  row.dataset.state = recording.state;
  part("title").textContent = title;
  part("facts").textContent = [recording.title ? started : "", texts.rowSizes(recording)].filter(Boolean).join(" · ");
  part("state").textContent = isElsewhere ? texts.live : (texts.row[recording.state] ?? recording.state);
  const problem = recording.problem || (recording.chunksParked ? texts.parked(recording.chunksParked) : "");
  part("problem").textContent = problem;
  part("problem").hidden = problem === "";
  part("bar").value = recording.chunksAcknowledged / Math.max(1, recording.chunksSealed);
  part("bar").hidden = recording.state !== "uploading";
  part("delete").disabled = recording.isLive || recording.state === "deleting";
  part("delete").setAttribute("aria-label", texts.deleteLabel(title));
}
