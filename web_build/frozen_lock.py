"""The page's own minimal lock: what micropip resolved at build time, so that the page resolves nothing."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from web_build.node_tool import run_script
from web_build.pinned_files import sha256_of
from web_build.refusal import BuildError


def freeze_lock(
    node: Path, root: Path, runtime: Mapping[str, Path], micropip: Path, wheels: Mapping[str, Path]
) -> dict[str, Any]:
    """Pyodide's lock of exactly `wheels` (by file name), each with the digest of the file that will be served.

    Raises `BuildError` when micropip's answer names another set of packages.
    """
    info = json.loads(runtime["pyodide-lock.json"].read_text())["info"]
    request = {
        "runtime": str(runtime["pyodide.mjs"].parent),
        "info": info,
        "micropip": str(micropip),
        "wheels": [str(path) for path in wheels.values()],
    }
    lock: dict[str, Any] = run_script(node, root / "web_build" / "freeze_lock.mjs", request)
    for package in lock["packages"].values():
        package["file_name"] = package["file_name"].rsplit("/", 1)[-1]  # micropip saw them under emfs:/wheels/
        package["package_type"] = "package"
    frozen = {package["file_name"]: package["sha256"] for package in lock["packages"].values()}
    expected = {name: sha256_of(path) for name, path in wheels.items()}
    if frozen != expected:
        raise BuildError(
            f"The frozen lock differs from the wheels.\n  expected {expected}\n  found    {frozen}",
            next_step="python build_pyodide.py --force; if it stays so, compare requirements/pyodide.txt",
        )
    return lock
