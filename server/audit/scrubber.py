"""The scrub: reads objects back at a set rate and checks every digest, object after object in key order, for ever.

Damage is per chunk: a damaged one becomes `wanted`, its object `has_waste`, and its neighbours go on
being served. It looks at each object as an audit looks at one in doubt (server/audit/examination.py).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from protocol.states import ObjectState
from server.audit.examination import Examiner
from server.audit.tally import Tally
from server.recordings.describing import ConfirmInstallation
from server.storage.audit_ledger import AuditLedger
from server.storage.blob_store import BlobStore
from server.storage.keys import ChunkKey, PackKey, parse_key
from server.storage.ledger import Ledger

_PAGE_OBJECTS: Final = 100
# Above every key.
_KEYS_END: Final = "~"


class ScrubTally(Tally):
    """One scrub: `after` is the last key that was read back."""

    bytes: int = 0


OnScrubbed = Callable[[ScrubTally], Awaitable[None]]


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
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
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
        while page := await self._audit_ledger.list_objects(
            after_key=tally.after, up_to_key=_KEYS_END, limit=_PAGE_OBJECTS
        ):
            for row in page:
                key = parse_key(row.object.key)
                if row.object.state is ObjectState.STORED and row.row_count and isinstance(key, ChunkKey | PackKey):
                    started_s = time.monotonic()
                    await self._examiner.examine(key, tally, adopted_before)
                    tally.objects += 1
                    tally.bytes += row.object.size
                    took_s = time.monotonic() - started_s
                    tally.duration_s += took_s
                    if bytes_per_s:
                        await self._pause(max(0.0, row.object.size / bytes_per_s - took_s))
                tally.after = row.object.key
                await on_scrubbed(tally)
