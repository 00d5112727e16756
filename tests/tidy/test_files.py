"""Names, docstrings, lengths and leftovers of every tracked file; each rule is shown to bite."""

import json
import re
from collections.abc import Callable

import pytest

from tests.tidy.source_files import GENERATED, list_files, list_python, list_text, read
from tests.tidy.text_rules import (
    LINES_MAX,
    find_addresses_in_lock,
    find_excess,
    find_leftovers,
    find_machine_traces,
    find_missing_docstring,
    find_vague_names,
)

WRITTEN_BY_PEOPLE = [path for path in list_text() if path not in GENERATED]
CODE = [path for path in WRITTEN_BY_PEOPLE if path.endswith((".py", ".js", ".mjs", ".css", ".html", ".sql", ".sh"))]
LOCKS = [path for path in list_files() if path == "package-lock.json" or re.fullmatch(r"requirements/.*\.txt", path)]


def collect(paths: list[str], rule: Callable[[str], list[str]], *, by_name: bool = False) -> str:
    """Everything that the rule finds in these files, a line each."""
    return "\n".join(f"{path}: {found}" for path in paths for found in rule(path if by_name else read(path)))


def test_no_name_is_vague() -> None:
    assert not collect(list(list_files()), find_vague_names, by_name=True)


def test_every_module_says_what_it_is_for() -> None:
    assert not collect(list_python(), find_missing_docstring)


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    assert not collect(list_text(), find_machine_traces)


def test_nothing_is_left_over() -> None:
    assert not collect(WRITTEN_BY_PEOPLE, find_leftovers)


def test_no_file_is_longer_than_a_reader_holds() -> None:
    assert not collect(CODE, find_excess)


def test_locks_carry_no_addresses() -> None:
    assert len(LOCKS) >= 3
    assert not collect(LOCKS, find_addresses_in_lock)


def read_pins(name: str) -> dict[str, str]:
    """{package: version} of requirements/`name`.txt."""
    return dict(
        re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+)", read(f"requirements/{name}.txt"), re.MULTILINE)
    )


def test_the_tests_run_with_what_the_server_runs_with() -> None:
    run, test = read_pins("run"), read_pins("test")
    assert len(run) > 10
    assert {name: test.get(name) for name in run} == run


def test_both_sides_have_the_same_msgspec() -> None:
    assert read_pins("pyodide")["msgspec"] == read_pins("run")["msgspec"]


def test_every_pin_is_hashed() -> None:
    for path in LOCKS:
        if path == "package-lock.json":
            packages = json.loads(read(path))["packages"]
            assert all("integrity" in package for name, package in packages.items() if name), path
        elif "==" in read(path):
            pins = re.findall(r"^\S+==.*$", read(path), re.MULTILINE)
            assert all(pin.endswith("\\") for pin in pins), path


@pytest.mark.parametrize(
    ("rule", "planted"),
    [
        (find_vague_names, "server/utils.py"),
        (find_vague_names, "client_py/core/queue_manager.py"),
        (find_vague_names, "server/common/ids.py"),
        (find_vague_names, "web/helpers.js"),
        (find_missing_docstring, "import os\n"),
        (find_missing_docstring, ""),
        (find_machine_traces, "see /" + "work/main/x"),
        (find_machine_traces, 'open("/' + 'root/.cache")'),
        (find_machine_traces, "/" + "home/somebody/x"),
        (find_machine_traces, "pip install -i https://" + "pypi.o" + "rg/simple"),
        (find_machine_traces, "registry.npmjs" + ".org"),
        (find_leftovers, "# TO" + "DO: later"),
        (find_leftovers, "// FIX" + "ME"),
        (find_excess, "x\n" * (LINES_MAX + 1)),
        (find_addresses_in_lock, "--index-url " + "x"),
        (find_addresses_in_lock, '"resolved": "https' + '://x"'),
    ],
)
def test_a_planted_violation_is_found(rule: Callable[[str], list[str]], planted: str) -> None:
    assert rule(planted)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (find_vague_names, "server/storage/memory_blob_store.py"),
        (find_machine_traces, "GET /api/recordings; a homework/root folder; ./work/x; $X/work; ~/work"),
        (find_leftovers, "a todo list, hackney"),
        (find_excess, "x\n" * LINES_MAX),
    ],
)
def test_what_is_allowed_is_left_alone(rule: Callable[[str], list[str]], text: str) -> None:
    assert rule(text) == []
