"""Whether an object still holds its chunks: read back whole once, a HEAD afterwards (I1, I4).

    1 fresh row   it may have been verified a moment ago
    2 HEAD        only for an object that was read back before; another size or ETag sends it to 3
    3 read back   one GET of the whole object, every chunk of it checked; damage is believed at the second reading
    4 ask again   damaged chunks become `wanted`, before anyone hears that they are missing
    5 note        the object is verified, for the chunks that stayed `stored`

Concurrent askers of one object share one check. A check that has begun goes on when its askers are
gone, so that an object that is slow to read is verified for the next one who asks.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from protocol.limits import MIB
from protocol.states import ChunkState, FindingKind, Verification
from server.recordings.byte_budget import ByteBudget
from server.recordings.damage import ask_again, find_damaged, list_stored
from server.recordings.describing import ConfirmInstallation
from server.storage.blob_store import BlobNotFoundError, BlobStore, BlobStoreUnavailableError
from server.storage.ledger import Ledger, LocatedChunk, StoredChunk, StoredObject

_log = logging.getLogger(__name__)

# Four of the largest chunks, or some packs: reading back must not need more memory than ingest leaves.
READ_BACK_BYTES_MAX: Final = 32 * MIB
# Half of the threads that the store's adapter has: looking must leave room for what is being stored.
CHECKS_AT_ONCE: Final = 8

ChunkKey = tuple[UUID, int]


@dataclass(frozen=True, slots=True)
class ObjectCheck:
    """What a check found: `is_whole` speaks for all chunks that point to the object; others by their keys."""

    is_whole: bool = False
    held: frozenset[ChunkKey] = frozenset()
    wanted: frozenset[ChunkKey] = frozenset()

    def answer(self, chunk: StoredChunk) -> Verification:
        """The chunk's state; one that the check did not see is pending."""
        key = (chunk.recording_id, chunk.chunk_index)
        if self.is_whole or key in self.held:
            return Verification.VERIFIED
        return Verification.MISSING if key in self.wanted else Verification.PENDING


@dataclass(slots=True, eq=False)
class _SharedCheck:
    task: asyncio.Task[ObjectCheck]
    asker_count: int = 0
    has_begun: bool = False


class ObjectChecks:
    """The checks of one process."""

    def __init__(self, ledger: Ledger, store: BlobStore, confirm_installation: ConfirmInstallation) -> None:
        self._ledger = ledger
        self._store = store
        self._confirm_installation = confirm_installation
        self._slots = asyncio.Semaphore(CHECKS_AT_ONCE)
        self._bytes = ByteBudget(READ_BACK_BYTES_MAX)
        # A row that says unverified must not be answered by somebody's HEAD, so the two are shared apart.
        self._shared: dict[tuple[UUID, bool], _SharedCheck] = {}

    async def check(self, located: LocatedChunk) -> ObjectCheck:
        """Check the object of a chunk that is `stored`; a bucket that does not answer leaves it pending.

        Raises `LedgerError`, `BlobStoreRefusedError`, and what `confirm_installation` raises.
        """
        key = (located.object.object_id, located.object.verified_at is not None)
        shared = self._shared.get(key) or self._begin(key, located)
        shared.asker_count += 1
        try:
            return await asyncio.shield(shared.task)
        finally:
            shared.asker_count -= 1
            if not shared.asker_count and not shared.has_begun:
                self._forget(key, shared)
                shared.task.cancel()  # nobody waits, and it only waited itself

    async def close(self) -> None:
        """End the checks whose askers are gone; nothing may be asked afterwards."""
        tasks = [shared.task for shared in self._shared.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, key: tuple[UUID, bool], located: LocatedChunk) -> _SharedCheck:
        async def run() -> ObjectCheck:
            async with self._slots:
                shared.has_begun = True
                return await self._check(located)

        shared = self._shared[key] = _SharedCheck(asyncio.create_task(run()))
        shared.task.add_done_callback(lambda task: self._end(key, shared, task))
        return shared

    def _end(self, key: tuple[UUID, bool], shared: _SharedCheck, task: asyncio.Task[ObjectCheck]) -> None:
        self._forget(key, shared)
        # Retrieved here too: the askers may be gone.
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.warning("object not checked", extra={"object_id": str(key[0]), "reason": str(error)})

    def _forget(self, key: tuple[UUID, bool], shared: _SharedCheck) -> None:
        if self._shared.get(key) is shared:
            del self._shared[key]

    async def _check(self, located: LocatedChunk) -> ObjectCheck:
        try:
            # 1 fresh row
            held_by = await self._find_fresh(located)
            if held_by is None:
                return ObjectCheck()
            if held_by.verified_at is None:
                return await self._read_back(held_by, held_by.etag)
            # 2 HEAD
            info = await self._store.head(held_by.key)
            if info is None:
                return await self._conclude(held_by, await list_stored(self._ledger, held_by), None, held_by.etag)
            if (info.size, info.etag) == (held_by.size, held_by.etag):
                return ObjectCheck(is_whole=True)
            return await self._read_back(held_by, info.etag)
        except BlobStoreUnavailableError as error:
            _log.info("bucket does not answer", extra={"key": located.object.key, "reason": str(error)})
            return ObjectCheck()

    async def _find_fresh(self, located: LocatedChunk) -> StoredObject | None:
        """The object's row now, None where the chunk has moved or is no longer `stored`."""
        if located.object.verified_at is not None:
            return located.object
        chunk = located.chunk
        found = await self._ledger.find_chunks(chunk.recording_id, [chunk.chunk_index])
        fresh = found.get(chunk.chunk_index)
        if fresh is None or fresh.chunk.object_id != chunk.object_id or fresh.chunk.state is not ChunkState.STORED:
            return None
        return fresh.object

    async def _read_back(self, held_by: StoredObject, etag: str) -> ObjectCheck:
        # 3 read back
        rows = await list_stored(self._ledger, held_by)
        damaged = await self._read(held_by, rows)
        if damaged:  # bytes may also be spoiled on their way here
            damaged = await self._read(held_by, rows)
        return await self._conclude(held_by, rows, damaged, etag)

    async def _read(self, held_by: StoredObject, rows: list[StoredChunk]) -> list[StoredChunk] | None:
        """The damaged rows, None where there is no object. One byte more is asked, to see a longer object."""
        async with self._bytes.take(held_by.size + 1):
            try:
                body = await self._store.get_range(held_by.key, 0, held_by.size + 1)
            except BlobNotFoundError:
                return None
            return await find_damaged(held_by, rows, body)

    async def _conclude(
        self, held_by: StoredObject, rows: list[StoredChunk], damaged: list[StoredChunk] | None, etag: str
    ) -> ObjectCheck:
        lost, kind = (rows, FindingKind.MISSING) if damaged is None else (damaged, FindingKind.MISMATCHED)
        lost_keys = frozenset((row.recording_id, row.chunk_index) for row in lost)
        # 4 ask again
        is_asked = not lost or await ask_again(self._ledger, self._confirm_installation, held_by, lost, kind)
        # 5 note
        held_keys = frozenset((row.recording_id, row.chunk_index) for row in rows) - lost_keys
        if held_keys:
            await self._ledger.mark_verified(held_by.object_id, etag)
        return ObjectCheck(held=held_keys, wanted=lost_keys if is_asked else frozenset())
