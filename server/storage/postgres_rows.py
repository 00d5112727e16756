"""How rows of the ledger's tables become the port's values; the columns stand beside their readers."""

from typing import Any, Final

from protocol.states import ChunkState, ObjectState, RecordingState
from server.storage.ledger import LocatedChunk, StoredChunk, StoredObject, StoredRecording

CHUNK_COLUMNS: Final = (
    "chunks.recording_id, chunks.chunk_index, chunks.run, chunks.state, chunks.object_id,"
    " chunks.object_offset, chunks.size, chunks.sha256, chunks.acknowledged_at, chunks.chunk_id"
)
OBJECT_COLUMNS: Final = "objects.object_id, objects.key, objects.size, objects.etag, objects.state, objects.verified_at"
CHUNK_WIDTH: Final = 10


def read_chunk_row(row: tuple[Any, ...]) -> StoredChunk:
    """A row that begins with CHUNK_COLUMNS."""
    recording_id, index, run, state, object_id, offset, size, sha256, acknowledged_at, chunk_id = row[:CHUNK_WIDTH]
    return StoredChunk(
        recording_id, index, run, ChunkState(state), object_id, offset, size, bytes(sha256), acknowledged_at, chunk_id
    )


def read_located_row(row: tuple[Any, ...]) -> LocatedChunk:
    """A row of CHUNK_COLUMNS followed by OBJECT_COLUMNS."""
    object_id, key, size, etag, state, verified_at = row[CHUNK_WIDTH:]
    stored = StoredObject(object_id, key, size, etag, ObjectState(state), verified_at)
    return LocatedChunk(read_chunk_row(row), stored)


def read_recording_row(row: tuple[Any, ...]) -> StoredRecording:
    """recording_id, mime_type, title, started_at, registered_at, state, three counts, certified_at, media."""
    return StoredRecording(
        recording_id=row[0],
        mime_type=row[1],
        title=row[2],
        started_at=row[3],
        registered_at=row[4],
        state=RecordingState(row[5]),
        chunk_count=row[6],
        byte_count=row[7],
        wanted_count=row[8],
        certified_at=row[9],
        media=None if row[10] is None else bytes(row[10]),
    )
