"""The standard library as the page gets it: every module of Pyodide's, compiled by the Python that runs it."""

import zipfile
from pathlib import Path

import build_pyodide
from web_build import pinned_files
from web_build.compiled_library import LIBRARY_NAME

ROOT = Path(__file__).resolve().parents[2]
UNCHECKED_HASH = (1).to_bytes(4, "little")  # PEP 552


def test_every_module_of_the_library_is_there_compiled_and_no_source() -> None:
    build_pyodide.build(ROOT)
    (built,) = (ROOT / "web" / "dist").glob(f"assets/runtime-*/{LIBRARY_NAME}")
    with zipfile.ZipFile(pinned_files.check_runtime_files(ROOT)[LIBRARY_NAME]) as pinned:
        names = [name for name in pinned.namelist() if not name.endswith("/")]
    with zipfile.ZipFile(built) as compiled:
        assert compiled.namelist() == [f"{name}c" if name.endswith(".py") else name for name in sorted(names)]
        heads = {compiled.read(name)[:8] for name in compiled.namelist() if name.endswith(".pyc")}
    (head,) = heads  # of one Python, and each is taken as it is: there is no source to compare it with
    assert head[4:] == UNCHECKED_HASH
