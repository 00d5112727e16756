// Takes the memory snapshot that the page starts from: Python with the client imported, its extension msgspec included
// (restore_snapshot.mjs puts that one back), and what is not imported compiled (frozen_modules.py).
// stdin: {runtime: folder, lock, wheels: [path], frozen: path, memory: target path, extension: target path};
// the last line of stdout: {library: where Python has the standard library's archive, memoryBase, tableBase, tableSize,
// symbols: {"GOT.mem" or "GOT.func": {name: number}},
// runs: [[zeros left out, bytes that follow in the file], ...]}.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const request = JSON.parse(readFileSync(0, "utf8"));
const { loadPyodide } = await import(join(request.runtime, "pyodide.mjs"));

// The same build gives the same bytes: no time, no chance and no path of this machine gets into the memory. Its hash
// seed would be the same in every page anyway; `random` is seeded anew at each start.
const STILL_MS = 946_684_800_000;
Date.now = () => STILL_MS;
performance.now = () => 0;
Math.random = () => 0.5;
crypto.getRandomValues = (array) => array.fill(1);
process.argv[1] = "holdfast";

let runtime; // Pyodide's own instance
const { instantiate, Module, Instance } = WebAssembly;
WebAssembly.instantiate = async (...parameters) => {
  const started = await instantiate(...parameters);
  if (started.instance?.exports.memory) runtime = started.instance;
  return started;
};
const pyodide = await loadPyodide({
  indexURL: request.runtime, packageBaseUrl: request.runtime, stdout: () => {},
  env: { HOME: "/", PYTHONHASHSEED: "0" },
  lockFileContents: { info: request.lock.info, packages: {} }, _makeSnapshot: true,
});
const heapSize = runtime.exports.memory.buffer.byteLength;

// How Emscripten links the one extension. Before its functions there is room for those that a browser's own start adds.
const table = runtime.exports.__indirect_function_table;
table.grow(64);
const extensions = [];
WebAssembly.Module = function (bytes) {
  const module = new Module(bytes);
  extensions.push({ module, bytes });
  return module;
};
WebAssembly.Instance = function (module, imports) {
  const instance = new Instance(module, imports);
  Object.assign(extensions.find((one) => one.module === module), { imports, instance, tableEnd: table.length });
  return instance;
};
const set = WebAssembly.Table.prototype.set;
const strangers = [];
WebAssembly.Table.prototype.set = function (index, called) {
  // Its initialiser has run and is never called again; anything else would be missing in a page.
  if (called !== extensions.at(-1)?.instance?.exports.PyInit__core) strangers.push(index);
  return set.call(this, index, called);
};

pyodide.globals.set("frozen_source", readFileSync(request.frozen, "utf8"));
pyodide.FS.mkdirTree("/wheels");
request.wheels.forEach((path, index) => pyodide.FS.writeFile(`/wheels/${index}.whl`, readFileSync(path)));
pyodide.runPython(`
import gc, pathlib, random, sys, types

frozen = types.ModuleType("frozen_modules")
exec(compile(frozen_source, "frozen_modules.py", "exec"), frozen.__dict__)
sys.modules[frozen.NAME] = frozen
for wheel in sorted(pathlib.Path("/wheels").iterdir()):
    frozen.modules.freeze(wheel.read_bytes())
frozen.modules.install("/frozen")
import client_py.main

frozen.modules.forget()
random.seed(0)
for name in ("frozen_source", "frozen", "wheel", "client_py", "pathlib", "random", "types"):
    del globals()[name]
gc.collect()
`);
const refuse = (why) => {
  throw new Error(`the memory snapshot cannot be taken: ${why}; see web_build/restore_snapshot.mjs`);
};
if (extensions.length !== 1) refuse(`one extension was expected, ${extensions.length} were loaded`);
if (strangers.length) refuse(`functions were added at ${strangers} of the table`);
if (runtime.exports.memory.buffer.byteLength !== heapSize) refuse(`Python needs more than its first ${heapSize} bytes`);
const [{ module, bytes, imports, tableEnd }] = extensions;
const { __memory_base: memoryBase, __table_base: tableBase } = imports.env;
const symbols = { "GOT.mem": {}, "GOT.func": {} };
for (const { module: from, name, kind } of Module.imports(module)) {
  if (from in symbols) symbols[from][name] = imports[from][name].value;
  else if (kind === "function" && imports[from][name] !== runtime.exports[name]) refuse(`${name} is none of Pyodide's`);
}

// Two fifths of it are zeros, the unused stack above all: blocks of zeros are left out.
const BLOCK_BYTES = 65_536;
const snapshot = Buffer.from(pyodide.makeMemorySnapshot());
const zeros = Buffer.alloc(BLOCK_BYTES);
const parts = [];
const runs = []; // [how many zeros were left out, how many bytes follow in the file]
for (let at = 0, end = -1; at < snapshot.length; at += BLOCK_BYTES) {
  const block = snapshot.subarray(at, at + BLOCK_BYTES);
  if (block.equals(zeros.subarray(0, block.length))) continue;
  if (at === end) runs.at(-1)[1] += block.length;
  else runs.push([at - Math.max(end, 0), block.length]);
  end = at + block.length;
  parts.push(block);
}
writeFileSync(request.memory, Buffer.concat(parts));
writeFileSync(request.extension, bytes);
const library = `/lib/${pyodide.FS.readdir("/lib").find((name) => name.endsWith(".zip"))}`;
console.log(JSON.stringify({ library, memoryBase, tableBase, tableSize: tableEnd - tableBase, symbols, runs }));
process.exit(0);
