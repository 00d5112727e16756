"""`make planted-bugs`: plants each bug in a copy of the sources and shows which check catches it."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.planted.bugs import BUGS, Bug

ROOT: Final = Path(__file__).resolve().parent.parent.parent
_COPIED: Final = ("protocol", "server", "client_py", "tests", "e2e", "pyproject.toml")
_TEST_S_MAX: Final = 300
# A bug may make its test wait for ever.
_OPTIONS: Final = ("-p", "no:cacheprovider", "-o", "timeout=60")


def plant(bug: Bug, folder: Path) -> None:
    """A copy of the sources in `folder`, with the bug. Raises `ValueError` where its line is no longer there."""
    for name in _COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    path = folder / bug.path
    source_text = path.read_text(encoding="utf-8")
    if source_text.count(bug.text) != 1:
        raise ValueError(f"{bug.name}: its line is not in {bug.path} any more; plant it anew")
    path.write_text(source_text.replace(bug.text, bug.planted), encoding="utf-8")


def find_catcher(bug: Bug) -> str:
    """The first test that fails with the bug, or "" where none does."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plant(bug, folder)
        for tests in bug.tests:
            command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "--tb=no", *_OPTIONS, tests]
            done = subprocess.run(
                command,
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
                capture_output=True,
                text=True,
                timeout=_TEST_S_MAX,
                check=False,
            )
            if done.returncode == 1:
                failed = [line.split(" ")[1] for line in done.stdout.splitlines() if line.startswith("FAILED ")]
                return failed[0] if failed else tests
            if done.returncode != 0:
                raise RuntimeError(f"{bug.name}: {tests} did not run:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return ""


def main(names: Sequence[str] = ()) -> int:
    """Print the table; 1 where a bug is caught by nothing."""
    chosen = [bug for bug in BUGS if not names or bug.name in names]
    caught = 0
    for bug in chosen:
        began_s = time.monotonic()
        catcher = find_catcher(bug)
        caught += bool(catcher)
        print(f"{bug.name:<34} {catcher or 'NOT CAUGHT'}  ({time.monotonic() - began_s:.0f} s)", flush=True)
    print(f"{caught} of {len(chosen)} planted bugs are caught")
    return 0 if caught == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
