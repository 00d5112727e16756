"""The scrub: reads objects back at a set rate and checks every digest, in key order, for ever.

Several are read at once, so that a distant bucket is not waited for object by object; together they keep
the rate. They end in key order, so `after` never passes one that is still being read, and a scrub that
stopped goes on without a gap.

A sound object costs one GET and one statement. Every other is looked at as an audit looks at one in doubt,
from a fresh row on (server/audit/examination.py): damage is per chunk, a damaged one becomes `wanted`, its
object `has_waste`, and its neighbours go on being served.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from typing import Final

import msgspec

from protocol.states import ObjectState
from server.audit.examination import Examiner
from server.audit.pace import Pace, Pause
from server.audit.tally import Tally
from server.recordings.damage import find_damaged, list_stored
from server.recordings.describing import ConfirmInstallation
from server.storage.audit_ledger import AuditedObject, AuditLedger
from server.storage.blob_store import BlobNotFoundError, BlobStore
from server.storage.keys import ChunkKey, PackKey, parse_key
from server.storage.ledger import Ledger

# Each holds one object, 8 MiB at most (CHUNK_MAX_BYTES): 64 MiB together. Half of the threads that the bucket's
# adapter has, so that those who record and listen get theirs.
READS_AT_ONCE: Final = 8
_PAGE_OBJECTS: Final = 100
# Above every key.
_KEYS_END: Final = "~"


class ScrubTally(Tally):
    """One scrub: `after` is the last key that was read back with all before it; `objects` and `bytes` end there."""

    bytes: int = 0


OnScrubbed = Callable[[ScrubTally], Awaitable[None]]
_Reading = tuple[AuditedObject, "asyncio.Task[None] | None"]


def read_scrub_tally(progress: str) -> ScrubTally:
    """The tally as it was saved; one of another version begins anew."""
    try:
        return msgspec.json.decode(progress, type=ScrubTally)
    except msgspec.MsgspecError:
        return ScrubTally()


class Scrubber:
    """Scrubs one bucket.

    Raises `BlobStoreError`, `LedgerError`, and what `confirm_installation` raises; the same tally goes on there.
    """

    def __init__(
        self,
        ledger: Ledger,
        audit_ledger: AuditLedger,
        store: BlobStore,
        confirm_installation: ConfirmInstallation,
        pause: Pause = asyncio.sleep,
    ) -> None:
        self._ledger = ledger
        self._audit_ledger = audit_ledger
        self._store = store
        self._confirm_installation = confirm_installation
        self._examiner = Examiner(ledger, audit_ledger, store, confirm_installation)
        self._pause = pause

    async def run(self, tally: ScrubTally, on_scrubbed: OnScrubbed, *, bytes_per_s: int) -> None:
        """The rest of the scrub that `tally` tells of, at most at this rate (0: as fast as it goes)."""
        await self._confirm_installation()
        # Orphans are the audit's: whatever has no row when its turn comes is left alone.
        adopted_before = await self._store.read_clock()
        pace = Pace(bytes_per_s, self._pause)
        began_s, worked_before_s = time.monotonic(), tally.duration_s
        reading: deque[_Reading] = deque()

        async def end_oldest() -> None:
            row, task = reading[0]
            if task is not None:
                await task
                tally.objects += 1
                tally.bytes += row.object.size
            reading.popleft()
            tally.after = row.object.key
            tally.duration_s = worked_before_s + time.monotonic() - began_s - pace.waited_s
            await on_scrubbed(tally)

        try:
            async with asyncio.TaskGroup() as group:
                async for row in self._rows(tally.after):
                    while reading and (len(reading) == READS_AT_ONCE or _has_ended(reading[0])):
                        await end_oldest()
                    key, task = _key_to_read(row), None
                    if key is not None:
                        await pace.take_turn(row.object.size)
                        task = group.create_task(self._read(row, key, tally, adopted_before))
                    reading.append((row, task))
                while reading:
                    await end_oldest()
        except ExceptionGroup as errors:
            # A store that fails fails all of them; the first error says it.
            raise errors.exceptions[0] from None
        await pace.take_turn(0)

    async def _rows(self, after: str) -> AsyncIterator[AuditedObject]:
        while page := await self._audit_ledger.list_objects(after_key=after, up_to_key=_KEYS_END, limit=_PAGE_OBJECTS):
            for row in page:
                yield row
            after = page[-1].object.key

    async def _read(
        self, row: AuditedObject, key: ChunkKey | PackKey, tally: ScrubTally, adopted_before: datetime
    ) -> None:
        if not await self._is_sound(row):
            await self._examiner.examine(key, tally, adopted_before)

    async def _is_sound(self, row: AuditedObject) -> bool:
        """Whether every entry is accounted for, and every byte is what its row says; the first time it is noted."""
        held = row.object
        rows = await list_stored(self._ledger, held)
        if len(rows) != row.row_count or not row.is_accounted_for:
            return False
        try:
            body = await self._store.get_range(held.key, 0, held.size + 1)
        except BlobNotFoundError:
            return False
        if await find_damaged(held, rows, body):
            return False
        if held.verified_at is None:
            await self._ledger.mark_verified(held.object_id, held.etag)
        return True


def _key_to_read(row: AuditedObject) -> ChunkKey | PackKey | None:
    """None where there is nothing to read: on its way out, or without a row."""
    if row.object.state is not ObjectState.STORED or not row.row_count:
        return None
    key = parse_key(row.object.key)
    return key if isinstance(key, ChunkKey | PackKey) else None


def _has_ended(reading: _Reading) -> bool:
    return reading[1] is None or reading[1].done()
