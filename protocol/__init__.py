"""What both sides of the wire agree on: types, ids, checksums, states, error codes and limits.

Imports msgspec and the standard library only and does no I/O, so that the same files run under
the server's CPython and under Pyodide in the browser.
"""
