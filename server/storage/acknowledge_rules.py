"""Which answer a chunk gets at acknowledgement, as one pure function that every ledger adapter calls.

The order of precedence is fixed: deleted, unknown, disputed, differs, complete (I3, I4).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from protocol.errors import ErrorCode
from protocol.ids import is_recording_id
from protocol.states import ChunkState, RecordingState
from protocol.wire import Certificate
from server.storage.ledger import Acknowledged, NewChunk, Outcome, Refused, StoredChunk

_decode_certificate = msgspec.json.Decoder(Certificate).decode

ManifestContents = dict[int, tuple[int, int, bytes]]


@dataclass(frozen=True, slots=True)
class Standing:
    """What a recording's locked row says; `contents` is its certificate's manifest, None without one."""

    state: RecordingState
    contents: ManifestContents | None


def read_contents(certificate: bytes) -> ManifestContents:
    """(run, size, sha256) by chunk_index of a kept certificate."""
    entries = _decode_certificate(certificate).manifest.chunks
    return {entry.chunk_index: (entry.run, entry.size, bytes.fromhex(entry.sha256)) for entry in entries}


def judge_chunk(
    chunk: NewChunk, standing: Standing | None, existing: StoredChunk | None, copies: Sequence[NewChunk] = ()
) -> Outcome | None:
    """The chunk's outcome, or None where its row is to be written: inserted, pointed anew, or settled.

    `copies` are the contents that the bucket holds where `existing` is disputed.
    """
    if not is_recording_id(chunk.recording_id):
        standing = None
    elif standing is None:
        return Refused(ErrorCode.RECORDING_UNKNOWN)
    elif standing.state is RecordingState.DELETED:
        return Refused(ErrorCode.RECORDING_DELETED)
    if existing is not None:
        return _judge_repeat(chunk, existing, copies)
    contents = None if standing is None else standing.contents
    if contents is not None and contents.get(chunk.chunk_index) != (chunk.run, chunk.size, chunk.sha256):
        return Refused(ErrorCode.RECORDING_COMPLETE)
    return None


def _judge_repeat(chunk: NewChunk, existing: StoredChunk, copies: Sequence[NewChunk]) -> Outcome | None:
    if existing.state is ChunkState.DISPUTED:
        # Whoever still holds one of the contents was its sender: the first who comes settles it.
        is_known = any((copy.run, copy.size, copy.sha256) == (chunk.run, chunk.size, chunk.sha256) for copy in copies)
        return None if is_known else Refused(ErrorCode.CHUNK_DISPUTED, existing)
    if not existing.has_content_of(chunk.run, chunk.size, chunk.sha256):
        return Refused(ErrorCode.CHUNK_DIFFERS, existing)
    if existing.state is ChunkState.WANTED:
        return None
    # The same call a second time (its first answer was lost) finds its own object.
    return Acknowledged(existing, is_new=points_to(existing, chunk))


def row_of(chunk: NewChunk, acknowledged_at: datetime) -> StoredChunk:
    """The row that a chunk gets."""
    return StoredChunk(
        chunk.recording_id,
        chunk.chunk_index,
        chunk.run,
        ChunkState.STORED,
        chunk.object_id,
        chunk.offset,
        chunk.size,
        chunk.sha256,
        acknowledged_at,
        chunk.chunk_id,
    )


def points_to(row: StoredChunk, chunk: NewChunk) -> bool:
    """Whether the row points to exactly the bytes of this call."""
    return (row.object_id, row.offset) == (chunk.object_id, chunk.offset)
