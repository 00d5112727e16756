"""Packs and chunks of their own: LIST pages against `objects` in key order, both ways, in constant memory.

A page costs one LIST and one statement, never a HEAD an object: only what differs is looked at closely.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from protocol.states import ObjectState
from server.audit.examination import Examiner
from server.audit.foreign import ForeignObjects
from server.audit.tally import Tally
from server.storage.audit_ledger import AuditedObject, AuditLedger
from server.storage.blob_store import LIST_PAGE_MAX, BlobInfo, BlobStore
from server.storage.keys import PACKS_PREFIX, ChunkKey, InvalidKeyError, PackKey, parse_key
from server.storage.ledger import LIST_ROWS_MAX

# Each is a few small calls; more at once would take the stores from those who record.
EXAMINED_AT_ONCE: Final = 4
# A pack has up to a thousand rows, which one statement counts: with fewer packs a page it stays far below its limit.
PACKS_PAGE_MAX: Final = 200


class ObjectListing:
    """Audits one page of objects at a time."""

    def __init__(
        self, audit_ledger: AuditLedger, store: BlobStore, examiner: Examiner, foreign: ForeignObjects
    ) -> None:
        self._audit_ledger = audit_ledger
        self._store = store
        self._examiner = examiner
        self._foreign = foreign

    async def audit_page(self, prefix: str, after: str, tally: Tally, adopted_before: datetime) -> str | None:
        """The page of keys under `prefix` above `after` ("" at first); where it ended, None at the last."""
        start = after or prefix
        page_max = min(LIST_PAGE_MAX, PACKS_PAGE_MAX) if prefix == PACKS_PREFIX else LIST_PAGE_MAX
        listed = await self._store.list_page(prefix, start, page_max)
        # "0" follows "/": no key of ours lies between the last one of the prefix and that.
        up_to = listed[-1].key if len(listed) == page_max else f"{prefix[:-1]}0"
        rows = await self._audit_ledger.list_objects(after_key=start, up_to_key=up_to, limit=LIST_ROWS_MAX)
        is_last = len(listed) < page_max
        if len(rows) == LIST_ROWS_MAX:
            up_to, is_last = rows[-1].object.key, False
            listed = [blob for blob in listed if blob.key <= up_to]
        # A spare copy is all that is left of a chunk whose own object was lost: while any chunk is asked for
        # again, what was taken for waste is looked at once more.
        has_waste = any(row.waste_count for row in rows)
        doubts_waste = has_waste and await self._audit_ledger.count_wanted() > 0
        doubted = await self._compare(listed, rows, tally, doubts_waste=doubts_waste)
        await _examine_all(self._examiner, doubted, tally, adopted_before)
        return None if is_last else up_to

    async def _compare(
        self, listed: Sequence[BlobInfo], rows: Sequence[AuditedObject], tally: Tally, *, doubts_waste: bool
    ) -> list[ChunkKey | PackKey]:
        """The keys that differ; counts what there is."""
        blobs = {blob.key: blob for blob in listed}
        doubted: list[ChunkKey | PackKey] = []
        for row in rows:
            blob = blobs.pop(row.object.key, None)
            tally.chunks += row.row_count
            tally.objects += blob is not None
            is_spare = doubts_waste and row.waste_count > 0 and blob is not None
            if row.object.state is ObjectState.STORED and (is_spare or _is_in_doubt(row, blob)):
                doubted.append(_key_of(row.object.key))
        for blob in blobs.values():
            try:
                doubted.append(_key_of(blob.key))
                tally.objects += 1
            except InvalidKeyError:
                await self._foreign.note(blob, tally)
        return doubted


def _is_in_doubt(row: AuditedObject, blob: BlobInfo | None) -> bool:
    if blob is None:
        return row.row_count > row.wanted_count
    is_as_put = (blob.size, blob.etag) == (row.object.size, row.object.etag)
    return not is_as_put or row.wanted_count > 0 or not row.is_accounted_for


def _key_of(text: str) -> ChunkKey | PackKey:
    """Raises `InvalidKeyError` also for a key of ours that is no object of chunks."""
    key = parse_key(text)
    if not isinstance(key, ChunkKey | PackKey):
        raise InvalidKeyError(f"{text!r} is no object of chunks")
    return key


async def _examine_all(
    examiner: Examiner, keys: Sequence[ChunkKey | PackKey], tally: Tally, adopted_before: datetime
) -> None:
    waiting = iter(keys)

    async def work() -> None:
        for key in waiting:
            await examiner.examine(key, tally, adopted_before)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(EXAMINED_AT_ONCE, len(keys))):
                group.create_task(work())
    except ExceptionGroup as errors:
        # One store that fails fails all four; the first error says it.
        raise errors.exceptions[0] from None
