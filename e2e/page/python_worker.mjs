// A worker that boots the built runtime as the page's own does, then runs the test's Python instead of the client.
self.onmessage = async ({ data: { build, base, modules, entry } }) => {
  try {
    const indexURL = new URL(build.runtime, base).href;
    const { loadPyodide } = await import(`${indexURL}pyodide.mjs`);
    const pyodide = await loadPyodide({
      indexURL,
      lockFileContents: build.lock,
      packageBaseUrl: new URL(build.packages, base).href,
      packages: Object.keys(build.lock.packages),
    });
    pyodide.FS.mkdirTree("/checks");
    for (const [name, source] of Object.entries(modules)) pyodide.FS.writeFile(`/checks/${name}.py`, source);
    pyodide.runPython("import sys; sys.path.insert(0, '/checks')");
    self.postMessage({ result: await pyodide.runPythonAsync(entry) });
  } catch (error) {
    self.postMessage({ error: `${error.name}: ${error.message}` });
  }
};
