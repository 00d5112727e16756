"""The pack: one bucket object that holds many small chunks and an index of them (docs/FORMATS.md).

The index alone suffices to adopt a pack or to rebuild the ledger from it (I8), so the reader trusts
nothing: a truncated, corrupt or hostile pack gives a `PackError` that says what is wrong, and never
an entry whose bytes lie outside the pack or overlap another's.

    header   8 bytes magic "HFPACK\\r\\n", version u16, flags u16 (0)
    body     the chunks' bytes, one after another, nothing between
    index    msgpack: an array of entries [recording_id, chunk_index, run, offset, size, sha256, chunk_id]
    footer   index offset u64, index length u32, SHA-256 of header and index (32 bytes), 8 bytes magic "\\n\\rKCAPFH"

Integers of header and footer are big-endian; offsets count from the pack's first byte.
"""

import hashlib
import struct
from collections.abc import Sequence
from typing import Annotated, Final
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from protocol.ids import InvalidIdError, is_recording_id, loose_recording_id
from protocol.limits import CHUNK_INDEX_MAX, CHUNK_MAX_BYTES, LOOSE_CHUNK_ID_MAX_CHARS, RUN_MAX

PACK_VERSION: Final = 1
# The line endings show a transfer that rewrote them, as in PNG's signature.
HEADER_MAGIC: Final = b"HFPACK\r\n"
FOOTER_MAGIC: Final = b"\n\rKCAPFH"

_HEADER: Final = struct.Struct(">8sHH")
_FOOTER: Final = struct.Struct(">QI32s8s")

HEADER_BYTES: Final = _HEADER.size
FOOTER_BYTES: Final = _FOOTER.size
# A flush packs at most a few thousand chunks; a reader refuses more before it allocates for them.
PACK_CHUNKS_MAX: Final = 65_536
# 256 bytes an entry are more than the longest possible one (a chunk_id of 128 characters included).
_INDEX_MAX_BYTES: Final = PACK_CHUNKS_MAX * 256


class PackError(Exception):
    """The bytes are not a pack this version can read. The message says what was found and expected."""


