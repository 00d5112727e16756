// The list of recordings: one row each, kept and changed in place, so that focus and scroll stay where they are.
import { texts } from "../texts.js";

const when = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

export function showRecordings(list, recordings, liveId) {
  const ids = new Set(recordings.map((recording) => recording.recordingId));
  const rows = new Map();
  for (const row of [...list.children]) {
    // Gone ones first: a row that has to be moved loses the keyboard's focus.
    if (ids.has(row.dataset.recordingId)) rows.set(row.dataset.recordingId, row);
    else row.remove();
  }
  recordings.forEach((recording, index) => {
    const row = rows.get(recording.recordingId) ?? makeRow(recording.recordingId);
    if (list.children[index] !== row) list.insertBefore(row, list.children[index] ?? null);
    const isElsewhere = recording.isLive && recording.recordingId !== liveId;
    const shown = JSON.stringify([recording, isElsewhere]);
    if (row.shown === shown) return;
    row.shown = shown;
    fill(row, recording, isElsewhere);
  });
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
