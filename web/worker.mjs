// The worker's bootstrap: gets every file of the build, checks its digest, boots Pyodide, hands over to Python.
// It either starts whole or says what is wrong; there is no half-start.
import { KeptBuild } from "./shim/kept_build.js";
import { texts } from "./texts.js";

const BOOT_MS_MAX = 120_000; // from all files present to a running Python: 2 s on a laptop, 20 s on an old phone

self.onmessage = ({ data }) => {
  self.onmessage = null;
  const say = (progress, label, more = {}) => data.port.postMessage({ type: "booting", progress, label, ...more });
  start(data, say).catch((error) => {
    console.error(error);
    data.port.postMessage({ type: "failed", message: error.message });
  });
};

async function start({ build, base, port }, say) {
  const total = Object.values(build.files).reduce((sum, { size }) => sum + size, 0);
  let loaded = 0;
  const count = (bytes) => say(0.7 * Math.min(1, (loaded += bytes) / total), texts.loading.files);
  const kept = await new KeptBuild(build, base).open();
  await Promise.all(Object.keys(build.files).map((path) => kept.load(path, count)));

  say(0.7, texts.loading.python, { isKept: kept.isWhole });
  const pyodide = await boot(build, base);
  // A package that fails to load does not reject; only this list tells.
  const absent = Object.keys(build.lock.packages).filter((name) => !(name in pyodide.loadedPackages));
  if (absent.length > 0) throw new Error(texts.failure.packages(absent));

  say(0.9, texts.loading.client);
  await pyodide.pyimport("client_py.main").start(port);
}

async function boot(build, base) {
  const indexURL = new URL(build.runtime, base).href;
  const { loadPyodide } = await import(`${indexURL}pyodide.mjs`);
  return new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error(texts.failure.slow(BOOT_MS_MAX / 1000))), BOOT_MS_MAX);
    // Pyodide only logs a failed instantiation (no memory, wrong type) and then waits for ever.
    const instantiate = WebAssembly.instantiateStreaming;
    WebAssembly.instantiateStreaming = (...parameters) => {
      const instance = instantiate.apply(WebAssembly, parameters);
      instance.catch((error) => reject(new Error(texts.failure.wasm(error.message))));
      return instance;
    };
    loadPyodide({
      indexURL,
      lockFileContents: build.lock,
      packageBaseUrl: new URL(build.packages, base).href, // a relative one fails silently
      packages: Object.keys(build.lock.packages),
      stdout: () => {}, // Pyodide reports each package it loads
    }).then(resolve, reject);
  });
}
