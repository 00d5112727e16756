"""Checks the golden files with msgspec and protocol/ alone, so that the server's Python and the page's can both run it.

A golden file is a promise to every released client: it may get new cases, and none of its cases may change.

A file of a Struct holds `cases` of {json, meaning}: `json`, written compactly in its own order, is exactly what the
Struct encodes to, and `meaning` spells out what it decodes to. `accepted` are other spellings, each with the `json`
it stands for; `refused` are bodies that must not decode. The other files are tables: ids, digests, merkle, errors,
states, limits.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from protocol import checksums, errors, ids, limits, merkle, states, wire

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def check_all(read: Callable[[str], str], names: list[str]) -> int:
    """Check the files `names`, each read by `read(name)`; returns how many cases hold.

    Raises `AssertionError` naming file and case at the first that does not.
    """
    count = 0
    for name in names:
        golden = msgspec.json.decode(read(name))
        check = _TABLES.get(name, _check_struct)
        for case, holds in check(golden):
            assert holds, f"{name}: {case}"
            count += 1
    return count


Checked = list[tuple[str, bool]]  # (what was looked at, whether it is as the file says)


def find_struct(name: str) -> type[msgspec.Struct]:
    """The Struct of that name."""
    struct = getattr(errors if name == "Problem" else wire, name)
    assert isinstance(struct, type)
    assert issubclass(struct, msgspec.Struct)
    return struct


def spell_out(value: Any) -> Any:
    """A decoded value in words of JSON that show its Python type: ids as hex, times as microseconds since 1970."""
    match value:
        case msgspec.Struct():
            fields = {name: getattr(value, name) for name in value.__struct_fields__}
            said = {name: spell_out(field) for name, field in fields.items() if field is not msgspec.UNSET}
            return {"struct": type(value).__name__, **said}
        case UUID():
            return {"uuid": value.hex}
        case datetime():
            return {"unix_us": (value - _EPOCH) // timedelta(microseconds=1)}
        case StrEnum():
            return {"enum": f"{type(value).__name__}.{value.name}"}
        case list():
            return [spell_out(item) for item in value]
        case dict():
            return {key: spell_out(item) for key, item in value.items()}
        case _:
            return value


def _check_struct(golden: dict[str, Any]) -> Checked:
    struct = find_struct(golden["struct"])
    checked: Checked = []
    for case in golden["cases"]:
        body = msgspec.json.encode(case["json"])
        value = msgspec.json.decode(body, type=struct)
        checked.append((f"{body!r} means {spell_out(value)}", spell_out(value) == case["meaning"]))
        checked.append((f"{body!r} is encoded otherwise", msgspec.json.encode(value) == body))
    for case in golden.get("accepted", []):
        value = msgspec.json.decode(case["text"].encode(), type=struct)
        checked.append(
            (f"{case['text']} is read as {value}", value == msgspec.convert(case["json"], struct, strict=True))
        )
    for text in golden.get("refused", []):
        try:
            msgspec.json.decode(text.encode(), type=struct)
        except msgspec.DecodeError:
            checked.append((text, True))
        else:
            checked.append((f"{text} is not refused", False))
    return checked


def _check_ids(golden: dict[str, Any]) -> Checked:
    checked: Checked = []
    for case in golden["uuid7"]:
        made = ids.make_uuid7(case["unix_ms"], bytes.fromhex(case["random"]))
        checked.append((f"{case['id']} is made as {made}", str(made) == case["id"]))
        checked.append((f"{case['id']} is read otherwise", ids.parse_recording_id(case["id"]) == made))
    for case in golden["loose"]:
        made = ids.loose_recording_id(case["chunk_id"])
        checked.append((f"{case['chunk_id']} is kept under {made}", str(made) == case["recording_id"]))
    checked += [
        (f"{text!r} is not refused", _refuses(ids.parse_recording_id, text)) for text in golden["no_recording_ids"]
    ]
    checked += [(f"{text!r} is not refused", _refuses(ids.loose_recording_id, text)) for text in golden["no_chunk_ids"]]
    return checked


def _refuses(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return True
    return False


def _check_digests(golden: dict[str, Any]) -> Checked:
    checked: Checked = []
    for case in golden["contents"]:
        content = case["text"].encode()
        checked.append((f"SHA-256 of {content!r}", checksums.sha256_hex(content) == case["sha256"]))
        field = checksums.format_content_digest(checksums.sha256(content))
        checked.append((f"field of {content!r} is {field}", field == case["content_digest"]))
    for case in golden["fields"]:
        digest = checksums.parse_content_digest(case["field"]).hex()
        checked.append((f"{case['field']} is read as {digest}", digest == case["sha256"]))
    refused = golden["no_fields"]
    return checked + [
        (f"{field!r} is not refused", _refuses(checksums.parse_content_digest, field)) for field in refused
    ]


def _check_merkle(golden: dict[str, Any]) -> Checked:
    checked: Checked = []
    for case in golden["roots"]:
        entries = msgspec.convert(case["entries"], list[wire.ManifestEntry], strict=True)
        root = merkle.merkle_root(entries).hex()
        checked.append((f"root of {len(entries)} entries is {root}", root == case["root"]))
    return checked


def _check_errors(golden: dict[str, Any]) -> Checked:
    found = {
        code.value: {"status": errors.STATUS_OF_CODE[code], "is_final": errors.is_final(code)}
        for code in errors.ErrorCode
    }
    return [(f"{code} is {found.get(code)}", found.get(code) == said) for code, said in golden["codes"].items()]


def _check_states(golden: dict[str, Any]) -> Checked:
    checked: Checked = []
    for name, members in golden["enums"].items():
        enum: type[StrEnum] = getattr(states, name)
        found = {member.name: member.value for member in enum}
        checked += [(f"{name}.{member}", found.get(member) == value) for member, value in members.items()]
    return checked


def _check_limits(golden: dict[str, Any]) -> Checked:
    """A bound may grow and never shrink: a released client sends what fitted it."""
    return [
        (f"{name} is {getattr(limits, name)}", getattr(limits, name) >= least)
        for name, least in golden["least"].items()
    ]


_TABLES: dict[str, Callable[[dict[str, Any]], Checked]] = {
    "ids.json": _check_ids,
    "digests.json": _check_digests,
    "merkle.json": _check_merkle,
    "errors.json": _check_errors,
    "states.json": _check_states,
    "limits.json": _check_limits,
}
