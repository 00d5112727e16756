"""The wire only grows, and what is out of bounds is refused before anything else sees it (I6)."""

from typing import Any

import msgspec
import pytest
from hypothesis import given

from protocol import limits, wire
from tests.protocol import wire_values

RECORDING_ID = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"
DIGEST = "ab" * 32
REGISTRATION = {
    "recording_id": RECORDING_ID,
    "mime_type": "audio/webm;codecs=opus",
    "started_at": "2026-11-24T03:04:05Z",
}
ENTRY = {"run": 0, "chunk_index": 0, "size": 1, "sha256": DIGEST}
MANIFEST = {"runs": [{"run": 0, "mime_type": "audio/webm"}], "chunks": [ENTRY], "ended": "stopped"}


def decode(body: object, kind: type[Any]) -> Any:
    return msgspec.json.decode(msgspec.json.encode(body), type=kind)


@given(wire_values.every_struct)
def test_what_is_sent_is_what_arrives(value: msgspec.Struct) -> None:
    assert msgspec.json.decode(msgspec.json.encode(value), type=type(value)) == value


@given(wire_values.every_struct)
def test_a_field_of_a_newer_version_is_ignored(value: msgspec.Struct) -> None:
    body = {"a_newer_field": {"of": ["any", 1, None]}, **msgspec.to_builtins(value)}
    assert decode(body, type(value)) == value


