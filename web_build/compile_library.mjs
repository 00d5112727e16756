// Compiles Python's standard library, by the Python that will run it: Pyodide brings it as sources only, and a start
// would compile a hundred of its modules each time. stdin: {runtime: folder, library: name in it, target: path};
// the last line of stdout: {}.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const request = JSON.parse(readFileSync(0, "utf8"));
const { loadPyodide } = await import(join(request.runtime, "pyodide.mjs"));
// The order of a constant set follows the hashes: the same sources give the same bytes.
const pyodide = await loadPyodide({ indexURL: request.runtime, env: { HOME: "/", PYTHONHASHSEED: "0" } });
pyodide.FS.writeFile("/sources.zip", new Uint8Array(readFileSync(join(request.runtime, request.library))));
pyodide.runPython(`
import importlib.util, marshal, sys, zipfile

LIBRARY = f"/lib/python{sys.version_info[0]}{sys.version_info[1]}.zip"  # where a page has it: tracebacks name it
UNCHECKED_HASH = (0b01).to_bytes(4, "little")  # PEP 552: there is no source that it could differ from
EPOCH = (1980, 1, 1, 0, 0, 0)

with zipfile.ZipFile("/sources.zip") as sources, zipfile.ZipFile("/compiled.zip", "w", zipfile.ZIP_STORED) as target:
    for name in sorted(sources.namelist()):
        if name.endswith("/"):
            continue
        content = sources.read(name)
        if name.endswith(".py"):
            # As -OO: nobody reads its docstrings here.
            code = compile(content, f"{LIBRARY}/{name}", "exec", dont_inherit=True, optimize=2)
            head = importlib.util.MAGIC_NUMBER + UNCHECKED_HASH + importlib.util.source_hash(content)
            name, content = f"{name}c", head + marshal.dumps(code)
        target.writestr(zipfile.ZipInfo(name, EPOCH), content)
`);
writeFileSync(request.target, pyodide.FS.readFile("/compiled.zip"));
console.log("{}");
