"""The steps of build_pyodide.py: pinned inputs, the client's wheel, the frozen lock, web/dist, its proof.

Every step refuses with a `BuildError` that names the file, what was expected, what was found and what
to run; none of them leaves a half-written web/dist behind.
"""
