// Runs before the page's own scripts: hands every slice of every MediaRecorder to the test process, so that
// what the bucket holds is compared with what the browser gave, not with what the product remembers.
(() => {
  const Native = window.MediaRecorder;
  if (!Native || window.top !== window) return;
  const pageLoad = crypto.randomUUID();
  let recorders = 0;
  window.MediaRecorder = class MediaRecorder extends Native {
    constructor(...args) {
      super(...args);
      const recorder = recorders++;
      let slices = 0;
      const tell = (what) => window.holdfastWitness({ pageLoad, recorder, ...what });
      this.addEventListener("start", () => tell({ kind: "start", atMs: performance.now(), mimeType: this.mimeType }));
      this.addEventListener("stop", () => tell({ kind: "stop", atMs: performance.now(), slices }));
      this.addEventListener("dataavailable", async (event) => {
        if (event.data.size === 0) return;
        const slice = slices++;
        const bytes = new Uint8Array(await event.data.arrayBuffer());
        tell({ kind: "slice", slice, base64: bytes.toBase64() });
      });
    }
  };
})();
