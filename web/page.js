// The page's wiring: one recorder shim, one worker life, one view. Every decision is the worker's (client_py).
import { build, firstWorker } from "./start.js"; // before all else
import { CaptureLocks } from "./shim/capture_locks.js";
import { SHIM_BYTES_MAX } from "./shim/held_slices.js";
import { OfflineUse } from "./shim/offline_use.js";
import { loadChoice } from "./shim/choice.js";
import { Recorder, supportedFormats } from "./shim/recorder.js";
import { readSettings } from "./shim/settings.js";
import { WorkerLife } from "./shim/worker_life.js";
import { texts } from "./texts.js";
import { combine } from "./view/combine.js";
import { drawTogether } from "./view/drawing.js";
import { LevelMeter } from "./view/level.js";
import { saveFile } from "./view/held_files.js";
import { listenForKeys } from "./view/keys.js";
import { makeLibrary } from "./view/library.js";
import { show, showAttributes, showWords } from "./view/page_view.js";
import { SourceView } from "./view/source_view.js";

const element = (id) => document.getElementById(id);
const settings = readSettings(location);
const state = {
  view: null, // the worker's last View
  booting: { progress: 0, label: texts.loading.files },
  failure: "", // why there is no worker and will be none
  worker: "", // "silent" or "new" while the worker is one of these
  refusal: null, // {name, message} of the last capture that could not begin
  isStopWanted: false, // Stop was pressed and no worker has taken it up yet
  isFull: false, // more is held than SHIM_BYTES_MAX
  offlineUse: "", // "ready" or "not-ready" once it is known
  isNextBuildHere: false, // it begins when the last tab of this one is closed
};

const send = (message) => {
  if (message.type === "capture-failed" && recorder.problem !== "lost") state.refusal = message;
  const isSent = life?.send(message);
  if (message.type === "slice") life?.tick(); // a hidden page's timers are throttled, its recorder is not
  return isSent;
};
const recorder = new Recorder({
  send,
  onChange: () => refresh(),
  openStream: (source) => sources.openStream(source),
  options: (source) => sources.recorderOptions(source),
  countDown: (run) => sources.countDown(run, refresh),
});
const meter = new LevelMeter(element("level"), () => refresh());
const offlineUse = new OfflineUse((use) => change({ offlineUse: use }), () => change({ isNextBuildHere: true }));
const locks = new CaptureLocks((recordingId) => send({ type: "capture-lock-held", recordingId }));

const handlers = {
  booting(message) {
    state.booting = message;
    offlineUse.isKept = message.isKept ?? offlineUse.isKept;
    if (message.from) document.body.dataset.startedFrom = message.from;
  },
  view(message) {
    state.view = message;
    state.worker = "";
    offlineUse.begin();
  },
  "hold-capture-lock": ({ recordingId }) => locks.hold(recordingId),
  "release-capture-lock"({ recordingId }) {
    locks.release(recordingId);
    if (recorder.held?.recordingId !== recordingId || recorder.isCapturing) return;
    recorder.close();
    state.isStopWanted = false;
  },
  "capture-open": (message) => recorder.open(message),
  "capture-pause": () => recorder.pause(),
  "capture-resume": () => recorder.resume(),
  "capture-stop"() {
    state.isStopWanted = false;
    recorder.stop();
  },
  "capture-restart": (message) => recorder.restart(message),
  durable({ recordingId, sliceNumber }) {
    if (recorder.held?.recordingId === recordingId) recorder.held.release(sliceNumber);
  },
  "replay-after"({ recordingId, sliceNumber }) {
    if (recorder.held?.recordingId !== recordingId) return;
    for (const message of recorder.held.replayAfter(sliceNumber)) send(message);
    if (state.isStopWanted) send({ type: "stop" });
  },
  listed: (message) => library.list.take(message),
  held: (message) => library.heldFiles.take(message),
  "nothing-held": (message) => library.heldFiles.take(message),
  beat() {},
};

const library = makeLibrary({ send, undoS: settings.undo_s });
const sources = new SourceView({
  form: element("sources"),
  choice: loadChoice(settings.source),
  video: element("preview"),
  onFailure: (refusal) => change({ refusal }),
});

const redraw = drawTogether(draw);
let life = null;
start();

function start() {
  if (!build) return fail(texts.failure.build);
  if (!isSecureContext) return fail(texts.failure.insecure);
  if (!globalThis.MediaRecorder || !navigator.mediaDevices) return fail(texts.failure.recorder);
  life = new WorkerLife({
    build,
    base: document.baseURI,
    boot() {
      const boot = { settings, formats: supportedFormats(), isOnline: navigator.onLine };
      if (!recorder.held) return boot;
      recorder.held.isAwaitingReplay = true;
      return { ...boot, liveRecordingId: recorder.held.recordingId };
    },
    onMessage(message) {
      handlers[message.type]?.(message);
      refresh();
    },
    onSilence: (isSilent) => change({ worker: isSilent ? "silent" : "" }),
    // Without a recording and without ever having run, another worker would fail like this one.
    mayReplace: () => state.view !== null || recorder.held !== null,
    onDeath(why, isReplaced) {
      library.restart();
      if (!isReplaced) return fail(why || texts.failure.worker);
      change({ worker: "new", booting: { progress: 0, label: texts.loading.again } });
    },
    onTick(passedMs) {
      recorder.watch(passedMs);
      refresh();
    },
  });
  firstWorker.then((opened) => life.start(opened), (error) => fail(error.message));
}

function fail(failure) {
  change({ failure });
}

function change(changes) {
  Object.assign(state, changes);
  refresh();
}

// The root's data-* are current at once, also in a hidden tab; what a person sees follows.
function refresh() {
  state.isFull = (recorder.held?.bytesHeld ?? 0) > SHIM_BYTES_MAX;
  const page = combine(state, recorder);
  showAttributes(page);
  redraw(`${page.state} ${page.isPaused}`);
}

function draw() {
  const shown = combine(state, recorder);
  show(shown, state);
  if (state.view && state.worker !== "new") library.show(state.view, shown); // else nobody is there to ask for more
  sources.show(shown, recorder.run);
  meter.show(sources.stream);
}

element("record").onclick = () => {
  state.refusal = null;
  state.isStopWanted = false;
  send({ type: "record", source: sources.choice.source });
  refresh();
};
element("pause").onclick = () => send({ type: recorder.isPaused ? "resume" : "pause" });
element("cancel").onclick = element("stop").onclick = () => {
  state.isStopWanted = true;
  send({ type: "stop" });
  if (state.worker) recorder.stop(); // nobody is there to say it
};
element("try-again").onclick = () => location.reload();
element("keep-file").onclick = () => {
  for (const file of recorder.held?.asFiles() ?? []) saveFile(file);
};
const nudge = () => {
  send({ type: "nudge", isOnline: navigator.onLine });
  refresh();
};
for (const name of ["online", "offline", "focus", "pageshow"]) addEventListener(name, nudge);
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") recorder.shown();
  nudge();
});
addEventListener("beforeunload", (event) => {
  if (!recorder.held) return; // until its last slice is saved on this device
  recorder.requestData(); // while the person reads the question, the open slice is saved too
  event.preventDefault();
});
showWords();
listenForKeys(sources.choice);
document.body.dataset.script = "running"; // takes away the words for a page whose script never came
refresh();
