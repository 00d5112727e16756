// Drives MediaRecorder as the worker says and reports what happens. It decides nothing but what cannot wait:
// it numbers slices as they arrive, keeps them (HeldSlices) and asks a silent recorder for its data.
import { HeldSlices } from "./held_slices.js";

const SILENCE_MS = 2_000; // a recorder asked for 100-250 ms slices, or MP4's least of 1 s, is late after this
const FORMATS = [
  "audio/webm;codecs=opus", "audio/webm", "audio/ogg;codecs=opus", "audio/mp4;codecs=opus", "audio/mp4",
  "video/webm;codecs=vp9,opus", "video/webm;codecs=vp8,opus", "video/webm", "video/mp4",
];

export const supportedFormats = () => FORMATS.filter((format) => MediaRecorder.isTypeSupported(format));

export class Recorder {
  // `openStream(source)` gives what the person chose, `options(source)` the recorder's bits a second; `countDown(run)`
  // ends when a recording may begin, or when it is stopped before.
  constructor({ send, onChange, openStream, options, countDown }) {
    Object.assign(this, { send, onChange, openStream, options, countDown });
    this.held = null; // of the live recording, until the worker releases its capture lock
    this.run = null; // {number, stream, recorder, isRequested, isRestarted} while one is open
    this.spareStream = null; // of a run that was restarted, for the next one
    this.problem = ""; // "silent", "track-ended" or "lost" while it lasts
    this.elapsed = { ms: 0, since: null };
  }

  get isCapturing() { return this.run !== null; }
  get isPaused() { return this.run?.recorder?.state === "paused"; }
  elapsedMs() { return this.elapsed.ms + (this.elapsed.since === null ? 0 : performance.now() - this.elapsed.since); }

  async open({ recordingId, run: number, source, mimeTypes, timesliceMs, sliceNumber }) {
    if (this.held?.recordingId === recordingId) {
      // Asked again by a new worker: the replay tells it how far that run has come.
      if (this.run?.number === number || this.held.runs.get(number)?.started) return;
    } else {
      this.held = new HeldSlices(recordingId);
      this.held.captured = this.held.durable = sliceNumber;
      this.elapsed = { ms: 0, since: null };
    }
    const run = (this.run = {
      number, stream: null, recorder: null, silentMs: 0, isSilent: false, isRequested: false, isRestarted: false,
    });
    this.held.runs.set(number, {});
    const spare = this.#takeSpareStream();
    try {
      run.stream = spare ?? (await this.openStream(source));
      if (this.held.captured === 0) await this.countDown(run);
      if (run.isRequested) return this.#end(run); // Stop was pressed while the browser asked, or in the countdown
      run.recorder = this.#startRecorder(run, { mimeTypes, timesliceMs, ...this.options(source) });
    } catch (error) {
      run.stream?.getTracks().forEach((track) => track.stop());
      this.run = null;
      if (this.held.captured > 0) this.problem = "lost"; // a later run: the worker goes on trying
      this.send({ type: "capture-failed", recordingId, run: number, name: error.name, message: error.message });
      this.onChange();
    }
  }

  pause() {
    if (this.run?.recorder?.state !== "recording") return;
    this.run.recorder.requestData(); // what is not handed over now would wait for the next slice after the pause
    this.run.recorder.pause();
  }

  resume() {
    if (this.isPaused) this.run.recorder.resume();
  }

  stop() {
    if (!this.run) return;
    this.run.isRequested = true;
    if (this.run.recorder?.state && this.run.recorder.state !== "inactive") this.run.recorder.stop();
  }

  // A silent recorder gives what it holds when it is stopped, and another is started.
  restart({ recordingId, run: number, keepsStream }) {
    const { run } = this;
    if (this.held?.recordingId !== recordingId || run?.number !== number || run.recorder?.state !== "recording") return;
    Object.assign(run, { isRestarted: true, keepsStream });
    run.recorder.stop();
  }

  // Nothing of the recording is wanted any more: it is all saved, or it never began.
  close() {
    this.#takeSpareStream()?.getTracks().forEach((track) => track.stop());
    this.held = null;
    this.problem = "";
  }

  requestData() {
    if (this.run?.recorder?.state === "recording") this.run.recorder.requestData();
  }