def test_a_gap_of_a_newer_version_may_be_longer() -> None:
    assert decode([3, 5, "newer"], wire.IndexGap) == wire.IndexGap(first=3, last=5)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (wire.RecordingRegistration, {**REGISTRATION, "mime_type": ""}),
        (wire.RecordingRegistration, {**REGISTRATION, "mime_type": "x" * (limits.MIME_TYPE_MAX_CHARS + 1)}),
        (wire.RecordingRegistration, {**REGISTRATION, "mime_type": "audio/webm\n"}),
        (wire.RecordingRegistration, {**REGISTRATION, "mime_type": "audio/webm\r\nx: y"}),
        (wire.RecordingRegistration, {**REGISTRATION, "mime_type": "audio/wäbm"}),
        (wire.RecordingRegistration, {**REGISTRATION, "title": ""}),
        (wire.RecordingRegistration, {**REGISTRATION, "title": "x" * (limits.TITLE_MAX_CHARS + 1)}),
        (wire.RecordingRegistration, {**REGISTRATION, "title": "a\x00b"}),
        (wire.RecordingRegistration, {**REGISTRATION, "title": "a\n"}),
        (wire.RecordingRegistration, {**REGISTRATION, "title": 7}),
        (wire.RecordingRegistration, {**REGISTRATION, "recording_id": "no"}),
        (wire.RecordingRegistration, {**REGISTRATION, "started_at": "2026-11-24T03:04:05"}),
        (wire.RecordingRegistration, {**REGISTRATION, "started_at": 1_700_000_000}),
        (wire.RecordingRegistration, {**REGISTRATION, "started_at": "0001-01-01T00:00:00+23:59"}),
        (wire.RecordingRegistration, {**REGISTRATION, "started_at": "9999-12-31T23:59:59-23:59"}),
        (wire.RecordingRegistration, {**REGISTRATION, "started_at": "1969-12-31T23:59:59Z"}),
        (wire.RecordingRegistration, {"recording_id": RECORDING_ID}),
        (wire.RecordingRegistration, []),
        (wire.RecordingTitle, {}),
        (wire.RecordingTitle, {"title": None}),
        (wire.RecordingTitle, {"title": "a\tb"}),
        (wire.ChunkClaim, {"chunk_index": -1, "sha256": DIGEST}),
        (wire.ChunkClaim, {"chunk_index": limits.CHUNK_INDEX_MAX + 1, "sha256": DIGEST}),
        (wire.ChunkClaim, {"chunk_index": 1.0, "sha256": DIGEST}),
        (wire.ChunkClaim, {"chunk_index": "1", "sha256": DIGEST}),
        (wire.ChunkClaim, {"chunk_index": True, "sha256": DIGEST}),
        (wire.ChunkClaim, {"chunk_index": 1 << 64, "sha256": DIGEST}),
        (wire.ChunkClaim, {"chunk_index": 0, "sha256": DIGEST.upper()}),
        (wire.ChunkClaim, {"chunk_index": 0, "sha256": DIGEST[:-1]}),
        (wire.ChunkClaim, {"chunk_index": 0, "sha256": DIGEST + "a"}),
        (wire.ChunkClaim, {"chunk_index": 0, "sha256": DIGEST + "\n"}),
        (wire.VerifyRequest, {"chunks": []}),
        (wire.VerifyRequest, {"chunks": [{"chunk_index": 0, "sha256": DIGEST}] * (limits.VERIFY_CHUNKS_MAX + 1)}),
        (wire.Manifest, {**MANIFEST, "ended": "crashed"}),
        (wire.Manifest, {**MANIFEST, "runs": [{"run": 0, "mime_type": "a"}] * (limits.RUN_MAX + 2)}),
        (wire.Manifest, {**MANIFEST, "chunks": [{**ENTRY, "size": 0}]}),
        (wire.Manifest, {**MANIFEST, "chunks": [{**ENTRY, "size": limits.CHUNK_MAX_BYTES + 1}]}),
        (wire.Manifest, {**MANIFEST, "chunks": [{**ENTRY, "run": limits.RUN_MAX + 1}]}),
        (wire.Manifest, {**MANIFEST, "chunks": [ENTRY] * (limits.MANIFEST_CHUNKS_MAX + 1)}),
        (wire.LooseChunk, {"chunkId": "a"}),
        (wire.LooseChunk, {"chunkId": 1, "data": ""}),
        (wire.LooseChunk, {"chunkId": "a", "data": None}),
    ],
)
def test_a_body_out_of_bounds_is_refused(kind: type[Any], body: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode(body, kind)


def test_the_largest_bodies_fit_their_bounds() -> None:
    largest = {"chunk_index": limits.CHUNK_INDEX_MAX, "sha256": DIGEST}
    claims = decode({"chunks": [largest] * limits.VERIFY_CHUNKS_MAX}, wire.VerifyRequest)
    assert len(msgspec.json.encode(claims)) <= limits.JSON_BODY_MAX_BYTES
    entry = {**largest, "run": limits.RUN_MAX, "size": limits.CHUNK_MAX_BYTES}
    runs = [{"run": run, "mime_type": "video/webm;codecs=vp9,opus"} for run in range(limits.RUN_MAX + 1)]
    manifest = decode(
        {"runs": runs, "chunks": [entry] * limits.MANIFEST_CHUNKS_MAX, "ended": "recovered"}, wire.Manifest
    )
    assert len(msgspec.json.encode(manifest)) <= limits.MANIFEST_BODY_MAX_BYTES
    loose = {"chunkId": "x" * limits.LOOSE_CHUNK_ID_MAX_CHARS, "data": "\x00" * limits.PACK_CHUNK_MAX_BYTES}
    assert len(msgspec.json.encode(loose)) <= limits.LOOSE_BODY_MAX_BYTES


def test_the_bounds_fit_the_keys_that_are_made_of_them() -> None:
    """A chunk's key gives its index eight digits and its run four."""
    assert len(str(limits.CHUNK_INDEX_MAX)) == 8
    assert len(str(limits.RUN_MAX)) == 4
    assert limits.PACK_CHUNK_MAX_BYTES <= limits.CHUNK_MAX_BYTES
    assert limits.PAGE_ROWS_DEFAULT <= limits.PAGE_ROWS_MAX


def test_control_characters_of_a_loose_chunk_are_its_bytes() -> None:
    loose = decode({"chunkId": "a", "data": "\x00\n\u2028😀"}, wire.LooseChunk)
    assert loose.data.encode() == b"\x00\n\xe2\x80\xa8\xf0\x9f\x98\x80"
