// Starts Python from its memory as take_snapshot.mjs wrote it down, beside which this lies in the built page. Pyodide
// restores all of it but a loaded extension, msgspec: here its functions are put back to where that memory points.

// `memory` and `extension` are promises of bytes and of a WebAssembly.Module; `link` says where the extension lay.
export async function loadFromMemory(loadPyodide, options, { memory, extension, link }) {
  const createPyodideModule = async (settings) => {
    let runtime;
    const { instantiateWasm } = settings;
    settings.instantiateWasm = (imports, take) => instantiateWasm(imports, (instance, module) => {
      runtime = instance;
      take(instance, module);
    });
    const { default: create } = await import(`${options.indexURL}pyodide.asm.mjs`);
    const [pyodide, bytes, library] = await Promise.all([create(settings), memory, extension]);
    const { API } = settings;
    const restore = API.restoreSnapshot;
    API.restoreSnapshot = () => {
      linkExtension(library, runtime.exports, link); // writes its first state, which is overwritten by its last
      return restore(new Uint8Array(bytes));
    };
    return pyodide;
  };
  const pyodide = await loadPyodide({ ...options, createPyodideModule, _loadSnapshot: new Uint8Array(0) });
  pyodide.pyimport("frozen_modules").modules.wake();
  return pyodide;
}

function linkExtension(library, exports, { memoryBase, tableBase, tableSize, symbols }) {
  const table = exports.__indirect_function_table;
  if (table.length > tableBase) throw new Error(`${table.length} functions lie where the extension began at ${tableBase}`);
  table.grow(tableBase + tableSize - table.length);
  const bases = { __memory_base: { value: memoryBase }, __table_base: { value: tableBase } };
  const imports = { env: Object.create(exports, bases) };
  for (const [module, values] of Object.entries(symbols)) {
    const globals = Object.entries(values).map(([name, value]) => [name, new WebAssembly.Global({ value: "i32", mutable: true }, value)]);
    imports[module] = Object.fromEntries(globals);
  }
  new WebAssembly.Instance(library, imports);
}