class PackEntry(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One chunk of a pack. `offset` counts from the pack's first byte; `recording_id` and `sha256` are raw bytes."""

    recording_id: Annotated[bytes, Meta(min_length=16, max_length=16)]
    chunk_index: Annotated[int, Meta(ge=0, le=CHUNK_INDEX_MAX)]
    run: Annotated[int, Meta(ge=0, le=RUN_MAX)]
    offset: Annotated[int, Meta(ge=HEADER_BYTES)]
    size: Annotated[int, Meta(ge=1, le=CHUNK_MAX_BYTES)]
    sha256: Annotated[bytes, Meta(min_length=32, max_length=32)]
    chunk_id: Annotated[str, Meta(max_length=LOOSE_CHUNK_ID_MAX_CHARS)] | None


class PackChunk(Struct, frozen=True):
    """A chunk to be packed; `sha256` has been checked against `body` before."""

    recording_id: UUID
    chunk_index: int
    run: int
    sha256: bytes
    body: bytes
    chunk_id: str | None = None


_encode_index = msgspec.msgpack.Encoder().encode
_index_decoder = msgspec.msgpack.Decoder(list[PackEntry])


def build_pack(chunks: Sequence[PackChunk]) -> tuple[bytes, list[int]]:
    """The pack of at least one chunk, and each chunk's offset in it."""
    if not 1 <= len(chunks) <= PACK_CHUNKS_MAX:
        raise ValueError(f"a pack holds 1 to {PACK_CHUNKS_MAX} chunks, got {len(chunks)}")
    header = _HEADER.pack(HEADER_MAGIC, PACK_VERSION, 0)
    entries: list[PackEntry] = []
    offsets: list[int] = []
    offset = HEADER_BYTES
    for chunk in chunks:
        size = len(chunk.body)
        entries.append(
            PackEntry(
                chunk.recording_id.bytes, chunk.chunk_index, chunk.run, offset, size, chunk.sha256, chunk.chunk_id
            )
        )
        offsets.append(offset)
        offset += size
    index = _encode_index(entries)
    footer = _FOOTER.pack(offset, len(index), hashlib.sha256(header + index).digest(), FOOTER_MAGIC)
    return b"".join((header, *(chunk.body for chunk in chunks), index, footer)), offsets


def read_pack_index(pack: bytes) -> list[PackEntry]:
    """The entries of a whole pack, in order, after every check but the chunks' own digests.

    Raises `PackError`: wrong magic or version, lengths that disagree, an index whose checksum or
    form is wrong, entries that do not follow one another exactly from header to index, the same key
    twice, or a chunk_id that does not belong to its recording_id.
    """
    index_offset, index_length, checksum = _read_frame(pack)
    index = pack[index_offset : index_offset + index_length]
    if hashlib.sha256(pack[:HEADER_BYTES] + index).digest() != checksum:
        raise PackError("the index's SHA-256 is not the footer's: header or index were changed")
    try:
        entries = _index_decoder.decode(index)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:  # text that is no UTF-8 is no MsgspecError
        raise PackError(f"the index is not a list of entries: {error}") from error
    if not 1 <= len(entries) <= PACK_CHUNKS_MAX:
        raise PackError(f"a pack holds 1 to {PACK_CHUNKS_MAX} chunks, the index lists {len(entries)}")
    _check_entries(entries, index_offset)
    return entries


def read_chunk(pack: bytes, entry: PackEntry) -> bytes:
    """The entry's bytes. Raises `PackError` when they do not have the entry's digest."""
    body = pack[entry.offset : entry.offset + entry.size]
    if hashlib.sha256(body).digest() != entry.sha256:
        raise PackError(f"the bytes at {entry.offset} (chunk {entry.chunk_index}) do not have the index's SHA-256")
    return body


def _read_frame(pack: bytes) -> tuple[int, int, bytes]:
    """Header and footer: (index offset, index length, checksum)."""
    if len(pack) < HEADER_BYTES + FOOTER_BYTES:
        raise PackError(f"a pack has at least {HEADER_BYTES + FOOTER_BYTES} bytes, got {len(pack)}")
    magic, version, flags = _HEADER.unpack_from(pack, 0)
    if magic != HEADER_MAGIC:
        raise PackError(f"a pack begins with {HEADER_MAGIC!r}, got {magic!r}")
    if version != PACK_VERSION or flags != 0:
        raise PackError(f"version {version} with flags {flags}; this server reads version {PACK_VERSION} with flags 0")
    index_offset, index_length, checksum, magic = _FOOTER.unpack_from(pack, len(pack) - FOOTER_BYTES)
    if magic != FOOTER_MAGIC:
        raise PackError(f"a pack ends with {FOOTER_MAGIC!r}, got {magic!r}: the object is cut off or not a pack")
    if index_length > _INDEX_MAX_BYTES or index_offset + index_length + FOOTER_BYTES != len(pack):
        raise PackError(f"index offset {index_offset} and length {index_length} do not fit a pack of {len(pack)} bytes")
    return index_offset, index_length, checksum


def _check_entries(entries: list[PackEntry], index_offset: int) -> None:
    expected = HEADER_BYTES
    keys: set[tuple[bytes, int]] = set()
    for entry in entries:
        if entry.offset != expected:
            raise PackError(f"chunk {entry.chunk_index} begins at {entry.offset}, expected {expected}")
        expected += entry.size
        _check_ids(entry)
        keys.add((entry.recording_id, entry.chunk_index))
    if expected != index_offset:
        raise PackError(f"the chunks end at {expected}, the index begins at {index_offset}")
    if len(keys) != len(entries):
        raise PackError("the index lists one (recording_id, chunk_index) twice")


def _check_ids(entry: PackEntry) -> None:
    recording_id = UUID(bytes=entry.recording_id)
    if entry.chunk_id is None:
        if not is_recording_id(recording_id):
            raise PackError(f"{recording_id} has no chunk_id and is no UUIDv7")
        return
    try:
        expected = loose_recording_id(entry.chunk_id)
    except InvalidIdError as error:
        raise PackError(str(error)) from error
    if (recording_id, entry.chunk_index, entry.run) != (expected, 0, 0):
        raise PackError(f"chunk_id {entry.chunk_id!r} belongs to ({expected}, 0, run 0), the index says {recording_id}")
