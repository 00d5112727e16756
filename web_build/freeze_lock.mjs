// Boots Pyodide in Node, lets micropip install the page's wheels without any network, and freezes the lock.
// stdin: {runtime: folder, info: lock info, micropip: path, wheels: [path]}; the last line of stdout: the lock.
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";

const request = JSON.parse(readFileSync(0, "utf8"));
const { loadPyodide } = await import(join(request.runtime, "pyodide.mjs"));
const pyodide = await loadPyodide({
  indexURL: request.runtime,
  lockFileContents: { info: request.info, packages: {} },
  packageBaseUrl: request.runtime,
});
pyodide.FS.mkdirTree("/wheels");
for (const wheel of [request.micropip, ...request.wheels]) {
  pyodide.FS.writeFile(`/wheels/${basename(wheel)}`, readFileSync(wheel));
}
pyodide.globals.set("micropip_wheel", `/wheels/${basename(request.micropip)}`);
pyodide.globals.set("wheels", pyodide.toPy(request.wheels.map((wheel) => `emfs:/wheels/${basename(wheel)}`)));
const lock = await pyodide.runPythonAsync(`
import sys

sys.path.insert(0, micropip_wheel)
import micropip

# No index: a dependency that is not among the wheels fails the build instead of being fetched from somewhere.
await micropip.install(list(wheels), index_urls=[])
micropip.freeze()
`);
console.log(JSON.stringify(JSON.parse(lock)));
