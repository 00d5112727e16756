"""Bad forms of everything that a call takes, by the API's own description, and the code that each must get."""

import dataclasses
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from protocol.checksums import format_content_digest
from protocol.errors import ErrorCode
from protocol.limits import (
    CHUNK_INDEX_MAX,
    JSON_BODY_MAX_BYTES,
    LOOSE_BODY_MAX_BYTES,
    MANIFEST_BODY_MAX_BYTES,
    RUN_MAX,
    SEARCH_MAX_CHARS,
)

C = ErrorCode
_WRONG_DIGEST: Final = format_content_digest(hashlib.sha256(b"other bytes").digest())

# (place, name): each bad form, and its code.
BAD_FORMS: Final[dict[tuple[str, str], list[tuple[str, ErrorCode]]]] = {
    ("path", "recording_id"): [
        ("x", C.INVALID_RECORDING_ID),
        ("6a2f41a3-c54c-4ce8-82d2-0324e1c32e22", C.INVALID_RECORDING_ID),
        ("01939B00-0000-7000-8000-00000000DEAD", C.INVALID_RECORDING_ID),
        ("01939b00-0000-7000-8000-00000000dead", C.RECORDING_UNKNOWN),
    ],
    ("path", "chunk_index"): [(text, C.INVALID_CHUNK_INDEX) for text in ("x", "-1", "1.5", f"{CHUNK_INDEX_MAX + 1}")],
    ("path", "chunkId"): [
        ("x" * 129, C.INVALID_CHUNK_ID),
        ("a%20b", C.INVALID_CHUNK_ID),
        ("%C3%A9", C.INVALID_CHUNK_ID),
    ],
    ("path", "object_id"): [("x", C.INVALID_REQUEST), ("01939b00-0000-7000-8000-00000000dead", C.NOT_FOUND)],
    ("header", "Content-Digest"): [
        ("", C.DIGEST_MISSING),
        ("md5=:AAAA:", C.DIGEST_MISSING),
        ("sha-256=:AAAA:", C.DIGEST_MISSING),
        (_WRONG_DIGEST, C.DIGEST_MISMATCH),
    ],
    ("header", "Chunk-Run"): [(text, C.INVALID_REQUEST) for text in ("", "x", "-1", f"{RUN_MAX + 1}")],
    ("header", "Range"): [("bytes=99999999-", C.RANGE_NOT_SATISFIABLE)],
    ("query", "cursor"): [("nonsense", C.INVALID_CURSOR), ("x" * 65, C.INVALID_CURSOR), ("é", C.INVALID_CURSOR)],
    ("query", "limit"): [(text, C.INVALID_REQUEST) for text in ("", "x", "0", "-1", "1001")],
    ("query", "q"): [(text, C.INVALID_REQUEST) for text in ("", " ", "a\0b", "x" * (SEARCH_MAX_CHARS + 1))],
    ("query", "state"): [(text, C.INVALID_REQUEST) for text in ("", "deleted", "open,", "Open")],
    ("query", "started_from"): [
        (text, C.INVALID_REQUEST) for text in ("", "yesterday", "2026-01-31", "9999-06-01T00:00:00Z")
    ],
    ("query", "started_before"): [
        (text, C.INVALID_REQUEST) for text in ("", "2026-01-31T18:00:00", "0001-01-01T00:00:00Z")
    ],
    ("query", "download"): [(text, C.INVALID_REQUEST) for text in ("", "mp3")],
    ("query", "run"): [("x", C.INVALID_REQUEST), ("-1", C.INVALID_REQUEST), ("17", C.MEDIA_UNKNOWN)],
    ("query", "chunks"): [(text, C.INVALID_REQUEST) for text in ("", "x", "0")],
    ("query", "from"): [(text, C.INVALID_REQUEST) for text in ("x", "-1", f"{CHUNK_INDEX_MAX + 1}")],
    ("query", "kind"): [(text, C.INVALID_REQUEST) for text in ("", "lost")],
    ("query", "recording_id"): [("x", C.INVALID_RECORDING_ID)],
    ("query", "resolved"): [(text, C.INVALID_REQUEST) for text in ("", "yes")],
    ("query", "chunk_id"): [("", C.INVALID_CHUNK_ID), ("a b", C.INVALID_CHUNK_ID), ("never-sent", C.CHUNK_UNKNOWN)],
}
# Any value is right: by RFC 9110 one that names nothing known is a condition that does not hold.
HARMLESS: Final = {("header", "If-Range"), ("header", "If-None-Match")}

_BODY_MAX: Final = {
    "/api/chunks/upload": LOOSE_BODY_MAX_BYTES,
    "/api/recordings/{recording_id}/complete": MANIFEST_BODY_MAX_BYTES,
}


@dataclass(frozen=True)
class BadBody:
    """A body, what is wrong with it, and the code it must get; `names` is what the refusal must name."""

    what: str
    content: Any  # bytes as they are, else JSON
    code: ErrorCode
    names: str = ""
    headers: dict[str, str] = dataclasses.field(default_factory=dict)


def bad_bodies(
    path: str, good: dict[str, Any], schema: dict[str, Any], components: dict[str, Any]
) -> Iterator[BadBody]:
    """Everything that can be wrong with this call's JSON, one thing at a time."""
    yield BadBody("no JSON", b"{", C.INVALID_JSON)
    yield BadBody("a list", b"[]", C.INVALID_REQUEST)
    yield BadBody("no type", b"{}", C.UNSUPPORTED_MEDIA_TYPE, headers={"content-type": "text/plain"})
    yield BadBody("encoded", b"{}", C.UNSUPPORTED_MEDIA_TYPE, headers={"content-encoding": "gzip"})
    yield BadBody("too large", b" " * (_BODY_MAX.get(path, JSON_BODY_MAX_BYTES) + 1), C.BODY_TOO_LARGE)
    for place, name, body in _spoil(good, schema, components):
        is_id = place == "$.recording_id" and name != "missing"
        yield BadBody(f"{place} {name}", body, C.INVALID_RECORDING_ID if is_id else C.INVALID_REQUEST, names=place)


def _spoil(
    good: Any, schema: dict[str, Any], components: dict[str, Any], place: str = "$"
) -> Iterator[tuple[str, str, Any]]:
    """(place, what, value) for each part of the value: missing where it is required, and of another type."""
    if "$ref" in schema:
        schema = components[schema["$ref"].rpartition("/")[2]]
    if isinstance(good, list):
        yield place, "no list", {}
        for what_place, what, item in _spoil(good[0], schema["items"], components, f"{place}[0]"):
            yield what_place, what, [item, *good[1:]]
    elif isinstance(good, dict):
        for name in schema["properties"]:
            inside = f"{place}.{name}"
            if name in schema.get("required", ()):
                yield name, "missing", {key: value for key, value in good.items() if key != name}
            if name in good:
                for what_place, what, value in _spoil(good[name], schema["properties"][name], components, inside):
                    yield what_place, what, good | {name: value}
        if place != "$":
            yield place, "no object", 7
    else:
        yield place, "of another type", [good]
