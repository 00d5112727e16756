// Shows what the worker's View and the shim say. Only what changed is written, so that screen readers hear each thing once.
import { bytes, duration, texts } from "../texts.js";

const element = (id) => document.getElementById(id);

export function show(page, state) {
  const focused = document.activeElement;
  showNotices(page, state);

  const isOpen = page.state === "recording" || page.state === "stopping";
  const isCounting = page.countdownS > 0;
  setText("state-text", stateWords(page));
  setText("elapsed", duration(page.elapsedMs));
  setText("size", page.recordingId && !isCounting ? bytes(page.bytes) : "");
  showVerdict(page);
  setText("start-text", state.booting.label);
  element("start-bar").value = state.booting.progress;
  element("start").hidden = page.state !== "loading";
  element("record").hidden = isOpen;
  element("record").disabled = page.state !== "ready" && page.state !== "idle" && !isOpen;
  element("sources").disabled = isOpen || page.state === "failed";
  element("sources").hidden = isOpen; // nothing to choose: what counts now is seen without scrolling
  element("pause").hidden = element("stop").hidden = !isOpen || isCounting;
  element("cancel").hidden = element("countdown").hidden = !isCounting;
  setText("countdown", String(page.countdownS));
  element("pause").disabled = element("stop").disabled = page.state === "stopping";
  setText("pause", page.isPaused ? texts.resume : texts.pause);
  // A button that goes away takes the keyboard's place with it; its successor gets the focus.
  if (focused?.checkVisibility() === false) element(isCounting ? "cancel" : isOpen ? "pause" : "record").focus();
  showPath(page);

  setText("storage", [state.view?.storage, texts.offlineUse[page.offlineUse]].filter(Boolean).join(" "));
  element("free-space").hidden = !state.view?.bytesFreeable;
  const freeable = bytes(state.view?.bytesFreeable ?? 0);
  setText("free-space", texts.free(freeable));
  element("free-space").title = texts.freeLabel(freeable);
  setText("server-text", page.serverWords);
  element("server").dataset.kind = page.serverKind;
  element("recordings-section").hidden = !state.view;
}

// The words that index.html shows before any script runs, as texts.js has them.
export function showWords() {
  for (const node of document.querySelectorAll("[data-text]")) setText(node, texts.page[node.dataset.text]);
  for (const node of document.querySelectorAll("[data-label]")) node.ariaLabel = texts.label[node.dataset.label];
}

export function showAttributes(page) {
  const wanted = {
    state: page.state, recordingId: page.recordingId, slicesCaptured: page.captured, slicesDurable: page.durable,
    chunksSealed: page.sealed, chunksAcknowledged: page.acknowledged, chunksVerified: page.verified,
    chunksCleared: page.cleared, bytesCaptured: page.bytes, online: page.isOnline, recovering: page.isRecovering,
    paused: page.isPaused, countdown: page.countdownS, offlineUse: page.offlineUse,
  };
  const isShown = page.state === "recording" || page.state === "stopping";
  const title = texts.title(isShown ? stateWords(page) : "", duration(page.elapsedMs));
  if (document.title !== title) document.title = title;
  const { dataset } = document.body;
  for (const [name, value] of Object.entries(wanted)) if (dataset[name] !== String(value)) dataset[name] = value;
}

const stateWords = (page) => texts.state[page.countdownS ? "countdown" : page.isPaused && page.state === "recording" ? "paused" : page.state];

function showNotices(page, state) {
  setNotice("failure", page.failure);
  setText("failure-heading", texts.failure.heading);
  setText("failure-kept", texts.failure.kept);
  setNotice("alarm", page.alarm);
  element("alarm-action").hidden = !page.isFileOffered;
  setText("keep-file", texts.keepFile);
  const { refusal } = state;
  setNotice("problem", refusal ? (texts.capture[refusal.name] ?? texts.capture.other(refusal.name, refusal.message)) : "");
  setNotice("calm", page.calm);
  const { recordings, chunks, done } = page.earlier;
  setNotice("earlier", recordings ? texts.earlier(recordings) : "");
  element("earlier-bar").value = done / Math.max(1, chunks);
  setText("earlier-count", texts.earlierCount(done, chunks));
}

function showVerdict({ verdictKind, verdict: [head, why] }) {
  element("verdict").dataset.kind = verdictKind;
  const icon = { wait: "#icon-wait", "": "#icon-note" }[verdictKind] ?? "#icon-check";
  if (element("verdict-icon").getAttribute("href") !== icon) element("verdict-icon").setAttribute("href", icon);
  setText("verdict-head", head);
  setText("verdict-text", why);
}

function showPath(page) {
  element("path").hidden = page.recordingId === "" || page.countdownS > 0;
  const steps = {
    captured: page.captured > 0 ? 1 : 0,
    saved: page.durable / Math.max(1, page.captured),
    uploaded: page.acknowledged / Math.max(1, page.sealed),
    verified: page.verified / Math.max(1, page.sealed),
  };
  for (const [name, share] of Object.entries(steps)) {
    const step = element(`path-${name}`);
    step.style.setProperty("--share", Math.min(1, share));
    step.dataset.done = share >= 1;
    step.dataset.kind = name === "saved" ? page.verdictKind : "";
    texts.path[name](page).forEach((words, line) => setText(step.children[line + 1], words));
  }
}

function setNotice(id, text) {
  element(id).hidden = text === "";
  setText(`${id}-text`, text);
}

function setText(target, text) {
  const node = typeof target === "string" ? element(target) : target;
  if (node.textContent !== text) node.textContent = text;
}
