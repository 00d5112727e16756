"""What the log says: the records of a journal, the frames of slices, and the names of the files.

A recording's folder is named by its recording_id. Each epoch writes `journal-<epoch>` and
`slices-<epoch>-<segment>` of its own and touches no file of another. Records are msgpack maps;
fields and kinds are only ever added: a reader ignores fields it does not know and skips kinds it
does not know.

No record says that something is under way (I9): a chunk is sealed, verified or cleared, and
whatever is not verified is pending at the next start.
"""

import re
import struct
from typing import Final

import msgspec
from msgspec import Struct

from client_py.core.frames import FRAME_HEADER_BYTES, FrameKind, encode_frame

BALLAST_NAME: Final = "ballast"
SEGMENT_BYTES: Final = 32 * 1024 * 1024  # space is freed by the segment; one is read whole at recovery

_JOURNAL_NAME: Final = re.compile(r"journal-(\d{1,9})", re.ASCII)
_SEGMENT_NAME: Final = re.compile(r"slices-(\d{1,9})-(\d{1,9})", re.ASCII)
_SLICE_HEADER: Final = struct.Struct(">IIQ")  # run, slice_number, captured_at_ms
# Where a slice's content begins behind the first byte of its frame.
SLICE_CONTENT_OFFSET: Final = FRAME_HEADER_BYTES + _SLICE_HEADER.size


class Piece(Struct, frozen=True, array_like=True):
    """A range of a segment's bytes that is part of a chunk."""

    epoch: int
    segment: int
    offset: int
    size: int


class Record(Struct, frozen=True, kw_only=True, tag_field="kind"):
    """Root of what a journal holds."""


class Opened(Record, frozen=True, kw_only=True, tag="opened"):
    """The recording exists. Each epoch repeats it in its own journal. `source` as in messages.Record."""

    recording_id: str
    epoch: int
    started_at_ms: int
    source: str


class RunStarted(Record, frozen=True, kw_only=True, tag="run"):
    """A MediaRecorder started and named the MIME type it really uses."""

    run: int
    mime_type: str


class Sealed(Record, frozen=True, kw_only=True, tag="sealed"):
    """A chunk's composition, fixed for ever (I3).

    It holds the recording's bytes from byte `first_offset` of slice `first_slice` up to, and not
    including, byte `next_offset` of slice `next_slice`.
    """

    chunk_index: int
    run: int
    size: int
    sha256: bytes
    first_slice: int
    first_offset: int
    next_slice: int
    next_offset: int
    pieces: list[Piece]


class Verified(Record, frozen=True, kw_only=True, tag="verified"):
    """The server verified these chunks in ledger and bucket."""

    chunk_indexes: list[int]
    at_ms: int


class Cleared(Record, frozen=True, kw_only=True, tag="cleared"):
    """The local bytes of these chunks may go (I1); flushed before the first of them does."""

    chunk_indexes: list[int]


class Closed(Record, frozen=True, kw_only=True, tag="closed"):
    """The manifest is closed: no slice and no chunk follows. `ended` is protocol.states.Ending."""

    ended: str
    at_ms: int
    duration_ms: int = 0  # how long was captured, without the pauses; 0: not known


class Titled(Record, frozen=True, kw_only=True, tag="titled"):
    """The person gave the recording a title; the last one counts. `is_known`: the server was told."""

    title: str
    is_known: bool
    at_ms: int


class Deleted(Record, frozen=True, kw_only=True, tag="deleted"):
    """The person deleted the recording; the server has still to be told."""

    at_ms: int


class Noted(Record, frozen=True, kw_only=True, tag="note"):
    """Something worth knowing when a recording is looked into later; nothing depends on it."""

    note: str
    message: str
    at_ms: int


AnyRecord = Opened | RunStarted | Sealed | Verified | Cleared | Closed | Titled | Deleted | Noted

_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final[msgspec.msgpack.Decoder[AnyRecord]] = msgspec.msgpack.Decoder(AnyRecord)


def journal_name(epoch: int) -> str:
    """The file name of an epoch's journal."""
    return f"journal-{epoch}"


def segment_name(epoch: int, segment: int) -> str:
    """The file name of an epoch's slice segment; segments count from 0."""
    return f"slices-{epoch}-{segment}"


def parse_journal_name(name: str) -> int | None:
    """The epoch, or None where the name is not a journal's."""
    match = _JOURNAL_NAME.fullmatch(name)
    return int(match[1]) if match else None


def parse_segment_name(name: str) -> tuple[int, int] | None:
    """(epoch, segment), or None where the name is not a segment's."""
    match = _SEGMENT_NAME.fullmatch(name)
    return (int(match[1]), int(match[2])) if match else None


def encode_record(recording_id: str, epoch: int, record: AnyRecord) -> bytes:
    """The record as a frame of that epoch's journal."""
    path = f"{recording_id}/{journal_name(epoch)}"
    return encode_frame(path, FrameKind.RECORD, b"", _ENCODER.encode(record))


def decode_record(body: bytes) -> AnyRecord | None:
    """The record of a frame's body, or None where its kind or form is not known to this version."""
    try:
        return _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):  # ValidationError (an unknown kind) is one of the first
        return None


def encode_slice_header(run: int, slice_number: int, captured_at_ms: int) -> bytes:
    """The 16 bytes before a slice's content: run u32, slice number u32, Unix ms u64."""
    return _SLICE_HEADER.pack(run, slice_number, captured_at_ms)


def decode_slice_header(header: bytes) -> tuple[int, int, int] | None:
    """(run, slice_number, captured_at_ms), or None where the header has another form."""
    if len(header) != _SLICE_HEADER.size:
        return None
    run, slice_number, captured_at_ms = _SLICE_HEADER.unpack(header)
    return run, slice_number, captured_at_ms


def encode_slice(
    recording_id: str, epoch: int, segment: int, *, run: int, slice_number: int, captured_at_ms: int, content: bytes
) -> bytes:
    """A slice as a frame of that segment; its content begins `SLICE_CONTENT_OFFSET` bytes into the frame."""
    path = f"{recording_id}/{segment_name(epoch, segment)}"
    header = encode_slice_header(run, slice_number, captured_at_ms)
    return encode_frame(path, FrameKind.SLICE, header, content)
