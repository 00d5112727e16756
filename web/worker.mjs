// The worker's bootstrap: gets every file of the build, checks its digest, boots Pyodide, hands over to Python.
// It either starts whole or says what is wrong; there is no half-start.
import { KeptBuild } from "./shim/kept_build.js";
import { texts } from "./texts.js";

const BOOT_MS_MAX = 120_000; // from all files present to a running Python: 2 s on a laptop, 20 s on an old phone
const SNAPSHOT_MS_MAX = 30_000; // the same from a snapshot: 0.4 s on a laptop

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
  const [pyodide, from] = await boot(build, base, kept);

  say(0.9, texts.loading.client, { from });
  await pyodide.pyimport("client_py.main").start(port);
}

// From the memory snapshot where it is kept already, which takes a fifth of the time. It is an optimisation: whatever
// is wrong with it, Python is started as it is without one.
async function boot(build, base, kept) {
  const indexURL = new URL(build.runtime, base).href;
  const packageBaseUrl = new URL(build.packages, base).href; // a relative one fails silently
  const options = { indexURL, packageBaseUrl, stdout: () => {} };
  // Each of these takes a tenth of a second, the snapshot two: they come beside each other.
  import(`${indexURL}pyodide.asm.mjs`).catch(() => {}); // asked for again, and then missed
  const snapshot = await kept.find(build.snapshot);
  if (snapshot) {
    const compiled = WebAssembly.compileStreaming(fetch(`${indexURL}pyodide.asm.wasm`));
    compiled.catch(() => {}); // awaited where it is used
    try {
      return [await bootFromSnapshot(options, build.lock, snapshot.arrayBuffer(), compiled), "snapshot"];
    } catch (error) {
      console.warn("the memory snapshot could not be used:", error);
    }
  }
  const names = Object.keys(build.lock.packages);
  const pyodide = await load({ ...options, lockFileContents: build.lock, packages: names }, BOOT_MS_MAX);
  // A package that fails to load does not reject; only this list tells.
  const absent = names.filter((name) => !(name in pyodide.loadedPackages));
  if (absent.length > 0) throw new Error(texts.failure.packages(absent));
  return [pyodide, "files"];
}

async function bootFromSnapshot(options, lock, snapshot, compiled) {
  const lockFileContents = { ...lock, packages: {} }; // they are in it
  const pyodide = await load({ ...options, lockFileContents, _loadSnapshot: snapshot }, SNAPSHOT_MS_MAX, compiled);
  pyodide.pyimport("frozen_modules").modules.thaw("/frozen");
  pyodide.pyimport("client_py.main");
  return pyodide;
}

async function load(options, msMax, compiled = null) {
  const { loadPyodide } = await import(`${options.indexURL}pyodide.mjs`);
  return new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error(texts.failure.slow(msMax / 1000))), msMax);
    // Pyodide only logs a failed instantiation (no memory, wrong type) and then waits for ever.
    const instantiate = WebAssembly.instantiateStreaming;
    WebAssembly.instantiateStreaming = (...parameters) => {
      WebAssembly.instantiateStreaming = instantiate;
      const instance = compiled ? instantiateCompiled(compiled, ...parameters) : instantiate.apply(WebAssembly, parameters);
      instance.catch((error) => reject(new Error(texts.failure.wasm(error.message))));
      return instance;
    };
    loadPyodide(options).then(resolve, reject);
  });
}

// What was compiled while other files were still on their way; the response that Pyodide asked for is not read.
async function instantiateCompiled(compiled, response, imports) {
  Promise.resolve(response).then(({ body }) => body.cancel()).catch(() => {});
  const module = await compiled;
  return { module, instance: await WebAssembly.instantiate(module, imports) };
}
