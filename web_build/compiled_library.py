"""Pyodide's files as the page gets them: the standard library compiled, so that a start compiles none of it.

Compiled and not deflated it is sent in about the size of its sources, because the transport's coding sees it whole.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from web_build.node_tool import run_script

LIBRARY_NAME: Final = "python_stdlib.zip"


def compile_library(node: Path, runtime: Mapping[str, Path], folder: Path) -> dict[str, Path]:
    """Copy `runtime` (by name) into `folder`, its library compiled; where each file is now. Raises `BuildError`."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    copies = {name: Path(shutil.copyfile(path, folder / name)) for name, path in runtime.items()}
    request = {
        "runtime": f"{runtime['pyodide.mjs'].parent}/",
        "library": LIBRARY_NAME,
        "target": str(copies[LIBRARY_NAME]),
    }
    run_script(node, Path(__file__).with_name("compile_library.mjs"), request)
    return copies
