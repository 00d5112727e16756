// Boots a built site from its own files in Node and uses the client in it: what cannot start here cannot start on a page.
// stdin: {site: folder, checks: {name: Python source}}; the last line of stdout: {python, packages, checks: [names]}.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const request = JSON.parse(readFileSync(0, "utf8"));
const page = readFileSync(join(request.site, "index.html"), "utf8");
const block = /<script type="application\/json" id="build">(.*?)<\/script>/s.exec(page);
if (block === null) throw new Error("index.html holds no build description");
const build = JSON.parse(block[1]);

for (const [path, { size, integrity }] of Object.entries(build.files)) {
  const bytes = readFileSync(join(request.site, path));
  const found = "sha256-" + createHash("sha256").update(bytes).digest("base64");
  if (bytes.length !== size || found !== integrity) {
    throw new Error(`${path}: expected ${size} bytes with ${integrity}, found ${bytes.length} with ${found}`);
  }
}

const { loadPyodide } = await import(join(request.site, build.runtime, "pyodide.mjs"));
const wanted = Object.keys(build.lock.packages);
const pyodide = await loadPyodide({
  indexURL: join(request.site, build.runtime),
  lockFileContents: build.lock,
  packageBaseUrl: join(request.site, build.packages),
  packages: wanted,
  stdout: () => {},
});
// A package that fails to load does not reject; only this list tells.
const absent = wanted.filter((name) => !(name in pyodide.loadedPackages));
if (absent.length > 0) throw new Error(`packages of the lock did not load: ${absent.join(", ")}`);

const passed = [];
for (const [name, source] of Object.entries(request.checks)) {
  try {
    await pyodide.runPythonAsync(source, { filename: name });
  } catch (error) {
    throw new Error(`${name} failed under the page's Python:\n${error.message}`);
  }
  passed.push(name);
}
const python = pyodide.runPython("import sys; sys.version.split()[0]");

if (build.snapshot) {
  const { loadFromMemory } = await import(join(request.site, build.snapshot.folder, "restore_snapshot.mjs"));
  const options = {
    indexURL: join(request.site, build.runtime),
    lockFileContents: { ...build.lock, packages: {} },
    packageBaseUrl: join(request.site, build.packages),
    stdLibURL: "/dev/null", // it comes later, as in the page
    stdout: () => {},
  };
  const fromMemory = await loadFromMemory(loadPyodide, options, {
    memory: readFileSync(join(request.site, build.snapshot.folder, "python.memory")),
    library: readFileSync(join(request.site, build.runtime, "python_stdlib.zip")),
    extension: WebAssembly.compile(readFileSync(join(request.site, build.snapshot.folder, "extension.wasm"))),
    link: build.snapshot.link,
  });
  for (const [name, source] of Object.entries(request.checks)) {
    try {
      await fromMemory.runPythonAsync(source, { filename: name });
    } catch (error) {
      throw new Error(`${name} failed in the memory snapshot:\n${error.message}`);
    }
  }
}
console.log(JSON.stringify({ python, packages: wanted, checks: passed }));
process.exit(0);
