"""What no file of the project may say, as functions from a path or a text to what is wrong with it."""

import ast
import re
from pathlib import PurePosixPath

LINES_MAX = 400  # half of it is the aim; a file that needs more holds two ideas
VAGUE_NAMES = {"util", "utils", "helper", "helpers", "common", "manager", "data", "misc", "stuff"}

# Each in two halves, so that this file does not hold what it looks for.
_MACHINE_PATHS = re.compile(
    r"(?<![\w.$}~])/(?:work|root|home/\w+|Users/\w+|opt/whe" + r"els|tmp/(?:brief|try))(?:/|\b)"
)
_REGISTRIES = re.compile(
    r"\b(?:(?:test\.)?pypi\.o" + r"rg|files\.pythonhosted\.o" + r"rg|registry\.npmjs\.o" + r"rg|registry\.yarnpkg\.c"
    r"om|proxy\.golang\.o" + r"rg|sum\.golang\.o" + r"rg|(?:static\.)?crates\.i" + r"o|deb\.debian\.o" + r"rg"
    r"|cdn\.jsdelivr\.n" + r"et|unpkg\.c" + r"om)\b"
)
_LEFTOVERS = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
_ADDRESS = re.compile(r"https?://|--(?:extra-)?index-url|--find-links|\"resolved\"")


def find_vague_names(path: str) -> list[str]:
    """Folders and modules whose name says nothing of what is inside."""
    parts = PurePosixPath(path).with_suffix("").parts
    words = {word for part in parts for word in (part, part.rpartition("_")[2])}
    return [f"{word!r} says nothing; name what is inside" for word in sorted(words & VAGUE_NAMES)]


def find_missing_docstring(source: str) -> list[str]:
    """A module opens with what it is for."""
    return [] if ast.get_docstring(ast.parse(source)) else ["no docstring: say what it is for and the rule it keeps"]


def find_machine_traces(text: str) -> list[str]:
    """Paths and registry addresses of the machine it was written on."""
    return [
        f"line {number}: {found.group()!r} belongs to one machine"
        for number, line in enumerate(text.splitlines(), 1)
        for pattern in (_MACHINE_PATHS, _REGISTRIES)
        for found in pattern.finditer(line)
    ]


def find_leftovers(text: str) -> list[str]:
    """Notes to oneself; what is left to do is an issue."""
    return [
        f"line {number}: {found.group()} is left over"
        for number, line in enumerate(text.splitlines(), 1)
        for found in _LEFTOVERS.finditer(line)
    ]


def find_excess(text: str) -> list[str]:
    """A file longer than a reader holds."""
    lines = text.count("\n")
    return [f"{lines} lines, at most {LINES_MAX}: it holds two ideas"] if lines > LINES_MAX else []


def find_addresses_in_lock(text: str) -> list[str]:
    """A lock names versions and digests; where they come from is each machine's own setting."""
    return [
        f"line {number}: {line.strip()[:80]}"
        for number, line in enumerate(text.splitlines(), 1)
        if _ADDRESS.search(line)
    ]
