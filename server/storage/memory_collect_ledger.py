"""Collect over a ledger in memory, with the whole contract of `CollectLedger`."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from msgspec import structs

from protocol.states import ChunkState, ObjectState, RecordingState
from server.storage.collect_ledger import Move
from server.storage.keys import PACKS_PREFIX
from server.storage.ledger import LIST_ROWS_MAX, NewObject, StoredObject, check_page_limit
from server.storage.memory_ledger import MemoryLedger
from server.storage.memory_rows import ObjectRow


class MemoryCollectLedger:
    """See `CollectLedger`; over the rows of a `MemoryLedger`."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger

    async def list_waste(self, *, after: UUID | None, limit: int) -> list[StoredObject]:
        check_page_limit(limit)
        rows = [row.stored for row in self._ledger.objects.values() if row.has_waste]
        return [held for held in self._above(rows, after) if held.state is ObjectState.STORED][:limit]

    async def list_small_packs(
        self, *, after_key: str, before_key: str, size_below: int, entries_below: int, limit: int
    ) -> list[StoredObject]:
        check_page_limit(limit)
        today = f"{PACKS_PREFIX}{self._ledger.now():%Y/%m/%d}"
        found = [
            row.stored
            for row in self._ledger.objects.values()
            if max(after_key, PACKS_PREFIX) < row.stored.key < min(before_key, today)
            and row.stored.size < size_below
            and (row.entry_count or 0) < entries_below
            and row.stored.state is ObjectState.STORED
            and not row.has_waste
        ]
        return sorted(found, key=lambda held: held.key)[:limit]

    async def find_states(self, recording_ids: Sequence[UUID]) -> dict[UUID, RecordingState]:
        if len(recording_ids) > LIST_ROWS_MAX:
            raise ValueError(f"at most {LIST_ROWS_MAX} recordings at once, asked for {len(recording_ids)}")
        found = {recording_id: self._ledger.recordings.get(recording_id) for recording_id in recording_ids}
        return {recording_id: row.state for recording_id, row in found.items() if row is not None}

    async def move_chunks(self, new: NewObject, moves: Sequence[Move]) -> int:
        if new.object_id in self._ledger.objects:
            return 0
        self._insert(new, ObjectState.STORED)
        moved = 0
        for move in moves:
            current = self._ledger.chunks.find(move.chunk.key)
            if current is None or current.state is not ChunkState.STORED:
                continue
            if (current.object_id, current.offset) == (move.chunk.object_id, move.chunk.offset):
                self._ledger.chunks.write(structs.replace(current, object_id=new.object_id, offset=move.offset))
                moved += 1
        row = self._ledger.objects[new.object_id]
        row.entry_count, row.waste_count = len(moves), len(moves) - moved
        row.has_waste = row.waste_count > 0
        for object_id in {move.chunk.object_id for move in moves} | {new.object_id}:
            await self.unlink(object_id)
        return moved

    async def unlink(self, object_id: UUID) -> bool:
        row = self._ledger.objects.get(object_id)
        if row is None or row.stored.state is not ObjectState.STORED or self._ledger.is_pointed_to(object_id):
            return False
        row.stored, row.has_waste = replace(row.stored, state=ObjectState.UNLINKED), True
        row.unlinked_at = self._ledger.now()
        return True

    async def clear_waste(self, object_id: UUID, row_count: int) -> bool:
        row = self._ledger.objects.get(object_id)
        states = [chunk.state for chunk in self._ledger.chunks.of_object(object_id)]
        if row is None or row.stored.state is not ObjectState.STORED or states != [ChunkState.STORED] * row_count:
            return False
        row.has_waste, row.waste_count = False, 0
        return True

    async def note_garbage(self, objects: Sequence[NewObject]) -> int:
        unknown = [new for new in objects if new.object_id not in self._ledger.objects]
        for new in unknown:
            self._insert(new, ObjectState.UNLINKED)
        return len(unknown)

    async def claim_deletions(self, *, grace_s: float, after: UUID | None, limit: int) -> list[StoredObject]:
        check_page_limit(limit)
        due = self._ledger.now() - timedelta(seconds=grace_s)
        rows = [
            row.stored
            for row in self._ledger.objects.values()
            if row.stored.state is ObjectState.DELETING
            or (row.stored.state is ObjectState.UNLINKED and row.unlinked_at is not None and row.unlinked_at <= due)
        ]
        claimed: list[StoredObject] = []
        for held in self._above(rows, after)[:limit]:
            if not self._ledger.is_pointed_to(held.object_id):
                row = self._ledger.objects[held.object_id]
                row.stored = replace(held, state=ObjectState.DELETING)
                claimed.append(row.stored)
        return claimed

    async def remove_object(self, object_id: UUID) -> bool:
        row = self._ledger.objects.get(object_id)
        if row is None or row.stored.state is not ObjectState.DELETING or self._ledger.is_pointed_to(object_id):
            return False
        del self._ledger.objects[object_id]
        return True

    async def list_unerased(self, *, grace_s: float, after: UUID | None, limit: int) -> list[UUID]:
        check_page_limit(limit)
        due = self._ledger.now() - timedelta(seconds=grace_s)
        found = [
            row.recording_id
            for row in self._ledger.recordings.values()
            if row.state is RecordingState.DELETED
            and not row.is_erased
            and row.deleted_at is not None
            and row.deleted_at <= due
            and (after is None or row.recording_id > after)
        ]
        return sorted(found)[:limit]

    async def mark_erased(self, recording_id: UUID) -> None:
        row = self._ledger.recordings.get(recording_id)
        if row is not None and row.state is RecordingState.DELETED:
            row.is_erased = True

    def _insert(self, new: NewObject, state: ObjectState) -> None:
        stored = StoredObject(new.object_id, new.key, new.size, new.etag, state, None)
        unlinked_at = self._ledger.now() if state is ObjectState.UNLINKED else None
        self._ledger.objects[new.object_id] = ObjectRow(stored, unlinked_at=unlinked_at)

    @staticmethod
    def _above(rows: Sequence[StoredObject], after: UUID | None) -> list[StoredObject]:
        above = [held for held in rows if after is None or held.object_id > after]
        return sorted(above, key=lambda held: held.object_id)
