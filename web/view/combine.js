// One flat picture from the worker's last View and what the shim itself knows. The shim is ahead of the worker in
// what was captured, and it knows durable slices from the worker's own word, so the larger count is the true one.
import { bytes, texts } from "../texts.js";

const UNSAVED_MS_CALM = 2_000; // a slice is saved within milliseconds; this long says that something holds it up

export function combine(state, recorder) {
  const { view } = state;
  const { held } = recorder;
  const told = view?.current ?? null;
  const current = held && told?.recordingId !== held.recordingId ? null : told;
  const page = {
    state: pageState(state, recorder),
    recordingId: held?.recordingId ?? current?.recordingId ?? "",
    captured: Math.max(held?.captured ?? 0, current?.slicesCaptured ?? 0),
    durable: Math.max(held?.durable ?? 0, current?.slicesDurable ?? 0),
    bytes: Math.max(held?.bytesCaptured ?? 0, current?.bytesCaptured ?? 0),
    sealed: current?.chunksSealed ?? 0,
    acknowledged: current?.chunksAcknowledged ?? 0,
    verified: current?.chunksVerified ?? 0,
    cleared: current?.chunksCleared ?? 0,
    isPaused: recorder.isPaused,
    isOnline: view?.isOnline ?? navigator.onLine,
    isRecovering: view?.isRecovering ?? false,
    oldestUnsavedMs: held?.oldestAgeMs() ?? 0,
    elapsedMs: recorder.elapsedMs(),
    countdownS: recorder.run?.countdownS ?? 0,
    liveId: held?.recordingId ?? "",
    offlineUse: state.offlineUse,
  };
  page.failure = page.state === "failed" ? state.failure || state.view.alarm : "";
  page.alarm = page.failure ? "" : alarm(state, recorder);
  page.isFileOffered = page.alarm !== "" && page.oldestUnsavedMs > UNSAVED_MS_CALM;
  [page.verdictKind, page.verdict] = verdict(page, view, recorder);
  const network = page.isOnline ? (view?.server ?? "") : texts.offline;
  // Nobody is asked to close a tab that records.
  page.calm = [network, state.isNextBuildHere && !held ? texts.nextBuild : ""].filter(Boolean).join(" ");
  page.earlier = earlier(view?.recordings ?? [], page.recordingId);
  [page.serverKind, page.serverWords] = server(page, view);
  return page;
}

// What other days and tabs left on this device and is on its way, together.
function earlier(rows, recordingId) {
  const underWay = rows.filter((row) => !row.isLive && row.recordingId !== recordingId && ["saved", "uploading", "uploaded"].includes(row.state));
  const sum = (count) => underWay.reduce((total, row) => total + row[count], 0);
  return { recordings: underWay.length, chunks: sum("chunksSealed"), done: sum("chunksVerified") };
}

function pageState(state, recorder) {
  // A worker that is dead or only starting knows nothing: what the former said last counts no more.
  const told = state.failure ? "failed" : state.worker === "new" ? "loading" : (state.view?.state ?? "loading");
  if (!recorder.held || (told !== "failed" && told !== "loading")) return told;
  return state.isStopWanted ? "stopping" : "recording";
}

// A loss of protection, the gravest first.
function alarm(state, { problem, held }) {
  if (state.isFull) return texts.alarm.full(bytes(held.bytesHeld));
  if (held && state.worker === "new") return texts.alarm.newWorker;
  if (held && state.worker === "silent") return texts.alarm.silentWorker;
  if (problem === "silent") return texts.alarm.silentRecorder;
  if (problem === "lost") return texts.alarm.lost;
  if (state.view?.alarm) return state.view.alarm;
  return problem === "track-ended" ? texts.alarm.trackEnded : "";
}

// At a glance whether the tab may be closed, and why. It never comforts while an alarm stands above it.
function verdict(page, view, recorder) {
  const { held } = recorder;
  if (page.state === "loading" || page.state === "failed") return ["none", ["", ""]];
  if (page.countdownS) return ["", texts.verdict.countdown];
  if (recorder.isCapturing && !recorder.run.recorder) return ["", texts.verdict.asking];
  const unsaved = page.captured - page.durable;
  const isHeldUp = page.state !== "recording" || page.oldestUnsavedMs > UNSAVED_MS_CALM;
  if (unsaved > 0 && isHeldUp) return ["wait", texts.verdict.wait(unsaved, page.oldestUnsavedMs)];
  if (page.alarm) return ["none", ["", ""]];
  if (held) return ["safe", page.isPaused ? texts.verdict.paused : texts.verdict.safeSoFar];
  if (page.isRecovering) return ["safe", texts.verdict.recovering];
  const rows = view.recordings;
  const isAnyShort = (count) => rows.some((row) => row.chunksSealed - row.chunksParked > row[count]);
  if (isAnyShort("chunksAcknowledged")) return ["safe", texts.verdict.uploading];
  if (isAnyShort("chunksVerified")) return ["safe", texts.verdict.verifying];
  if (rows.some((row) => row.chunksParked > 0)) return ["wait", texts.verdict.parked];
  return page.recordingId ? ["done", texts.verdict.verified] : ["", texts.verdict.nothing];
}

function server(page, view) {
  if (!view) return ["", ""];
  if (!page.isOnline) return ["away", texts.server.offline];
  return view.server ? ["away", texts.server.away] : ["here", texts.server.here];
}
