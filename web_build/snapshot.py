"""The memory snapshot that a page starts from when it has it at hand: Python up and the client imported.

It is an optimisation and bound to its build: Pyodide refuses one of another build, and the page then
starts as it does without one. The same inputs give the same bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from web_build.node_tool import run_script

FROZEN_MODULES: Final = Path(__file__).with_name("frozen_modules.py")
MEMORY_NAME: Final = "python.memory"
EXTENSION_NAME: Final = "extension.wasm"
LOADER: Final = Path(__file__).with_name("restore_snapshot.mjs")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Two files, and where in the first the second lay (`link`; see restore_snapshot.mjs)."""

    memory: Path
    extension: Path
    link: Mapping[str, Any]


def take_snapshot(
    node: Path, runtime: Mapping[str, Path], wheels: Mapping[str, Path], lock: Mapping[str, Any], folder: Path
) -> Snapshot:
    """Take it of `runtime` with `wheels`, into files of `folder`. Raises `BuildError`."""
    folder.mkdir(parents=True, exist_ok=True)
    memory, extension = folder / MEMORY_NAME, folder / EXTENSION_NAME
    request = {
        "runtime": f"{runtime['pyodide.mjs'].parent}/",
        "lock": lock,
        "wheels": [str(path) for path in wheels.values()],
        "frozen": str(FROZEN_MODULES),
        "memory": str(memory),
        "extension": str(extension),
    }
    link = run_script(node, Path(__file__).with_name("take_snapshot.mjs"), request)
    return Snapshot(memory, extension, link)
