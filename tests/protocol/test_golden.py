"""The golden files hold under this Python, cover every Struct and table, and a file that lies is noticed."""

import copy
import inspect
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from protocol import errors, states, wire
from tests.golden.check_golden import check_all

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
NAMES = sorted(path.name for path in GOLDEN.glob("*.json"))


def read(name: str) -> str:
    return (GOLDEN / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_file_holds(name: str) -> None:
    assert check_all(read, [name]) > 0


def test_every_struct_of_the_wire_has_its_golden_file() -> None:
    structs = {
        name
        for module in (wire, errors)
        for name, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, msgspec.Struct) and value is not msgspec.Struct
    }
    assert {json.loads(read(name)).get("struct") for name in NAMES} - {None} == structs


def test_every_code_and_state_stands_in_its_golden_file() -> None:
    assert set(json.loads(read("errors.json"))["codes"]) == {code.value for code in errors.ErrorCode}
    for name, members in json.loads(read("states.json"))["enums"].items():
        assert members == {member.name: member.value for member in getattr(states, name)}


def set_at(value: Any, path: list[str | int], new: object) -> Any:
    changed = copy.deepcopy(value)
    inner = changed
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = new
    return changed


@pytest.mark.parametrize(
    ("name", "path", "lie"),
    [
        ("receipt.json", ["cases", 0, "meaning", "size"], 4),
        ("receipt.json", ["cases", 0, "meaning", "recording_id", "uuid"], "00" * 16),
        ("receipt.json", ["cases", 0, "json", "acknowledged_at"], "2026-11-24T03:04:05.678901+00:00"),
        ("receipt.json", ["refused", 0], json.dumps(json.loads(read("receipt.json"))["cases"][0]["json"])),
        ("loose-chunk.json", ["accepted", 0, "json", "data"], "e"),
        ("merkle.json", ["roots", 3, "root"], "00" * 32),
        ("ids.json", ["uuid7", 0, "id"], "017f22e2-79b0-7cc3-98c4-dc0c0c07398e"),
        ("ids.json", ["loose", 0, "chunk_id"], "b"),
        ("ids.json", ["no_chunk_ids", 0], "fine"),
        ("digests.json", ["contents", 0, "sha256"], "00" * 32),
        ("digests.json", ["no_fields", 0], "sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:"),
        ("errors.json", ["codes", "overloaded", "is_final"], True),
        ("states.json", ["enums", "ChunkState", "STORED"], "kept"),
        ("limits.json", ["least", "CHUNK_MAX_BYTES"], 1 << 40),
    ],
)
def test_a_golden_file_that_lies_is_noticed(name: str, path: list[str | int], lie: object) -> None:
    lying = json.dumps(set_at(json.loads(read(name)), path, lie))
    with pytest.raises(AssertionError, match=name):
        check_all(lambda _: lying, [name])
