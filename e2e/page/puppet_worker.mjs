// Stands in for the product's worker in tests of the window's shim: it decides nothing, says to the window what the
// test wants said, and reports all it hears. The test reaches it over a BroadcastChannel, by its name (one an epoch).
// From its first view on it beats like the product's, or a machine that is slow for a while would cost it its life.
const BEAT_MS = 1_000;
const nothing = new Int32Array(new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }).buffer);

self.onmessage = ({ data: { port } }) => {
  const strings = new BroadcastChannel("puppet");
  port.onmessage = async ({ data: { blob, ...message } }) => {
    strings.postMessage({ from: self.name, message: blob ? { ...message, size: blob.size } : message });
  };
  let beating = 0;
  strings.onmessage = ({ data: { to, message, isHung } }) => {
    if (to !== self.name) return;
    port.postMessage(message);
    if (message.type === "view") beating ||= setInterval(() => port.postMessage({ type: "beat" }), BEAT_MS);
    if (isHung) Atomics.wait(nothing, 0, 0); // as a Python that never comes back, but it leaves the processor to others
  };
  strings.postMessage({ from: self.name, message: { type: "up" } });
};
