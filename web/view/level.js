// How loud a stream is, and whether anything is heard at all. It only listens: what is recorded does not pass here.
import { texts } from "../texts.js";

const FLOOR_DB = -60; // where the bar begins
const HEARD_DB = -50; // above the noise of a quiet room
const SHOW_MS = 100;
const SAMPLES = 8192; // they last longer than that, so that nothing between two looks is missed
const FALL = 0.88; // what is left of a loud moment a step later: about half a second is seen of it
const SILENCE_MS = 4_000; // nobody who tests a microphone is silent for so long

export class LevelMeter {
  // `onStep()` is called while there is something to show: `show` is expected to follow.
  constructor(element, onStep) {
    Object.assign(this, { element, onStep });
    [this.bar, this.words] = element.children;
    this.stream = null;
    this.level = 0; // as it is shown
  }

  // How loud this stream is; null: none.
  show(stream) {
    if (stream !== this.stream) this.#follow(stream);
    if (!this.element.hidden) this.#look();
  }

  #follow(stream) {
    this.source?.disconnect();
    clearInterval(this.showing);
    this.stream = stream;
    const hasSound = Boolean(stream?.getAudioTracks().length);
    this.element.hidden = !hasSound;
    if (!hasSound) return;
    this.context ??= new AudioContext();
    this.context.resume().catch(() => {});
    this.analyser ??= new AnalyserNode(this.context, { fftSize: SAMPLES });
    this.samples ??= new Float32Array(this.analyser.fftSize);
    this.source = this.context.createMediaStreamSource(stream);
    this.source.connect(this.analyser);
    this.heardAt = null;
    this.begunAt = performance.now();
    this.showing = setInterval(this.onStep, SHOW_MS);
  }

  #look() {
    this.analyser.getFloatTimeDomainData(this.samples);
    const peak = this.samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
    const db = 20 * Math.log10(peak);
    const level = Math.max(this.level * FALL, Math.min(1, Math.max(0, 1 - db / FLOOR_DB)));
    this.level = level < 0.01 ? 0 : level;
    this.bar.style.setProperty("--level", level);
    this.bar.ariaValueNow = Math.round(level * 100);
    const now = performance.now();
    if (db > HEARD_DB) this.heardAt = now;
    const isSilent = now - (this.heardAt ?? this.begunAt) > SILENCE_MS;
    this.element.dataset.heard = this.heardAt !== null && !isSilent ? "true" : isSilent ? "false" : "";
    const words = { true: texts.level.heard, false: texts.level.nothing }[this.element.dataset.heard] ?? texts.level.listening;
    if (this.words.textContent !== words) this.words.textContent = words;
  }
}
