// The slices of the live recording that are not known to be flushed yet, in order, with what happened to its runs.
// It outlives any worker: what is not durable is still here when the next worker asks for it again.

export const SHIM_BYTES_MAX = 512 * 1024 * 1024; // past it the page alarms; a tab may well be killed at a few GiB

export class HeldSlices {
  constructor(recordingId) {
    this.recordingId = recordingId;
    this.captured = 0; // slices numbered so far; also the next number
    this.durable = 0; // slices known to be flushed, from the first on
    this.bytesCaptured = 0;
    this.bytesHeld = 0;
    this.waiting = []; // slice messages, by rising number
    this.isAwaitingReplay = false; // a new worker reads its log: what comes meanwhile waits here, so that order stays
    this.runs = new Map(); // number -> {started, ended}: the messages about that run
  }

  // Numbers the Blob, synchronously in the event that brought it, and returns the message about it.
  add(run, blob) {
    const message = {
      type: "slice", recordingId: this.recordingId, run, sliceNumber: this.captured, capturedAtMs: Date.now(), blob,
    };
    this.captured += 1;
    this.bytesCaptured += blob.size;
    this.bytesHeld += blob.size;
    this.waiting.push(message);
    return message;
  }

  // Every slice up to and including this number is flushed.
  release(sliceNumber) {
    this.durable = Math.max(this.durable, Math.min(this.captured, sliceNumber + 1));
    const first = this.waiting.findIndex((slice) => slice.sliceNumber > sliceNumber);
    const gone = this.waiting.splice(0, first < 0 ? this.waiting.length : first);
    this.bytesHeld -= gone.reduce((sum, slice) => sum + slice.blob.size, 0);
  }

  oldestAgeMs() {
    return this.waiting.length ? Date.now() - this.waiting[0].capturedAtMs : 0;
  }

  // What a new worker must hear after it has read its log: all runs' fates and the slices after this number, in order.
  *replayAfter(sliceNumber) {
    this.isAwaitingReplay = false;
    this.release(sliceNumber);
    for (const [run, { started, ended }] of this.runs) {
      if (started) yield started;
      yield* this.waiting.filter((slice) => slice.run === run);
      if (ended) yield ended;
    }
  }

  // The held slices as files, one a run: bytes of two runs are never concatenated.
  asFiles() {
    return [...this.runs].flatMap(([run, { started }]) => {
      const blobs = this.waiting.filter((slice) => slice.run === run).map((slice) => slice.blob);
      if (blobs.length === 0) return [];
      const type = started?.mimeType ?? "application/octet-stream";
      const suffix = /mp4/.test(type) ? "mp4" : /ogg/.test(type) ? "ogg" : "webm";
      return [new File(blobs, `holdfast-${this.recordingId}-run${run}.${suffix}`, { type })];
    });
  }
}
