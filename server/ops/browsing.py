"""The ledger as an operator browses it: a recording, its chunks, the objects that hold them, their neighbours there."""

from uuid import UUID

from protocol.errors import ErrorCode
from protocol.ids import is_recording_id
from server.ops.answers import ObjectContents, Place, PlacePage
from server.recordings.cursors import decode_chunk_cursor, encode_chunk_cursor
from server.recordings.describing import require_recording
from server.refusal import Refusal
from server.storage.blob_store import BlobStore
from server.storage.ledger import Ledger, StoredChunk, StoredObject
from server.storage.ops_ledger import OpsLedger


class Browser:
    """Reads only. Methods raise `Refusal`, `LedgerError`, `BlobStoreError`."""

    def __init__(self, ledger: Ledger, ops_ledger: OpsLedger, store: BlobStore) -> None:
        self._ledger = ledger
        self._ops_ledger = ops_ledger
        self._store = store

    async def list_places(
        self, recording_id: UUID, cursor: str | None, limit: int, *, first_index: int = 0
    ) -> PlacePage:
        """A page, without a cursor from `first_index` on.

        Refuses INVALID_CURSOR, RECORDING_UNKNOWN, RECORDING_DELETED; of a loose chunk CHUNK_UNKNOWN.
        """
        after_index = first_index - 1 if cursor is None else decode_chunk_cursor(cursor)
        rows = await self._ledger.list_chunks(recording_id, after_index=after_index, limit=limit + 1)
        if not rows:
            await self._require(recording_id)
        shown = rows[:limit]
        located = await self._ledger.find_chunks(recording_id, [row.chunk_index for row in shown])
        return PlacePage(
            places=[_describe(found.chunk, found.object) for _, found in sorted(located.items())],
            next_cursor=encode_chunk_cursor(shown[-1].chunk_index) if len(rows) > limit else None,
        )

    async def find_object(self, object_id: UUID) -> ObjectContents:
        """Refuses NOT_FOUND."""
        found = await self._ops_ledger.find_object(object_id)
        if found is None:
            raise Refusal(
                ErrorCode.NOT_FOUND,
                f"the ledger has no object {object_id}",
                next_step="Begin with a recording: its places name the objects.",
            )
        blob = await self._store.head(found.key)
        rows = await self._ledger.list_chunks_of_object(object_id)
        return ObjectContents(
            object_id=object_id,
            key=found.key,
            size=found.size,
            state=found.state,
            verified_at=found.verified_at,
            size_in_bucket=None if blob is None else blob.size,
            chunks=[_describe(row, found) for row in rows],
        )

    async def _require(self, recording_id: UUID) -> None:
        if is_recording_id(recording_id):
            await require_recording(self._ledger, recording_id)
            return
        raise Refusal(
            ErrorCode.CHUNK_UNKNOWN,
            "no chunk was ever acknowledged under this chunkId",
            next_step="Check its spelling: every character counts.",
        )


def _describe(chunk: StoredChunk, held_by: StoredObject) -> Place:
    return Place(
        recording_id=chunk.recording_id,
        chunk_index=chunk.chunk_index,
        run=chunk.run,
        state=chunk.state,
        size=chunk.size,
        sha256=chunk.sha256.hex(),
        acknowledged_at=chunk.acknowledged_at,
        object_id=held_by.object_id,
        object_key=held_by.key,
        object_offset=chunk.offset,
        verified_at=held_by.verified_at,
        chunk_id=chunk.chunk_id,
    )
