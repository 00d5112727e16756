"""The adapters of client_py.ports to the browser; the only folder that imports `js` or `pyodide`.

Each file calls one API, translates its errors into those of client_py.ports and decides nothing.
Everything here runs on the worker's thread. Rules of Pyodide's FFI that the code below keeps:

- `bytes` given to JavaScript arrive as a proxy, not as a buffer: they are copied with `to_js` first.
- A callback that JavaScript keeps is made with `create_proxy` or `create_once_callable`, and whoever
  made it destroys it when no more calls can come.
- JavaScript's null is `jsnull`: falsy, but not None.
- A callback never returns a Python object to JavaScript.
"""
