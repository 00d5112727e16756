// Every word the page itself says. What the worker says in words (problems, storage, the server) comes from Python.

const count = (n, one, many) => `${n.toLocaleString()} ${n === 1 ? one : many}`;
export const slices = (n) => count(n, "slice", "slices");
export const chunks = (n) => count(n, "chunk", "chunks");

export const texts = {
  // What index.html holds already, so that it is seen before any script runs: its data-text and data-label.
  page: {
    tryAgain: "Try again",
    whatToRecord: "What to record",
    microphone: "Microphone",
    camera: "Camera",
    screen: "Screen",
    record: "Record",
    stop: "Stop",
    cancel: "Cancel",
    captured: "Captured",
    saved: "Saved on this device",
    uploaded: "Uploaded",
    verified: "Verified",
    recordings: "Recordings",
    filter: "Filter",
    filterState: "State",
    filterFrom: "Recorded from",
    filterTo: "Until",
    filterClear: "Show all",
    downloadMp4: "Download as MP4",
    download: "Download",
    close: "Close",
    certificate: "Certificate",
    help: "Help",
  },
  label: {
    help: "Help and keys",
    elapsed: "Elapsed time",
    preview: "What the camera or the screen shows",
    soundLevel: "Sound level",
    path: "The way of this recording's bytes",
    search: "Search the recordings",
    earlier: "Recordings from earlier, uploaded",
  },
  loading: {
    files: "Loading the recorder",
    python: "Starting Python",
    client: "Looking for earlier recordings",
    again: "Starting the recorder again",
  },
  state: {
    loading: "Starting",
    ready: "Ready to record",
    countdown: "Get ready",
    recording: "Recording",
    paused: "Paused",
    stopping: "Saving the last moments",
    idle: "Ready for the next one",
    failed: "Not running",
  },
  title: (state, elapsed) => (state ? `${state} ${elapsed} · Holdfast` : "Holdfast"),
  pause: "Pause",
  resume: "Resume",
  path: {
    captured: (page) => [slices(page.captured), bytes(page.bytes)],
    saved: (page) => [`${page.durable.toLocaleString()} of ${slices(page.captured)}`, oldest(page.oldestUnsavedMs)],
    uploaded: (page) => [`${page.acknowledged.toLocaleString()} of ${chunks(page.sealed)}`, ""],
    verified: (page) => [`${page.verified.toLocaleString()} of ${chunks(page.sealed)}`, ""],
  },
  choice: {
    microphone: "Microphone",
    camera: "Camera",
    screenSound: "Sound",
    screenSounds: { system: "Of the tab or screen", microphone: "Of a microphone", none: "None" },
    quality: "Quality",
    qualities: { small: "Small files", standard: "Standard", high: "High" },
    countdown: "Countdown",
    countdowns: (seconds) => (seconds ? `${seconds} seconds` : "None"),
    hour: (size) => `An hour takes about ${size} on this device.`,
    anyDevice: "Default",
    checkSound: "Check the sound",
    checkPicture: "Check picture and sound",
    checkEnd: "End the check",
  },
  level: {
    heard: "Sound is coming in.",
    listening: "Listening: say something.",
    nothing: "No sound is coming in. Check that the right microphone is chosen and that it is not muted.",
  },
  // Each is [what to do at a glance, why].
  verdict: {
    asking: ["Answer the browser's question", "It asks whether this page may record."],
    countdown: ["Recording is about to begin", "Cancel, or the Escape key, calls it off."],
    safeSoFar: ["Safe so far", "Everything up to this moment is saved on this device. Press Stop before you close this tab."],
    paused: ["Safe so far", "Paused. Everything recorded until now is saved on this device."],
    wait: (n, ageMs) => ["Wait: keep this tab open", `${slices(n)} not saved on this device yet${ageMs >= 1_000 ? `, the oldest for ${seconds(ageMs)}` : ""}.`],
    uploading: ["You can close this tab now", "Everything is saved on this device. Uploading goes on whenever this page is open."],
    verifying: ["You can close this tab now", "Everything is saved on this device and uploaded. The server is checking it."],
    verified: ["You can close this tab now", "Everything is uploaded and verified."],
    parked: ["One recording needs a look", "The server refused some chunks for good. They are kept on this device; the list says which recording."],
    recovering: ["Nothing for you to do", "Recordings from earlier are being brought to safety."],
    nothing: ["Choose a source and press Record", "What you record is saved on this device as you go, then uploaded."],
  },
  earlier: (n) => `${n === 1 ? "A recording" : `${n.toLocaleString()} recordings`} from earlier ${n === 1 ? "is" : "are"} being checked and uploaded. There is nothing you need to do.`,
  earlierCount: (done, all) => `${done.toLocaleString()} of ${chunks(all)}`,
  server: { here: "Connected", away: "Server away", offline: "Offline" },
  offline: "No network. Recording goes on; what is saved on this device is uploaded when the network is back.",
  nextBuild: "A new version of Holdfast is here. To use it, close every tab of this page, then open it again; nothing that is saved is lost.",
  offlineUse: {
    ready: "This page opens and records without a network, too.",
    "not-ready": "Without a network this page would not open yet; keep it open.",
  },
  capture: {
    NotAllowedError: "The browser was not allowed to record. Allow the microphone, camera or screen for this site in the address bar, then press Record again.",
    NotFoundError: "No such device was found. Connect a microphone or camera, then press Record again.",
    NotReadableError: "The device is busy or was taken away by the system. Close other programs that use it, then press Record again.",
    other: (name, message) => `Recording could not begin (${name}${message ? `: ${message}` : ""}). Press Record to try again.`,
  },
  alarm: {
    silentWorker: "The part that saves your recording is not answering. The recording goes on in this tab's memory; keep the tab open.",
    newWorker: "The part that saves your recording is being started anew. The recording goes on in this tab's memory; keep the tab open.",
    silentRecorder: "The browser has delivered nothing from the device for some seconds. Check the device; Holdfast goes on trying to record.",
    lost: "The device is gone. What was recorded is kept, and Holdfast goes on trying to record; connect the device again or press Stop.",
    trackEnded: "One of the devices has stopped. The rest is still being recorded.",
    full: (size) => `${size} of this recording are only in this tab's memory, because they could not be saved on this device. Free some space, or keep them as a file.`,
  },
  failure: {
    heading: "Holdfast cannot start",
    kept: "What was recorded earlier stays on this device.",
    fetch: (path, why) => `The file ${path} could not be loaded (${why}). Check the connection, then try again.`,
    digest: (path, expected, found) => `The file ${path} arrived damaged (expected ${expected}, found ${found}). Try again; if this stays, the server's page must be built anew.`,
    packages: (names) => `Parts of the recorder did not load: ${names.join(", ")}. Try again.`,
    wasm: (why) => `This browser could not start the recorder's runtime (${why}). Close other tabs or update the browser, then try again.`,
    slow: (seconds) => `The recorder's runtime did not start within ${seconds} seconds. Close other tabs, then try again.`,
    worker: "The recorder's worker could not be loaded. Check the connection, then try again.",
    build: "The page is incomplete: it does not say which files it is made of. The server's page must be built anew.",
    insecure: "Browsers record only on a secure address. Open this page by https, or on this machine by http://localhost.",
    recorder: "This browser cannot record (it has no MediaRecorder). Use a current Chrome, Edge, Firefox or Safari.",
  },
  row: {
    recording: "Recording",
    saved: "On this device",
    uploading: "Uploading",
    uploaded: "Uploaded",
    verified: "Verified",
    complete: "Complete",
    parked: "Needs a look",
    deleting: "Deleting",
    elsewhere: "Not finished",
    stalled: "Stalled",
    damaged: "Damaged",
  },
  live: "Recording in another tab",
  parked: (n) => `${chunks(n)} refused by the server, kept on this device`,
  rowSizes({ bytesCaptured, bytesLocal }) {
    if (bytesCaptured === 0) return "";
    if (bytesLocal === 0) return bytes(bytesCaptured);
    // The frames around the slices make what lies here a little larger than what was captured.
    return bytesLocal < bytesCaptured ? `${bytes(bytesCaptured)}, ${bytes(bytesLocal)} of it on this device` : `${bytes(bytesCaptured)} on this device`;
  },
  list: {
    nothing: "Nothing recorded yet. What you record appears here.",
    noMatch: (query) => `No recording matches “${query}”.`,
    noneThere: "No recording is in this state and of these days.",
    first: "Asking the server for earlier recordings…",
    more: "Loading older recordings…",
    searching: (n) => `Looking through older recordings (${n.toLocaleString()} so far)…`,
    waiting: "The server's list does not come at the moment; it is asked for again. What is on this device is shown.",
  },
  filter: {
    states: { any: "Any", complete: "Complete", unfinished: "Not finished", problem: "Needs a look" },
  },
  act: {
    play: (title) => `Play ${title}`,
    download: (title) => `Download ${title}`,
    rename: (title) => `Give ${title} another title`,
    certificate: (title) => `The certificate of ${title}`,
    newTitle: "Title of the recording",
    retry: "Try again",
    downloadHeld: "Download what is here",
  },
  undo: {
    words: (title) => `“${title}” will be deleted here and on the server in a moment.`,
    button: "Undo",
  },
  player: {
    reading: (size) => `Reading from this device: ${size}`,
    device: "Played from this device.",
    live: "Still being recorded: this plays what is saved up to now, and goes on with what comes.",
    damaged: "Part of these bytes are damaged or gone; this plays what there is.",
    nothing: "Nothing of this recording can be read on this device.",
    failed: "This cannot be played here. Download it, or try again later.",
    restarted: "The recorder was started anew meanwhile. Try again.",
  },
  certificate: {
    loading: "Asking the server…",
    failed: (why) => `The certificate cannot be shown now (${why}). Try again later.`,
    meaning: "The server has read every byte of this recording back from its storage and states that nothing is missing and nothing was changed.",
    facts: ({ title, at, chunks: n, size }) => [["Recording", title], ["Certified", at], ["Contents", `${chunks(n)}, ${size}`]],
    root: "Root of the digests",
  },
  // As the server names a file; `at` is the day and the time.
  fileName: (at) => `Recording ${at}`,
  help: {
    pathHeading: "What the four steps mean",
    path: [
      ["Captured", "The browser has handed it over. For a moment it is only in this tab."],
      ["Saved on this device", "It is on this device's disk. From here on it survives a closed tab, a crash and an empty battery."],
      ["Uploaded", "The server has it, and has written down that it does."],
      ["Verified", "The server has read it back and found every byte right. Only then may it leave this device."],
    ],
    keysHeading: "Keys",
    keysOn: "Use these keys",
    keys: [
      ["Alt + R", "Record"], ["Alt + P", "Pause and resume"], ["Alt + S", "Stop"], ["Esc", "Cancel the countdown"],
      ["/", "Search the recordings"], ["?", "This help"],
    ],
  },
  free: (size) => `Free up ${size}`,
  freeLabel: (size) => `Free up ${size} on this device: take away what is verified on the server`,
  deleteLabel: (title) => `Delete the recording ${title}`,
  keepFile: "Keep as a file",
};

export function bytes(n) {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let power = 0;
  while (n >= 999.5 && power < units.length - 1) [n, power] = [n / 1000, power + 1];
  return `${n >= 100 || power === 0 ? Math.round(n) : n.toFixed(1)} ${units[power]}`;
}

const seconds = (ms) => `${Math.floor(ms / 1_000)} s`;
const oldest = (ms) => (ms < 1_000 ? "none waits over 1 s" : `the oldest waits ${seconds(ms)}`);

export function duration(ms) {
  const s = Math.floor(ms / 1000);
  const two = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(s / 3600);
  return `${hours ? `${hours}:` : ""}${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
}
