"""docs/BROWSERS.md names what exists, and what browsers punish is used nowhere; each rule is shown to bite."""

import re

import pytest

from tests.tidy.source_files import list_text, read

PAGE = "docs/BROWSERS.md"
_NAME = re.compile(r"`((?:test|check)_\w+)`")
_ROW = re.compile(r"^\| (?!what happens|---).*$", re.MULTILINE)
# Calls, so that a comment may say why something is not used.
PUNISHED = {
    "createWritable": re.compile(r"\bcreateWritable\("),
    "a mode of a handle": re.compile(r"\bcreateSyncAccessHandle\([^)]"),
    "move() of a file": re.compile(r"\b(?:entry|handle|file|directory|root)\.move\("),
    "estimate()": re.compile(r"\bstorage\.estimate\("),
    "pyfetch": re.compile(r"\bpyfetch\b"),
    "run_sync": re.compile(r"\brun_sync\("),
    "time.sleep": re.compile(r"\btime\.sleep\("),
    "a stolen lock": re.compile(r"""\bsteal["']?\s*[:=]"""),
    "skipWaiting": re.compile(r"\bskipWaiting\("),
    "clients.claim": re.compile(r"\bclients\.claim\("),
}


def list_defined() -> set[str]:
    """The names of all tests and checks."""
    paths = [path for path in list_text() if path.startswith(("tests/", "e2e/")) and path.endswith(".py")]
    return {name for path in paths for name in re.findall(r"\bdef ((?:test|check)_\w+)", read(path))}


def find_rows_without_a_test(page: str, defined: set[str]) -> list[str]:
    """Rows that name no test, or one that does not exist."""
    rows = _ROW.findall(page)
    return [row for row in rows if not _NAME.findall(row) or set(_NAME.findall(row)) - defined]


def find_punished(source: str) -> list[str]:
    """What the source uses and should not."""
    return [name for name, pattern in PUNISHED.items() if pattern.search(source)]


def test_each_trap_of_the_browsers_is_shown_by_a_test_that_exists() -> None:
    assert len(_ROW.findall(read(PAGE))) > 40
    assert find_rows_without_a_test(read(PAGE), list_defined()) == []


def test_what_browsers_punish_is_used_nowhere() -> None:
    shipped = [path for path in list_text() if path.startswith(("client_py/", "web/")) and "/ops/" not in path]
    assert {path: found for path in shipped if (found := find_punished(read(path)))} == {}


@pytest.mark.parametrize(
    "row", ["| a trap | an answer | nothing |", "| a trap | an answer | `test_that_was_never_written` |"]
)
def test_a_planted_row_without_a_test_is_found(row: str) -> None:
    assert find_rows_without_a_test(row, {"test_another"}) == [row]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("await handle.createWritable()", "createWritable"),
        ("await entry.createSyncAccessHandle({ mode })", "a mode of a handle"),
        ("await handle.move(name)", "move() of a file"),
        ("await js.navigator.storage.estimate()", "estimate()"),
        ("from pyodide.http import pyfetch", "pyfetch"),
        ("run_sync(task)", "run_sync"),
        ("time.sleep(1)", "time.sleep"),
        ("locks.request(name, { steal: true })", "a stolen lock"),
        ("self.skipWaiting()", "skipWaiting"),
        ("self.clients.claim()", "clients.claim"),
    ],
)
def test_a_planted_use_is_found(source: str, name: str) -> None:
    assert find_punished(source) == [name]


def test_what_is_allowed_is_left_alone() -> None:
    assert find_punished("handle = await entry.createSyncAccessHandle()  # no skipWaiting, no claim") == []
