// Reads what this device holds of a recording, chunk by chunk from the worker, into Blobs that the browser keeps on
// disk: never more than one chunk is in this page's memory.
import { texts } from "../texts.js";

const FILE_BYTES_MAX = 2 * 1024 ** 3; // a longer recording becomes several files

export class HeldFiles {
  constructor(send) {
    this.send = send;
    this.queue = Promise.resolve(); // one recording at a time
  }

  // The recording's files, one a run or FILE_BYTES_MAX: {files, isSound, problem}. `onBytes(sum)` tells how far it is.
  // Of one that goes on, what there was when the reading began: its end would run ahead of a slow device.
  read({ recordingId, title, startedAtMs, isLive, chunksSealed }, onBytes = () => {}) {
    const end = (isLive && chunksSealed) || Infinity;
    const reading = this.queue.then(() => new Promise((resolve) => {
      this.reading = { recordingId, end, name: nameOf(title, startedAtMs), onBytes, resolve, groups: [], sum: 0, isSound: true };
      if (!this.send({ type: "read-held", recordingId, chunkIndex: 0 })) this.#finish(texts.player.restarted);
    }));
    this.queue = reading;
    return reading;
  }

  // The worker's messages `held` and `nothing-held`.
  take({ type, recordingId, chunkIndex, run, mimeType, isSound, content, message }) {
    const { reading } = this;
    if (reading?.recordingId !== recordingId) return;
    if (type === "nothing-held") return this.#finish(message);
    const last = reading.groups.at(-1);
    const isNew = last?.run !== run || last.size + content.length > FILE_BYTES_MAX;
    const group = isNew ? { run, mimeType, size: 0, blobs: [] } : last;
    if (isNew) reading.groups.push(group);
    group.blobs.push(new Blob([content]));
    group.size += content.length;
    reading.sum += content.length;
    reading.isSound &&= isSound;
    reading.onBytes(reading.sum);
    if (chunkIndex + 1 >= reading.end) this.#finish("");
    else this.send({ type: "read-held", recordingId, chunkIndex: chunkIndex + 1 });
  }

  // The worker died: nothing more comes of what it was asked.
  abandon(problem) {
    if (this.reading) this.#finish(problem);
  }

  #finish(problem) {
    const { groups, isSound, resolve, name } = this.reading;
    this.reading = null;
    const files = groups.map(({ blobs, mimeType }, index) => {
      const ending = { "audio/ogg": "ogg", "audio/mp4": "m4a", "video/mp4": "mp4" }[mimeType.split(";")[0]] ?? "webm";
      const part = groups.length > 1 ? ` ${index + 1}` : "";
      return new File(blobs, `${name}${part}.${ending}`, { type: mimeType });
    });
    resolve({ files, isSound, problem });
  }
}

// As the server names a file, but by this device's clock; the browser makes the rest of it safe.
function nameOf(title, startedAtMs) {
  const at = new Date(startedAtMs - new Date(startedAtMs).getTimezoneOffset() * 60_000).toISOString();
  return title || texts.fileName(at.slice(0, 16).replace("T", " ").replace(":", "-"));
}

export function saveFile(file) {
  const address = URL.createObjectURL(file);
  saveAddress(address, file.name);
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

export function saveAddress(href, download) {
  Object.assign(document.createElement("a"), { href, download }).click();
}
