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

  say(0.7, texts.loading.python);
  const [pyodide, from] = await boot(build, base, kept);

  say(0.9, texts.loading.client, { from, isKept: await kept.whole() });
  await pyodide.pyimport("client_py.main").start(port);
}

// From the memory snapshot where it is kept already, which takes a fifth of the time. It is an optimisation: whatever
// is wrong with it, Python is started as it is without one.
async function boot(build, base, kept) {
  // A relative address fails silently.
  const [indexURL, packageBaseUrl] = [build.runtime, build.packages].map((path) => new URL(path, base).href);
  const options = { indexURL, packageBaseUrl, stdout: () => {} };
  import(`${indexURL}pyodide.asm.mjs`).catch(() => {}); // asked for again, and then missed
  const { folder, link } = build.snapshot ?? {};
  const find = (name) => kept.find(folder && folder + name);
  const [memory, extension] = await Promise.all([find("python.memory"), find("extension.wasm")]);
  if (memory && extension) {
    // Each of these takes a tenth of a second: they come beside each other.
    const parts = { memory: memory.arrayBuffer(), extension: compile(extension), link };
    const start = async (loadPyodide) => {
      const { loadFromMemory } = await import(new URL(`${folder}restore_snapshot.mjs`, base));
      // The packages are in it.
      return loadFromMemory(loadPyodide, { ...options, lockFileContents: { ...build.lock, packages: {} } }, parts);
    };
    try {
      return [await load(indexURL, start, SNAPSHOT_MS_MAX), "snapshot"];
    } catch (error) {
      console.warn("the memory snapshot could not be used:", error);
    }
  }
  const names = Object.keys(build.lock.packages);
  Object.assign(options, { lockFileContents: build.lock, packages: names });
  const pyodide = await load(indexURL, (loadPyodide) => loadPyodide(options), BOOT_MS_MAX);
  // A package that fails to load does not reject; only this list tells.
  const absent = names.filter((name) => !(name in pyodide.loadedPackages));
  if (absent.length > 0) throw new Error(texts.failure.packages(absent));
  return [pyodide, "files"];
}

function compile(response) {
  const compiled = WebAssembly.compileStreaming(response);
  compiled.catch(() => {}); // awaited where it is used
  return compiled;
}

async function load(indexURL, start, msMax) {
  const compiled = compile(fetch(`${indexURL}pyodide.asm.wasm`)); // while Pyodide's scripts are still on their way
  const { loadPyodide } = await import(`${indexURL}pyodide.mjs`);
  return new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error(texts.failure.slow(msMax / 1000))), msMax);
    const instantiate = WebAssembly.instantiateStreaming;
    WebAssembly.instantiateStreaming = (response, imports) => {
      WebAssembly.instantiateStreaming = instantiate;
      Promise.resolve(response).then(({ body }) => body.cancel()).catch(() => {}); // what Pyodide asked for itself
      const begun = compiled.then(async (module) => ({ module, instance: await WebAssembly.instantiate(module, imports) }));
      // Pyodide only logs a failure (no memory, wrong type) and then waits for ever.
      begun.catch((error) => reject(new Error(texts.failure.wasm(error.message))));
      return begun;
    };
    start(loadPyodide).then(resolve, reject);
  });
}
