// Starts Python from its memory as take_snapshot.mjs wrote it down, beside which this lies in the built page. Pyodide
// restores all of it but a loaded extension, msgspec: here its functions are put back to where that memory points.

// `memory` and `library` (the standard library's archive) are promises of bytes, `extension` of a WebAssembly.Module;
// `link` says where these lay.
export async function loadFromMemory(loadPyodide, options, { memory, library, extension, link }) {
  const createPyodideModule = async (settings) => {
    let runtime;
    const { instantiateWasm } = settings;
    settings.instantiateWasm = (imports, take) => instantiateWasm(imports, (...made) => take(...([runtime] = made)));
    const { default: create } = await import(`${options.indexURL}pyodide.asm.mjs`);
    const [pyodide, bytes, msgspec] = await Promise.all([create(settings), memory, extension]);
    const { API, API: { restoreSnapshot: restore } } = settings;
    API.restoreSnapshot = () => {
      linkExtension(msgspec, runtime.exports, link); // writes its first state, which is overwritten by its last
      return restoreMemory(restore, pyodide.HEAPU8, new Uint8Array(bytes), link.runs);
    };
    return pyodide;
  };
  const pyodide = await loadPyodide({ ...options, createPyodideModule, _loadSnapshot: new Uint8Array(0) });
  // What Python has imported is in the memory: the library's file is for what it imports from now on.
  pyodide.FS.writeFile(link.library, new Uint8Array(await library), { canOwn: true });
  pyodide.pyimport("frozen_modules").modules.wake();
  return pyodide;
}

// `runs` of the memory, with how many zeros lie before each. The first goes through Pyodide, to which its head belongs.
function restoreMemory(restore, heap, kept, [[, first], ...runs]) {
  const [, headSize] = new Uint32Array(kept.buffer, 0, 2);
  let [from, to] = [first, first - headSize];
  for (const [zeros, length] of runs) {
    heap.fill(0, to, (to += zeros)).set(kept.subarray(from, (from += length)), to);
    to += length;
  }
  if (from !== kept.length) throw new Error(`the memory has ${kept.length} bytes, expected ${from}`);
  return restore(kept.subarray(0, first));
}

function linkExtension(library, exports, { memoryBase, tableBase, tableSize, symbols }) {
  const table = exports.__indirect_function_table;
  if (table.length > tableBase) throw new Error(`${table.length} functions lie where the extension began at ${tableBase}`);
  table.grow(tableBase + tableSize - table.length);
  const imports = { env: Object.create(exports, { __memory_base: { value: memoryBase }, __table_base: { value: tableBase } }) };
  for (const [module, values] of Object.entries(symbols)) {
    const globals = Object.entries(values).map(([name, value]) => [name, new WebAssembly.Global({ value: "i32", mutable: true }, value)]);
    imports[module] = Object.fromEntries(globals);
  }
  new WebAssembly.Instance(library, imports);
}
