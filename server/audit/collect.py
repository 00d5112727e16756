"""Collect: what the bucket holds in vain leaves it, and live neighbours keep every byte (DESIGN "Erasure", I11).

One pass, in an order in which nothing that it unlinks is also deleted by it:

    1 confirm     bucket and ledger are of one installation: in a wrong bucket everything looks wasted
    2 delete      objects unlinked at least the grace period ago: decided in the ledger, then the bucket, then the row
    3 prefixes    of deleted recordings: documents go, chunks of a late PUT get a row that step 2 meets later
    4 rewrite     objects with waste: live entries are copied into new packs
    5 merge       small packs of days that are over, a day at a time, for as long as it may

Steps 4 and 5 keep a rate: every byte that is read, written and read back counts.

A copy is made in four steps: read the old object and check every digest, PUT the new pack under a key of
its own, read it back whole and check again, and only then move the rows, in one transaction that moves
exactly those that still are as they were read. A crash leaves a pack that nobody points to (the audit
finds it, a later collect removes it), or rows that have moved; never a row without its bytes. A pass
that died begins again with step 1: what is done needs nothing more.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import groupby
from typing import Final, TypeVar
from uuid import UUID

import msgspec
from msgspec import Struct, structs

from server.audit.pace import Pace, Pause
from server.audit.prefixes import clear_prefixes
from server.audit.repack import PACK_BYTES_MAX, PACK_CHUNKS_MAX, Repacker, group_for_merge
from server.audit.waste import Inspection, Inspector
from server.recordings.describing import ConfirmInstallation
from server.storage.blob_store import BlobStore
from server.storage.collect_ledger import CollectLedger
from server.storage.keys import PackKey, new_uuid7
from server.storage.ledger import LIST_ROWS_MAX, Ledger, StoredObject

_log = logging.getLogger(__name__)

# A quarter of what one pack takes, in bytes and in chunks: merged ones leave this class, so a byte is copied few times.
SMALL_PACK_BYTES: Final = PACK_BYTES_MAX // 4
SMALL_PACK_CHUNKS: Final = PACK_CHUNKS_MAX // 4
# Merging saves requests, and what was deleted must not wait for that: a pass that keeps a rate merges for half an
# hour at most, and the next one goes on.
MERGE_S_MAX: Final = 1_800
# A byte that is copied is read, written and read back.
_MOVES: Final = 3

Item = TypeVar("Item")
Cursor = TypeVar("Cursor")


class CollectTally(Struct, kw_only=True):
    """What one pass did so far. `held_back` counts objects by the reason for which they were left alone."""

    examined: int = 0
    rewritten: int = 0
    packs_written: int = 0
    chunks_moved: int = 0
    unlinked: int = 0
    deleted: int = 0
    bytes_deleted: int = 0
    documents_deleted: int = 0
    late_objects: int = 0
    erased: int = 0
    held_back: dict[str, int] = {}
    duration_s: float = 0.0


OnCollected = Callable[[CollectTally], None]


def read_collect_tally(progress: str) -> CollectTally:
    """What a pass that died had done; what it left alone is looked at again."""
    try:
        return structs.replace(msgspec.json.decode(progress, type=CollectTally), held_back={})
    except msgspec.MsgspecError:
        return CollectTally()


class Collector:
    """Runs passes. `grace_s` is far beyond every deadline of ingest; `bytes_per_s` 0: as fast as it goes."""

    def __init__(
        self,
        ledger: Ledger,
        collected: CollectLedger,
        store: BlobStore,
        confirm_installation: ConfirmInstallation,
        *,
        grace_s: float,
        bytes_per_s: int = 0,
        new_object_id: Callable[[], UUID] = new_uuid7,
        on_progress: OnCollected = lambda _: None,
        pause: Pause = asyncio.sleep,
    ) -> None:
        self._ledger = ledger
        self._collected = collected
        self._store = store
        self._confirm_installation = confirm_installation
        self._grace_s = grace_s
        self._inspector = Inspector(ledger, collected, store, confirm_installation)
        self._new_object_id = new_object_id
        self._on_progress = on_progress
        self._pace = Pace(bytes_per_s, pause)

    async def collect(self, died: CollectTally | None = None) -> CollectTally:
        """One whole pass; counts go on from one that died.

        Raises `Refusal` (store-mismatch), `BlobStoreError`, `LedgerError`; the next one goes on.
        """
        report = died or CollectTally()
        began_s = time.monotonic()
        # 1 confirm
        await self._confirm_installation()
        # 2 delete
        await self._delete(report)
        # 3 prefixes
        await self._clear_prefixes(report)
        # 4 rewrite
        repacker = Repacker(self._ledger, self._collected, self._store, self._new_object_id)
        await self._rewrite(report, repacker)
        # 5 merge
        await self._merge(report, repacker)
        await self._pace.take_turn(0)
        report.duration_s = round(time.monotonic() - began_s - self._pace.waited_s, 3)
        _log.info("collected", extra=structs.asdict(report))
        return report

    async def _delete(self, report: CollectTally) -> None:
        async for held in _pages(
            lambda after: self._collected.claim_deletions(grace_s=self._grace_s, after=after, limit=LIST_ROWS_MAX),
            lambda held: held.object_id,
        ):
            await self._store.delete(held.key)
            if await self._collected.remove_object(held.object_id):
                report.deleted += 1
                report.bytes_deleted += held.size
                self._on_progress(report)

    async def _clear_prefixes(self, report: CollectTally) -> None:
        async for recording_id in _pages(
            lambda after: self._collected.list_unerased(grace_s=self._grace_s, after=after, limit=LIST_ROWS_MAX),
            lambda recording_id: recording_id,
        ):
            cleared = await clear_prefixes(self._collected, self._store, recording_id)
            report.documents_deleted += cleared.documents
            report.late_objects += cleared.late_objects
            if cleared.is_empty:
                await self._collected.mark_erased(recording_id)
                report.erased += 1

    async def _rewrite(self, report: CollectTally, repacker: Repacker) -> None:
        async for held in _pages(
            lambda after: self._collected.list_waste(after=after, limit=LIST_ROWS_MAX), lambda held: held.object_id
        ):
            found = await self._inspect(report, held)
            if found is not None and found.live and not found.dead_count:
                await self._collected.clear_waste(held.object_id, len(found.live))
            elif found is not None:
                await self._take(report, repacker, found)
        await self._finish_pack(report, repacker)

    async def _merge(self, report: CollectTally, repacker: Repacker) -> None:
        after_key = ""
        merged_bytes, bytes_max = 0, self._pace.bytes_per_s * MERGE_S_MAX
        # Not what this pass writes, also where the ledger's day is ahead of this machine's.
        before_key = PackKey(self._new_object_id()).text
        while page := await self._collected.list_small_packs(
            after_key=after_key,
            before_key=before_key,
            size_below=SMALL_PACK_BYTES,
            entries_below=SMALL_PACK_CHUNKS,
            limit=LIST_ROWS_MAX,
        ):
            after_key = page[-1].key
            for _day, packs in groupby(page, key=lambda held: held.key.rpartition("/")[0]):
                for group in group_for_merge(list(packs)):
                    if bytes_max and merged_bytes >= bytes_max:
                        _log.info("merging goes on in the next pass", extra={"bytes": merged_bytes})
                        return
                    merged_bytes += _MOVES * sum(held.size for held in group)
                    for held in group:
                        found = await self._inspect(report, held)
                        if found is not None:
                            await self._take(report, repacker, found)
                    await self._finish_pack(report, repacker)

    async def _inspect(self, report: CollectTally, held: StoredObject) -> Inspection | None:
        """What was found, None where the object is left alone."""
        await self._pace.take_turn(held.size)
        found = await self._inspector.inspect(held)
        report.examined += 1
        self._on_progress(report)
        if found.held_back is None:
            return found
        why = found.held_back.value
        report.held_back[why] = report.held_back.get(why, 0) + 1
        _log.info("object left alone", extra={"key": held.key, "why": why})
        return None

    async def _take(self, report: CollectTally, repacker: Repacker, found: Inspection) -> None:
        """Out where nothing of it is live, else into the pack that is being made."""
        if not found.live:
            report.unlinked += await self._collected.unlink(found.held.object_id)
            return
        if not repacker.has_room_for(found):
            await self._finish_pack(report, repacker)
        repacker.add(found)

    async def _finish_pack(self, report: CollectTally, repacker: Repacker) -> None:
        done = await repacker.finish()
        await self._pace.take_turn((_MOVES - 1) * done.byte_count)
        report.rewritten += done.source_count
        report.packs_written += done.is_written
        report.chunks_moved += done.moved_count
        self._on_progress(report)


async def _pages(
    fetch: Callable[[Cursor | None], Awaitable[list[Item]]], cursor_of: Callable[[Item], Cursor]
) -> AsyncIterator[Item]:
    """Every item, a page at a time; items may leave the listing behind the cursor meanwhile."""
    after: Cursor | None = None
    while page := await fetch(after):
        for item in page:
            yield item
        after = cursor_of(page[-1])
