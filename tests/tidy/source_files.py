"""The files that are part of the project: what git tracks and is still there."""

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

# Written by tools, or bytes: no rule for people's text applies to them.
GENERATED = ("package-lock.json", "requirements/run.txt", "requirements/test.txt", "requirements/node.txt")
BINARY_SUFFIXES = (".png", ".gif", ".jpg", ".ico", ".woff2", ".wav", ".webm", ".webp")


@cache
def list_files() -> tuple[str, ...]:
    """Paths from the project's root with `/`, sorted."""
    listing = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return tuple(sorted(path for path in listing.stdout.split("\0") if path and (ROOT / path).is_file()))


def list_python() -> list[str]:
    """The Python files among them."""
    return [path for path in list_files() if path.endswith(".py")]


def list_text() -> list[str]:
    """The files that people read."""
    return [path for path in list_files() if not path.endswith(BINARY_SUFFIXES)]


def read(path: str) -> str:
    """The text of a file by its path from the root."""
    return (ROOT / path).read_text(encoding="utf-8")
