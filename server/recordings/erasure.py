"""Deleting a recording: a tombstone in the bucket, then in the ledger, then the answer.

From the first step on an audit or a rebuild cannot bring the recording back, wherever the delete
ended. Its objects are removed by later passes (I11); its rows and documents in the ledger go at once.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from protocol.states import RecordingState
from protocol.wire import Tombstone
from server.recordings.documents import Documents
from server.storage.blob_store import BlobStore
from server.storage.keys import TombstoneKey
from server.storage.ledger import Ledger


class Eraser:
    """Deletes recordings. `now` gives the time a new tombstone states, in UTC."""

    def __init__(
        self, ledger: Ledger, store: BlobStore, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._ledger = ledger
        self._documents = Documents(store)
        self._now = now

    async def delete(self, recording_id: UUID) -> None:
        """A repeat is a success, and so is an unknown id: its late chunks are refused from now on.

        Raises `BlobStoreError`, `LedgerError`; the repeat finishes what was begun.
        """
        key = TombstoneKey(recording_id).text
        tombstone = msgspec.json.encode(Tombstone(recording_id=recording_id, deleted_at=self._now()))
        row = await self._ledger.find_recording(recording_id)
        if row is not None and row.state is RecordingState.DELETED:
            # The ledger has one already: the bucket gets that one back if it was lost.
            await self._documents.keep(key, await self._ledger.delete_recording(recording_id, tombstone))
            return
        # 1 the bucket
        standing = await self._documents.keep(key, tombstone)
        # 2 the ledger; 3 the answer
        await self._ledger.delete_recording(recording_id, standing)
