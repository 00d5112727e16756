// Takes the memory snapshot that the page starts from: Python with every module of the standard library that the
// client imports, and the client's own modules compiled (frozen_modules.py), all before any of them has run.
// stdin: {runtime: folder, lock, packages: folder, wheels: [path], frozen: path, target: path};
// the last line of stdout: {size, modules: how many of the standard library}.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const request = JSON.parse(readFileSync(0, "utf8"));
const { loadPyodide } = await import(join(request.runtime, "pyodide.mjs"));
const options = { indexURL: request.runtime, packageBaseUrl: request.packages, stdout: () => {} };

const ordinary = await loadPyodide({
  ...options, lockFileContents: request.lock, packages: Object.keys(request.lock.packages),
});
const imported = ordinary.runPython(`
import sys

import client_py.main
import random, zipfile  # frozen_modules

own = ("client_py", "protocol", "msgspec", "js", "pyodide_js", "__main__")
[name for name in sys.modules if name.split(".")[0] not in own]
`).toJs();

// The same build gives the same bytes: no time, no chance and no path of this machine gets into the memory. Its hash
// seed would be the same in every page anyway; `random` is seeded anew at each start.
const STILL_MS = 946_684_800_000;
Date.now = () => STILL_MS;
performance.now = () => 0;
Math.random = () => 0.5;
crypto.getRandomValues = (array) => array.fill(1);
process.argv[1] = "holdfast";

const pyodide = await loadPyodide({
  ...options,
  env: { HOME: "/", PYTHONHASHSEED: "0" },
  lockFileContents: { info: request.lock.info, packages: {} }, _makeSnapshot: true,
});
pyodide.globals.set("imported", pyodide.toPy(imported));
pyodide.globals.set("frozen_source", readFileSync(request.frozen, "utf8"));
pyodide.FS.mkdirTree("/wheels");
request.wheels.forEach((path, index) => pyodide.FS.writeFile(`/wheels/${index}.whl`, readFileSync(path)));
const count = pyodide.runPython(`
import gc, importlib, pathlib, random, sys, types

for name in imported:
    importlib.import_module(name)
frozen = types.ModuleType("frozen_modules")
exec(compile(frozen_source, "frozen_modules.py", "exec"), frozen.__dict__)
sys.modules[frozen.NAME] = frozen
for wheel in sorted(pathlib.Path("/wheels").iterdir()):
    frozen.modules.freeze(wheel.read_bytes())
random.seed(0)
count = len(imported)
for name in ("imported", "frozen_source", "frozen", "wheel", "name", "importlib", "pathlib", "random", "types"):
    del globals()[name]
gc.collect()
count
`);
const snapshot = pyodide.makeMemorySnapshot();
writeFileSync(request.target, snapshot);
console.log(JSON.stringify({ size: snapshot.length, modules: count }));
process.exit(0);
