// The choice of what to record, and the preview that proves before Record that something is heard and seen. Nothing is
// listened to before the person asked for it once; from then on the preview opens wherever the browser allows it.
import { html, nothing, render } from "lit-html";
import { keepChoice, openStream, QUALITIES, SCREEN_SOUNDS } from "../shim/choice.js";
import { bytes, texts } from "../texts.js";

const COUNTDOWNS_S = ["0", "3", "10"];
const TICK_MS = 100; // how soon a countdown that is cancelled ends
const HOUR_S = 3_600;

export class SourceView {
  // `onFailure(error)` is told when a preview cannot be opened.
  constructor({ form, choice, video, onFailure }) {
    Object.assign(this, { form, choice, video, onFailure });
    this.options = form.querySelector(".options");
    this.stream = null; // what is heard and seen now: the preview, or what is recorded
    this.preview = null; // {stream, key} while it is open
    this.devices = null; // until they were asked for
    this.isOpen = false;
    for (const radio of form.querySelectorAll("input[name=source]")) {
      radio.checked = radio.value === choice.source;
      radio.onchange = () => this.#choose({ source: radio.value });
    }
    navigator.mediaDevices?.addEventListener("devicechange", () => this.#listDevices());
    this.#render();
    if (choice.isPreviewed) this.#previewIfAllowed();
  }

  // `run` is the shim's, while something is captured.
  show({ state }, run) {
    this.run = run;
    // The browser starts a process of its own to list them: not while Record is waited for.
    if (!this.devices && state !== "loading") this.#listDevices();
    const isOpen = state === "recording" || state === "stopping";
    if (isOpen !== this.isOpen) {
      this.isOpen = isOpen;
      if (!isOpen && this.choice.isPreviewed) this.#previewIfAllowed();
      else this.#render();
    }
    this.#showStream();
  }

  // The stream to record: the one that is previewed, so that what was heard is what is recorded.
  async openStream(source) {
    const { preview } = this;
    this.preview = null;
    const isLive = preview?.stream.getTracks().every((track) => track.readyState === "live");
    if (isLive && source !== "screen" && preview.key === this.#key()) return preview.stream;
    stop(preview?.stream);
    const stream = await openStream(source, this.choice);
    this.#listDevices(); // now they have names
    return stream;
  }

  recorderOptions(source) {
    const { audioBitsPerSecond, videoBitsPerSecond } = QUALITIES[this.choice.quality];
    return source === "microphone" ? { audioBitsPerSecond } : { audioBitsPerSecond, videoBitsPerSecond };
  }

  // Before a recording begins. The devices run meanwhile, so that its first moment is whole; nothing is recorded of it.
  async countDown(run, onChange) {
    const endsAtMs = performance.now() + 1_000 * this.choice.countdown;
    for (let leftMs; (leftMs = endsAtMs - performance.now()) > 0 && !run.isRequested; ) {
      run.countdownS = Math.ceil(leftMs / 1_000);
      onChange();
      await new Promise((resolve) => setTimeout(resolve, TICK_MS));
    }
    run.countdownS = 0;
  }

  #key() {
    const { source, microphone, camera, quality, screenSound } = this.choice;
    return [source, microphone, camera, quality, source === "screen" && screenSound].join();
  }

  #choose(change) {
    Object.assign(this.choice, change);
    keepChoice(this.choice);
    if (this.choice.isPreviewed) this.#openPreview();
    else this.#closePreview();
  }

  async #previewIfAllowed() {
    const asked = this.choice.source === "camera" ? ["microphone", "camera"] : ["microphone"];
    const answers = await Promise.all(asked.map((name) => navigator.permissions.query({ name }).catch(() => null)));
    if (answers.every((answer) => answer?.state === "granted")) this.#openPreview();
    else this.#render();
  }

  async #openPreview() {
    const { source, screenSound } = this.choice;
    const key = this.#key();
    if (this.preview?.key === key || this.isOpen) return this.#render();
    this.#closePreview();
    if (source === "screen" && screenSound !== "microphone") return; // the browser asks for a screen only at Record
    try {
      const stream = await openStream(source === "screen" ? "microphone" : source, this.choice);
      if (this.isOpen || this.run || key !== this.#key() || !this.choice.isPreviewed) return stop(stream);
      this.preview = { stream, key };
    } catch (error) {
      this.#choose({ isPreviewed: false });
      this.onFailure(error);
    }
    this.#listDevices();
    this.#showStream();
  }

  #closePreview() {
    stop(this.preview?.stream);
    this.preview = null;
    this.#showStream();
    this.#render();
  }

  #showStream() {
    this.stream = this.run?.stream ?? this.preview?.stream ?? null;
    const [picture] = this.stream?.getVideoTracks() ?? [];
    this.video.hidden = !picture;
    const shown = picture ? this.stream : null;
    if (this.video.srcObject === shown) return;
    this.video.srcObject = shown;
    // People know themselves from the mirror. Only what is shown here is turned, never what is recorded.
    this.video.dataset.mirrored = this.choice.source === "camera" && picture?.getSettings().facingMode !== "environment";
  }

  async #listDevices() {
    this.devices ??= [];
    this.devices = (await navigator.mediaDevices?.enumerateDevices().catch(() => [])) ?? [];
    this.#render();
  }

  #render() {
    const { source, screenSound, quality, isPreviewed } = this.choice;
    const select = (name, label, options, size = "") => html`<label class="option ${size}">${label}
      <select data-testid=${`choose-${name}`} .value=${this.choice[name]} @change=${({ target }) => this.#choose({ [name]: target.value })}>
        ${options.map(([value, words]) => html`<option value=${value} ?selected=${value === this.choice[name]}>${words}</option>`)}
      </select></label>`;
    const device = (name, kind) => {
      const known = (this.devices ?? []).filter((each) => each.kind === kind && each.deviceId && each.deviceId !== "default" && each.label);
      return select(name, texts.choice[name], [["", texts.choice.anyDevice], ...known.map((each) => [each.deviceId, each.label])]);
    };
    const hasVoice = source !== "screen" || screenSound === "microphone";
    const bits = Object.values(this.recorderOptions(source)).reduce((sum, each) => sum + each, 0);
    render(html`
      ${source === "camera" ? device("camera", "videoinput") : nothing}
      ${source === "screen" ? select("screenSound", texts.choice.screenSound, SCREEN_SOUNDS.map((each) => [each, texts.choice.screenSounds[each]])) : nothing}
      ${hasVoice ? device("microphone", "audioinput") : nothing}
      ${select("quality", texts.choice.quality, Object.keys(QUALITIES).map((each) => [each, texts.choice.qualities[each]]), "option-short")}
      ${select("countdown", texts.choice.countdown, COUNTDOWNS_S.map((each) => [each, texts.choice.countdowns(Number(each))]), "option-short")}
      ${hasVoice ? html`<button type="button" class="button button-small option-check" data-testid="check" aria-pressed=${isPreviewed}
        @click=${() => this.#choose({ isPreviewed: !isPreviewed })}>${texts.choice[isPreviewed ? "checkEnd" : source === "camera" ? "checkPicture" : "checkSound"]}</button>` : nothing}
      <p class="option-words" data-testid="hour">${texts.choice.hour(bytes((bits / 8) * HOUR_S))}</p>
    `, this.options);
  }
}

function stop(stream) {
  stream?.getTracks().forEach((track) => track.stop());
}
