// Plays a recording: from the server, or from what this device holds, also while it is still being recorded.
import { bytes, texts } from "../texts.js";
import { titleOf } from "./row_view.js";

const FAR_S = 1e9; // seeking there makes the browser find out how long a file without a duration is

export class Player {
  constructor({ dialog, heldFiles, findRow }) {
    Object.assign(this, { dialog, heldFiles, findRow });
    this.part = (name) => dialog.querySelector(`.player-${name}`);
    dialog.onclose = () => this.#stop();
  }

  async open(row) {
    this.row = row;
    this.part("title").textContent = titleOf(row);
    this.part("words").textContent = row.mediaNote ?? "";
    const isVideo = row.mimeType?.startsWith("video");
    this.media = document.createElement(isVideo ? "video" : "audio");
    Object.assign(this.media, { controls: true, autoplay: true, ariaLabel: titleOf(row) });
    this.media.dataset.testid = "media";
    this.media.onerror = () => (this.part("words").textContent = texts.player.failed);
    this.part("stage").replaceChildren(this.media);
    const mp4 = this.part("mp4");
    mp4.hidden = !row.hasMp4;
    mp4.href = `/api/recordings/${row.recordingId}/media?download=mp4`;
    if (!this.dialog.open) this.dialog.showModal();
    // The finished file can be sought in; without a network what lies here is played.
    if (row.play === "device" && !(row.hasMedia && navigator.onLine)) await this.#playHeld(0, 0);
    else this.media.src = `/api/recordings/${row.recordingId}/media`;
  }

  async #playHeld(run, atS) {
    const { row, media } = this;
    this.part("words").textContent = texts.player.reading(bytes(0));
    const { files, isSound, problem } = await this.heldFiles.read(this.findRow(row.recordingId) ?? row, (sum) => {
      this.part("words").textContent = texts.player.reading(bytes(sum));
    });
    if (this.media !== media) return; // closed meanwhile
    this.part("words").textContent = problem || this.#wordsAbout(files.length > 0, isSound);
    const play = (index, seconds) => {
      if (media.src) URL.revokeObjectURL(media.src);
      media.src = URL.createObjectURL(files[index]);
      media.onloadedmetadata = () => this.#findDuration(media, seconds);
      media.onended = () => {
        if (index + 1 < files.length) play(index + 1, 0);
        else if (this.findRow(row.recordingId)?.isLive) this.#playHeld(index, media.currentTime);
      };
    };
    if (files.length > run) play(run, atS);
  }

  #wordsAbout(isAny, isSound) {
    if (!isAny) return texts.player.nothing;
    if (!isSound) return texts.player.damaged;
    return this.findRow(this.row.recordingId)?.isLive ? texts.player.live : texts.player.device;
  }

  #findDuration(media, seconds) {
    if (media.duration !== Infinity) {
      media.currentTime = seconds;
      return;
    }
    media.ontimeupdate = () => {
      media.ontimeupdate = null;
      media.currentTime = seconds;
      media.play().catch(() => {});
    };
    media.currentTime = FAR_S;
  }

  #stop() {
    if (this.media?.src.startsWith("blob:")) URL.revokeObjectURL(this.media.src);
    this.media?.removeAttribute("src");
    this.media?.load();
    this.media = null;
    this.part("stage").replaceChildren();
  }
}