  // Called at every tick with the time since the last, 0 when the window was asleep. A recorder that is silent is
  // asked for its data, then reported.
  watch(passedMs) {
    const run = this.run;
    if (run?.recorder?.state !== "recording") return;
    run.silentMs = passedMs === 0 ? 0 : run.silentMs + passedMs;
    if (run.silentMs > 2 * SILENCE_MS && !run.isSilent) {
      run.isSilent = true;
      this.#note(run, "silence", `no slice for ${Math.round(run.silentMs)} ms`);
      this.#setProblem("silent");
    } else if (run.silentMs > SILENCE_MS) this.requestData();
  }

  #startRecorder(run, { mimeTypes, timesliceMs, ...options }) {
    let failure = new DOMException("none of the formats is supported", "NotSupportedError");
    for (const mimeType of mimeTypes) {
      try {
        const recorder = new MediaRecorder(run.stream, { mimeType, ...options });
        this.#listen(run, recorder);
        recorder.start(timesliceMs);
        return recorder;
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  }

  #listen(run, recorder) {
    const { recordingId } = this.held;
    recorder.onstart = () => {
      // Only now is the recorder's own choice of type final.
      const message = { type: "capture-started", recordingId, run: run.number, mimeType: recorder.mimeType };
      this.held.runs.get(run.number).started = message;
      if (this.problem !== "silent") this.problem = "";
      this.#tick(true);
      this.#tell(message);
      this.#keepAwake();
    };
    recorder.ondataavailable = ({ data }) => {
      if (data.size === 0) return;
      run.silentMs = 0;
      run.isSilent = false;
      if (this.problem === "silent") this.problem = "";
      this.#tell(this.held.add(run.number, data));
    };
    recorder.onpause = () => this.#tick(false);
    recorder.onresume = () => this.#tick(true);
    recorder.onerror = ({ error }) => this.#note(run, "recorder-error", error ? `${error.name}: ${error.message}` : "");
    recorder.onstop = () => this.#end(run); // the order is always (error), last slice, stop
    for (const track of run.stream.getTracks()) {
      track.onmute = () => this.#note(run, "muted", track.kind);
      track.onunmute = () => this.#note(run, "unmuted", track.kind);
      track.onended = () => {
        this.#note(run, "track-ended", track.kind);
        if (run.stream.getTracks().some((other) => other.readyState === "live")) this.#setProblem("track-ended");
        // With no track left it should stop by itself. Chromium's goes on in silence when the device or the permission
        // was really taken away.
        else if (recorder.state !== "inactive") recorder.stop();
      };
    }
  }

  #end(run) {
    if (run.keepsStream && run.stream.active) this.spareStream = run.stream;
    else run.stream.getTracks().forEach((track) => track.stop());
    this.#tick(false);
    this.run = null;
    if (!run.isRestarted) this.problem = "";
    const { recordingId, captured } = this.held;
    const message = {
      type: "capture-ended", recordingId, run: run.number, slicesCaptured: captured,
      isRequested: run.isRequested, isRestarted: run.isRestarted,
    };
    this.held.runs.get(run.number).ended = message;
    this.wakeLock?.release().catch(() => {});
    this.#tell(message);
    this.onChange();
  }

  #takeSpareStream() {
    const { spareStream } = this;
    this.spareStream = null;
    return spareStream?.active ? spareStream : null;
  }

  #tick(isRunning) {
    this.elapsed = { ms: this.elapsedMs(), since: isRunning ? performance.now() : null };
    this.onChange();
  }

  #setProblem(problem) {
    this.problem = problem;
    this.onChange();
  }

  // A worker that has not asked for the replay yet hears all of this then, in order.
  #tell(message) {
    if (!this.held.isAwaitingReplay) this.send(message);
  }

  #note(run, kind, message) {
    this.#tell({ type: "capture-note", recordingId: this.held.recordingId, run: run.number, kind, message });
  }

  // Best effort: without it a phone may sleep, and its recording pauses.
  async #keepAwake() {
    this.wakeLock = await navigator.wakeLock?.request("screen").catch(() => null);
    if (!this.isCapturing) this.wakeLock?.release().catch(() => {});
  }

  // The browser drops the wake lock whenever the page is hidden.
  shown() {
    if (this.isCapturing) this.#keepAwake();
  }
}
