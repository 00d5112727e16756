"""Whether web/dist is what the present inputs would give, decided by digests and never by times."""

import hashlib
from pathlib import Path
from typing import Final

import msgspec

from web_build.pinned_files import sha256_of
from web_build.site import BuildManifest

_INPUT_PATTERNS: Final = (
    "build_pyodide.py",
    "web_build/*",
    "protocol/**/*.py",
    "client_py/**/*.py",
    "requirements/pyodide*.txt",
    "requirements/page-files.txt",
    "package-lock.json",  # names the bundler
    "tests/golden/*",
    "node_modules/pyodide/*",
    "node_modules/lit-html/**/*.js",
    "node_modules/uplot/dist/*",
)


def hash_inputs(root: Path, version: str) -> str:
    """One digest over every file that the build reads, and the project's version."""
    paths = {path for pattern in _INPUT_PATTERNS for path in root.glob(pattern) if path.is_file()}
    dist = root / "web" / "dist"
    paths |= {path for path in root.glob("web/**/*") if path.is_file() and not path.is_relative_to(dist)}
    listing = version + "".join(f"\n{path.relative_to(root)} {sha256_of(path)}" for path in sorted(paths))
    return hashlib.sha256(listing.encode()).hexdigest()


def is_current(dist: Path, stamp: Path, inputs: str) -> bool:
    """Whether the last build had these inputs and all it wrote is still there, unharmed."""
    if not stamp.is_file() or stamp.read_text() != inputs:
        return False
    try:
        manifest = msgspec.json.decode((dist / "build.json").read_bytes(), type=BuildManifest)
    except (OSError, msgspec.DecodeError):
        return False
    return all(_is_whole(dist, file.path, file.sha256, file.encodings) for file in manifest.files)


def write(stamp: Path, inputs: str) -> None:
    """Note that web/dist was built from these inputs."""
    stamp.write_text(inputs)


def _is_whole(dist: Path, name: str, sha256: str, encodings: dict[str, int]) -> bool:
    path = dist / name
    variants = {dist / f"{name}.{'gz' if coding == 'gzip' else coding}": size for coding, size in encodings.items()}
    try:
        return sha256_of(path) == sha256 and all(variant.stat().st_size == size for variant, size in variants.items())
    except OSError:
        return False
