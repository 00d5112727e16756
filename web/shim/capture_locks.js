// The Web Locks `capture:<recording id>`. They are the window's and not the worker's, so that a recording stays
// taken while its worker is replaced; the browser gives them to the next tab when this one dies.

export class CaptureLocks {
  constructor(onHeld) {
    this.onHeld = onHeld;
    this.releases = new Map();
  }

  hold(recordingId) {
    if (this.releases.has(recordingId)) return this.onHeld(recordingId); // a new worker asks again
    navigator.locks.request(`capture:${recordingId}`, () => new Promise((release) => {
      this.releases.set(recordingId, release);
      this.onHeld(recordingId);
    }));
  }

  release(recordingId) {
    this.releases.get(recordingId)?.();
    this.releases.delete(recordingId);
  }
}
