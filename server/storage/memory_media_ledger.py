"""Finished files in memory: the twin of PostgresMediaLedger, over the rows of a MemoryLedger."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

from protocol.states import RecordingState
from server.storage.ledger import check_page_limit
from server.storage.media_ledger import StoredMedia
from server.storage.memory_ledger import MemoryLedger

_NEVER = datetime.max.replace(tzinfo=UTC)


class MemoryMediaLedger:
    """Over the recordings of `ledger`."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger
        self._held: set[UUID] = set()

    async def list_unmade(self, limit: int) -> list[UUID]:
        check_page_limit(limit)
        rows = [
            row
            for row in self._ledger.recordings.values()
            if row.state is RecordingState.COMPLETE and row.media is None
        ]
        rows.sort(key=lambda row: (row.certified_at or _NEVER, row.recording_id))
        return [row.recording_id for row in rows[:limit]]

    async def find_media(self, recording_id: UUID) -> StoredMedia | None:
        row = self._ledger.recordings.get(recording_id)
        return None if row is None else row.media

    async def decide_media(self, recording_id: UUID, made: StoredMedia) -> StoredMedia | None:
        row = self._ledger.recordings.get(recording_id)
        if row is None or row.certificate is None:
            return None
        row.media = row.media or made
        return row.media

    async def forget_media(self, recording_id: UUID, media_id: UUID) -> bool:
        row = self._ledger.recordings.get(recording_id)
        if row is None or row.media is None or row.media.media_id != media_id:
            return False
        row.media = None
        return True

    @asynccontextmanager
    async def hold(self, recording_id: UUID) -> AsyncIterator[bool]:
        is_ours = recording_id not in self._held
        self._held.add(recording_id)
        try:
            yield is_ours
        finally:
            if is_ours:
                self._held.discard(recording_id)
