// Replaces MediaRecorder by one that hands over what a test makes, as fast as the page saves it: half an hour of
// recording in seconds, or a slice of 50 MB. The bytes of each slice follow from its number (injected.py).
(() => {
  const Native = window.MediaRecorder;
  const PATTERN = new Uint8Array(65_536);
  for (let n = 0, x = 1; n < PATTERN.length; n++) {
    x = (Math.imul(x, 1_103_515_245) + 12_345) >>> 0;
    PATTERN[n] = x >>> 16;
  }
  let given = 0;
  const make = (size) => {
    const parts = [new Uint32Array([given++])];
    for (let left = size - 4; left > 0; left -= PATTERN.length) parts.push(PATTERN.subarray(0, Math.min(left, PATTERN.length)));
    return new Blob(parts);
  };
  window.MediaRecorder = class {
    static isTypeSupported = (type) => Native.isTypeSupported(type);
    state = "inactive";
    constructor(stream, { mimeType }) {
      Object.assign(this, { stream, mimeType });
      window.injected = this;
    }
    start() {
      this.state = "recording";
      queueMicrotask(() => this.onstart?.(new Event("start")));
    }
    requestData() {}
    stop() {
      this.state = "inactive";
      queueMicrotask(() => this.onstop?.(new Event("stop")));
    }
  };
  // Hands over `count` slices of `size` bytes; never more than `ahead` of them wait to be saved. The times in ms from a
  // slice's handing over until it is saved.
  window.giveSlices = async (count, size, ahead = 16) => {
    const { dataset } = document.body;
    while (window.injected?.state !== "recording") await new Promise((resolve) => setTimeout(resolve, 10));
    const givenAt = [], waits = [];
    let wake = () => {};
    const change = () => new Promise((resolve) => (wake = resolve));
    const first = Number(dataset.slicesCaptured);
    const note = () => {
      for (const saved = Number(dataset.slicesDurable) - first; waits.length < Math.min(saved, givenAt.length);) {
        waits.push(performance.now() - givenAt[waits.length]);
      }
      wake();
    };
    const watcher = new MutationObserver(note);
    watcher.observe(document.body, { attributeFilter: ["data-slices-durable"] });
    while (waits.length < count) {
      if (givenAt.length < count && givenAt.length - waits.length < ahead) {
        givenAt.push(performance.now());
        window.injected.ondataavailable({ data: make(size) });
      } else {
        await change();
      }
    }
    watcher.disconnect();
    return waits;
  };
})();
