"""The memory snapshot that a page starts from when it has it at hand: Python up, imports done, the client compiled.

It is an optimisation and bound to its build: Pyodide refuses one of another build, and the page then
starts as it does without one. The same inputs give the same bytes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from web_build.node_tool import run_script

FROZEN_MODULES: Final = Path(__file__).with_name("frozen_modules.py")


def take_snapshot(
    node: Path, runtime: Mapping[str, Path], wheels: Mapping[str, Path], lock: Mapping[str, Any], target: Path
) -> Path:
    """Take it of `runtime` with what `wheels` (of one folder) import, into the file `target`. Raises `BuildError`."""
    request = {
        "runtime": f"{runtime['pyodide.mjs'].parent}/",
        "lock": lock,
        "packages": f"{next(iter(wheels.values())).parent}/",
        "wheels": [str(path) for path in wheels.values()],
        "frozen": str(FROZEN_MODULES),
        "target": str(target),
    }
    run_script(node, Path(__file__).with_name("take_snapshot.mjs"), request)
    return target
