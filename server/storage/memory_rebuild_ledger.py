"""A rebuild over a ledger in memory, with the whole contract of `RebuildLedger`."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from protocol.states import ChunkState, ObjectState, RecordingState
from server.storage.acknowledge_rules import row_of
from server.storage.ledger import NewChunk, StoredChunk, StoredObject, check_page_limit
from server.storage.memory_ledger import MemoryLedger
from server.storage.memory_rows import ObjectRow
from server.storage.rebuild_ledger import FoundObject


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
            self._ledger.chunks.write(row_of(chunk, self._ledger.now()))
            return True
        is_acknowledged = acknowledged_before is not None and row.acknowledged_at < acknowledged_before
        self._ledger.place_beside(chunk, row, is_acknowledged=is_acknowledged)
        return False
