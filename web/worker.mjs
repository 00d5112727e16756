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

async function start({ build, base, names, port }, say) {
  const kept = await new KeptBuild(build, base).open(names);
  const missing = Object.keys(build.files).filter((path) => !kept.has(path));
  const total = missing.reduce((sum, path) => sum + build.files[path].size, 0);
  let loaded = 0;
  const count = (bytes) => say(0.7 * Math.min(1, (loaded += bytes) / total), texts.loading.files);
  await Promise.all(missing.map((path) => kept.load(path, count)));

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
  const { folder, link } = build.snapshot ?? {};
  const [memory, extension] = [`${folder}python.memory`, `${folder}extension.wasm`];
  if (kept.has(memory) && kept.has(extension)) {
    // Each of these takes a tenth of a second: they come beside each other.
    const parts = { memory: quietly(kept.find(memory).then((file) => file.arrayBuffer())), extension: compile(kept.find(extension)), link };
    const loader = quietly(import(new URL(`${folder}restore_snapshot.mjs`, base)));
    const lockFileContents = { ...build.lock, packages: {} }; // the packages are in the memory
    const start = async (loadPyodide) => (await loader).loadFromMemory(loadPyodide, { ...options, lockFileContents }, parts);
    try {
      return [await load(indexURL, fetchWithCode, start, SNAPSHOT_MS_MAX), "snapshot"];
    } catch (error) {
      console.warn("the memory snapshot could not be used:", error);
    }
  }
  const names = Object.keys(build.lock.packages);
  const start = (loadPyodide) => loadPyodide({ ...options, lockFileContents: build.lock, packages: names });
  const pyodide = await load(indexURL, fetch, start, BOOT_MS_MAX);
  // A package that fails to load does not reject; only this list tells.
  const absent = names.filter((name) => !(name in pyodide.loadedPackages));
  if (absent.length > 0) throw new Error(texts.failure.packages(absent));
  return [pyodide, "files"];
}

// The file as the first visit left it in the HTTP cache, because Chromium keeps there what it compiled of it.
const fetchWithCode = (url) => fetch(url, { cache: "only-if-cached", mode: "same-origin" }).catch(() => fetch(url));

const compile = (response) => quietly(WebAssembly.compileStreaming(response));

// What is awaited only where it is used, and may have failed by then.
function quietly(promise) {
  promise.catch(() => {});
  return promise;
}

// Pyodide asks for its files one after another: here they are all on their way before it does.
async function load(indexURL, fetchWasm, start, msMax) {
  const [wasmURL, libraryURL] = ["pyodide.asm.wasm", "python_stdlib.zip"].map((name) => indexURL + name);
  const compiled = compile(fetchWasm(wasmURL));
  const asked = { [wasmURL]: Promise.resolve(new Response()), [libraryURL]: quietly(fetch(libraryURL)) };
  quietly(import(`${indexURL}pyodide.asm.mjs`));
  const { loadPyodide } = await import(`${indexURL}pyodide.mjs`);
  const [ask, instantiate] = [self.fetch, WebAssembly.instantiateStreaming];
  return new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error(texts.failure.slow(msMax / 1000))), msMax);
    self.fetch = (url, init) => asked[url] ?? ask(url, init);
    WebAssembly.instantiateStreaming = (_response, imports) => {
      const begun = compiled.then(async (module) => ({ module, instance: await WebAssembly.instantiate(module, imports) }));
      // Pyodide only logs a failure (no memory, wrong type) and then waits for ever.
      begun.catch((error) => reject(new Error(texts.failure.wasm(error.message))));
      return begun;
    };
    start(loadPyodide).then(resolve, reject);
  }).finally(() => ([self.fetch, WebAssembly.instantiateStreaming] = [ask, instantiate]));
}
