// The worker's bootstrap: gets every file of the build, checks its digest, boots Pyodide, hands over to Python.
// It either starts whole or says what is wrong; there is no half-start.
import { KeptBuild } from "./shim/kept_build.js";
import { texts } from "./texts.js";

const BOOT_MS_MAX = 120_000; // from all files present to a running Python: 2 s on a laptop, 20 s on an old phone
const SNAPSHOT_MS_MAX = 30_000; // the same from a snapshot: 0.4 s on a laptop
const SNAPSHOT_LOAD_MS = 1_000; // a first visit loads it where that takes less: it saves 1 s on a laptop
const LIBRARY = "python_stdlib.zip";

self.onmessage = ({ data }) => {
  const say = (progress, label, more = {}) => data.port.postMessage({ type: "booting", progress, label, ...more });
  start(data, say).catch((error) => {
    console.error(error);
    data.port.postMessage({ type: "failed", message: error.message });
  });
};

async function start({ build, base, names, port }, say) {
  const kept = await new KeptBuild(build, base).open(names);
  const [files, snapshot] = [build.files, build.snapshot?.files ?? {}].map((all) => Object.keys(all).filter((path) => !kept.has(path)));
  const size = (paths) => paths.reduce((sum, path) => sum + kept.files[path].size, 0);
  let loaded = 0;
  const count = (bytes) => say(0.7 * Math.min(1, (loaded += bytes) / size([...files, ...snapshot])), texts.loading.files);
  const load = (paths) => Promise.all(paths.map((path) => kept.load(path, count)));
  const begun = performance.now();
  await load(files);
  const runtime = compile(fetchWithCode(new URL(`${build.runtime}pyodide.asm.wasm`, base)));
  // At the pace of the files; where there were none to load, nobody knows it. The start needs none of it.
  const snapshotMs = (size(snapshot) * (performance.now() - begun)) / size(files);
  if (kept.isWhole && snapshotMs < SNAPSHOT_LOAD_MS) await within(2 * SNAPSHOT_LOAD_MS, load(snapshot).then(() => kept.whole()));

  say(0.7, texts.loading.python);
  const [pyodide, from] = await boot(build, base, kept, runtime);

  say(0.9, texts.loading.client, { from, isKept: await kept.whole() });
  await pyodide.pyimport("client_py.main").start(port);
}

// From the memory snapshot where it is kept, which is quicker. It is an optimisation: whatever is wrong with it,
// Python is started as it is without one.
async function boot(build, base, kept, runtime) {
  // A relative address fails silently.
  const [indexURL, packageBaseUrl] = [build.runtime, build.packages].map((path) => new URL(path, base).href);
  const options = { indexURL, packageBaseUrl, lockFileContents: build.lock, stdout: () => {} };
  const { folder, link, files } = build.snapshot ?? {};
  if (files && Object.keys(files).every(kept.has)) {
    // Each of these takes a tenth of a second: they come beside each other.
    const bytes = (path) => quietly(kept.find(path).then((file) => file.arrayBuffer()));
    const [memory, library] = [`${folder}python.memory`, `${build.runtime}${LIBRARY}`].map(bytes);
    const parts = { memory, library, extension: compile(kept.find(`${folder}extension.wasm`)), link };
    const loader = quietly(import(new URL(`${folder}restore_snapshot.mjs`, base)));
    const withNone = { ...options, lockFileContents: { ...build.lock, packages: {} } }; // the packages are in the memory
    try {
      const start = async (loadPyodide) => (await loader).loadFromMemory(loadPyodide, withNone, parts);
      return [await load(indexURL, runtime, start, SNAPSHOT_MS_MAX, new Response()), "snapshot"];
    } catch (error) {
      console.warn("the memory snapshot could not be used:", error);
      runtime = compile(fetch(`${indexURL}pyodide.asm.wasm`)); // as it was checked, if it came from elsewhere
    }
  }
  const names = Object.keys(build.lock.packages);
  const pyodide = await load(indexURL, runtime, (loadPyodide) => loadPyodide({ ...options, packages: names }), BOOT_MS_MAX);
  // A package that fails to load does not reject; only this list tells.
  const absent = names.filter((name) => !(name in pyodide.loadedPackages));
  if (absent.length > 0) throw new Error(texts.failure.packages(absent));
  return [pyodide, "files"];
}

// The file as the first visit left it in the HTTP cache, because Chromium keeps there what it compiled of it.
const fetchWithCode = (url) => fetch(url, { cache: "only-if-cached", mode: "same-origin" }).catch(() => fetch(url));

const within = (ms, promise) => Promise.race([promise.catch(() => {}), new Promise((resolve) => setTimeout(resolve, ms))]);

const compile = (response) => quietly(WebAssembly.compileStreaming(response));

// What is awaited only where it is used, and may have failed by then.
const quietly = (promise) => (promise.catch(() => {}), promise);

// Pyodide asks for its files one after another: here they are all on their way before it does.
async function load(indexURL, runtime, start, msMax, library = fetch(indexURL + LIBRARY)) {
  const asked = { [`${indexURL}pyodide.asm.wasm`]: new Response(), [indexURL + LIBRARY]: quietly(Promise.resolve(library)) };
  quietly(import(`${indexURL}pyodide.asm.mjs`));
  const { loadPyodide } = await import(`${indexURL}pyodide.mjs`);
  const [ask, instantiate] = [self.fetch, WebAssembly.instantiateStreaming];
  return new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error(texts.failure.slow(msMax / 1000))), msMax);
    self.fetch = async (url, init) => asked[url] ?? ask(url, init);
    WebAssembly.instantiateStreaming = (_response, imports) => {
      const begun = runtime.then(async (module) => ({ module, instance: await WebAssembly.instantiate(module, imports) }));
      // Pyodide only logs a failure (no memory, wrong type) and then waits for ever.
      return begun.catch((error) => { reject(new Error(texts.failure.wasm(error.message))); throw error; });
    };
    start(loadPyodide).then(resolve, reject);
  }).finally(() => ([self.fetch, WebAssembly.instantiateStreaming] = [ask, instantiate]));
}
