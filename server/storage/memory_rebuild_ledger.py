"""A rebuild over a ledger in memory, with the whole contract of `RebuildLedger`."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from msgspec import structs

from protocol.states import ChunkState, ObjectState, RecordingState
from server.storage.ledger import NewChunk, StoredChunk, StoredObject, check_page_limit
from server.storage.memory_ledger import MemoryLedger
from server.storage.memory_rows import ObjectRow
from server.storage.rebuild_ledger import FoundObject
from server.storage.rebuild_rules import Placement, content_of, copy_of, place_found


class MemoryRebuildLedger:
    """See `RebuildLedger`; over the rows of a `MemoryLedger`."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger

    async def place(self, found: Sequence[FoundObject], acknowledged_before: datetime | None) -> int:
        new_count = 0
        for item in found:
            new = item.object
            stored = StoredObject(new.object_id, new.key, new.size, new.etag, ObjectState.STORED, self._ledger.now())
            held = self._ledger.objects.setdefault(new.object_id, ObjectRow(stored, entry_count=item.entry_count))
            if held.stored.state is ObjectState.STORED:
                for chunk in item.chunks:
                    new_count += self._place(chunk, acknowledged_before)
        return new_count

    async def list_disputed(self, *, after: tuple[UUID, int] | None, limit: int) -> list[StoredChunk]:
        check_page_limit(limit)
        keys = sorted(key for key in self._ledger.disputed if after is None or key > after)
        rows = [row for row in map(self._ledger.chunks.find, keys) if row is not None]
        return [row for row in rows if row.state is ChunkState.DISPUTED][:limit]

    async def settle_objects(self, *, after: UUID | None, limit: int) -> UUID | None:
        check_page_limit(limit)
        page = sorted(object_id for object_id in self._ledger.objects if after is None or object_id > after)[:limit]
        for object_id in page:
            row = self._ledger.objects[object_id]
            if row.entry_count is not None:
                row.waste_count = max(0, row.entry_count - len(self._ledger.chunks.of_object(object_id)))
                row.has_waste = row.has_waste or row.waste_count > 0
        return page[-1] if len(page) == limit else None

    async def settle_recordings(self, *, after: UUID | None, limit: int) -> UUID | None:
        check_page_limit(limit)
        page = sorted(known for known in self._ledger.recordings if after is None or known > after)[:limit]
        for recording_id in page:
            row = self._ledger.recordings[recording_id]
            if row.state is RecordingState.DAMAGED:
                self._ledger.complete_again(row)
        return page[-1] if len(page) == limit else None

    def _place(self, chunk: NewChunk, acknowledged_before: datetime | None) -> bool:
        key = (chunk.recording_id, chunk.chunk_index)
        recording = self._ledger.recordings.get(chunk.recording_id)
        if chunk.chunk_id is None and (recording is None or recording.state is RecordingState.DELETED):
            return False
        row = self._ledger.chunks.find(key)
        if row is None:
            self._ledger.chunks.write(_row_of(chunk, ChunkState.STORED, self._ledger.now()))
            return True
        is_acknowledged = acknowledged_before is not None and row.acknowledged_at < acknowledged_before
        contents = self._ledger.disputed.get(key, [])
        placement = place_found(chunk, row, contents, is_acknowledged=is_acknowledged)
        if placement is Placement.REPOINT:
            self._ledger.chunks.write(_row_of(chunk, ChunkState.STORED, row.acknowledged_at))
        elif placement is Placement.DISPUTE:
            self._ledger.chunks.write(structs.replace(row, state=ChunkState.DISPUTED))
            self._ledger.disputed[key] = [copy_of(row), chunk]
        elif placement is Placement.ADD_COPY:
            others = [copy for copy in contents if content_of(copy) != content_of(chunk)]
            self._ledger.disputed[key] = [*others, chunk]
            if content_of(copy_of(row)) == content_of(chunk):
                self._ledger.chunks.write(structs.replace(row, object_id=chunk.object_id, offset=chunk.offset))
        return False


def _row_of(chunk: NewChunk, state: ChunkState, acknowledged_at: datetime) -> StoredChunk:
    return StoredChunk(
        chunk.recording_id,
        chunk.chunk_index,
        chunk.run,
        state,
        chunk.object_id,
        chunk.offset,
        chunk.size,
        chunk.sha256,
        acknowledged_at,
        chunk.chunk_id,
    )
