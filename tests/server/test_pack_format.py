"""The pack's reader gives back what was packed and refuses everything else, whatever was done to the bytes."""

import hashlib
import struct
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.ids import loose_recording_id, make_uuid7
from server.storage.pack_format import (
    FOOTER_BYTES,
    FOOTER_MAGIC,
    HEADER_BYTES,
    PackChunk,
    PackEntry,
    PackError,
    build_pack,
    read_chunk,
    read_pack_index,
)

RECORDING = make_uuid7(1_700_000_000_000, bytes(10))


def make_chunk(index: int, body: bytes, chunk_id: str | None = None) -> PackChunk:
    recording_id = RECORDING if chunk_id is None else loose_recording_id(chunk_id)
    return PackChunk(recording_id, index if chunk_id is None else 0, 0, hashlib.sha256(body).digest(), body, chunk_id)


SAMPLE = [make_chunk(0, b"first"), make_chunk(7, b"\x00" * 300), make_chunk(0, b"loose", "a/b#1")]


def rebuild(pack: bytes, entries: list[PackEntry]) -> bytes:
    """The same header and body under another index, with lengths and checksum that agree."""
    index_offset = struct.unpack_from(">Q", pack, len(pack) - FOOTER_BYTES)[0]
    index = msgspec.msgpack.encode(entries)
    checksum = hashlib.sha256(pack[:HEADER_BYTES] + index).digest()
    return pack[:index_offset] + index + struct.pack(">QI32s8s", index_offset, len(index), checksum, FOOTER_MAGIC)


@given(st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=40))
def test_a_pack_gives_back_every_chunk(bodies: list[bytes]) -> None:
    chunks = [make_chunk(index, body) for index, body in enumerate(bodies)]
    pack, offsets = build_pack(chunks)
    entries = read_pack_index(pack)
    assert [entry.offset for entry in entries] == offsets
    assert [read_chunk(pack, entry) for entry in entries] == bodies
    assert [(UUID(bytes=e.recording_id), e.chunk_index, e.run, e.chunk_id) for e in entries] == [
        (c.recording_id, c.chunk_index, c.run, c.chunk_id) for c in chunks
    ]


def test_a_loose_chunk_keeps_its_chunk_id() -> None:
    pack, _ = build_pack(SAMPLE)
    assert read_pack_index(pack)[2].chunk_id == "a/b#1"


def test_every_truncation_is_refused() -> None:
    pack, _ = build_pack(SAMPLE)
    for length in range(len(pack)):
        with pytest.raises(PackError):
            read_pack_index(pack[:length])


def test_every_flipped_byte_is_found() -> None:
    pack, _ = build_pack(SAMPLE)
    for position in range(len(pack)):
        damaged = bytearray(pack)
        damaged[position] ^= 0x40
        with pytest.raises(PackError):
            for entry in read_pack_index(bytes(damaged)):
                read_chunk(bytes(damaged), entry)


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_refused(junk: bytes) -> None:
    with pytest.raises(PackError):
        read_pack_index(junk)


@given(st.binary(max_size=120))
def test_an_arbitrary_index_with_a_right_checksum_is_refused(index: bytes) -> None:
    pack, _ = build_pack(SAMPLE)
    offset = struct.unpack_from(">Q", pack, len(pack) - FOOTER_BYTES)[0]
    checksum = hashlib.sha256(pack[:HEADER_BYTES] + index).digest()
    with pytest.raises(PackError):
        read_pack_index(pack[:offset] + index + struct.pack(">QI32s8s", offset, len(index), checksum, FOOTER_MAGIC))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"offset": 1 << 40}, "begins at"),
        ({"offset": HEADER_BYTES + 1}, "begins at"),
        ({"size": 6}, "begins at"),
        ({"recording_id": bytes(16)}, "no UUIDv7"),
        ({"chunk_id": "another"}, "belongs to"),
        ({"chunk_id": "with space"}, "chunkId"),
        ({"chunk_index": 7}, "twice"),
    ],
)
def test_a_hostile_index_is_refused(change: dict[str, object], words: str) -> None:
    pack, _ = build_pack(SAMPLE)
    entries = read_pack_index(pack)
    hostile = msgspec.structs.replace(entries[0], **change)
    with pytest.raises(PackError, match=words):
        read_pack_index(rebuild(pack, [hostile, *entries[1:]]))


def test_an_index_whose_text_is_no_utf8_is_refused() -> None:
    pack, _ = build_pack(SAMPLE)
    index = msgspec.msgpack.encode([PackEntry(bytes(16), 0, 0, HEADER_BYTES, 1, bytes(32), "zz")])[:-2] + b"\xff\xff"
    index_offset = struct.unpack_from(">Q", pack, len(pack) - FOOTER_BYTES)[0]
    checksum = hashlib.sha256(pack[:HEADER_BYTES] + index).digest()
    footer = struct.pack(">QI32s8s", index_offset, len(index), checksum, FOOTER_MAGIC)
    with pytest.raises(PackError, match="not a list of entries"):
        read_pack_index(pack[:index_offset] + index + footer)


def test_a_pack_of_none_cannot_be_built() -> None:
    with pytest.raises(ValueError, match="1 to"):
        build_pack([])
