"""The audit: bucket and ledger against each other, both ways, page by page (I5).

By set difference over LIST pages and rows in key order, so that a clean audit costs one LIST and one
statement a thousand objects and holds no more than a page. LIST only proposes: what differs is looked
at closely (server/audit/examination.py). A step is one page; between two steps the audit may stop and
another process go on from there. Two audits at once do no harm.
"""

import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from server.audit.examination import Examiner
from server.audit.foreign import ForeignObjects
from server.audit.object_listing import ObjectListing
from server.audit.recording_listing import RecordingListing
from server.audit.recording_repair import RecordingRepair
from server.audit.settling import settle_findings
from server.audit.tally import Phase, Tally
from server.recordings.describing import ConfirmInstallation
from server.storage.audit_ledger import AuditLedger
from server.storage.blob_store import BlobStore
from server.storage.keys import CHUNKS_PREFIX, PACKS_PREFIX
from server.storage.ledger import Ledger

OnStep = Callable[[Tally], Awaitable[None]]

_PHASES: Final = tuple(Phase)


class Auditor:
    """Audits one bucket and one ledger. Ages are the bucket's own for objects and the ledger's own for rows.

    Methods raise `BlobStoreError`, `LedgerError`, and what `confirm_installation` raises: then what was
    done stands, and the same tally goes on from there.
    """

    def __init__(
        self,
        ledger: Ledger,
        audit_ledger: AuditLedger,
        store: BlobStore,
        confirm_installation: ConfirmInstallation,
        *,
        grace_s: float,
        stalled_after_s: float,
        unrecoverable_after_s: float,
    ) -> None:
        self._audit_ledger = audit_ledger
        self._store = store
        self._confirm_installation = confirm_installation
        self._grace = timedelta(seconds=grace_s)
        self._unrecoverable_after_s = unrecoverable_after_s
        foreign = ForeignObjects(audit_ledger, store)
        examiner = Examiner(ledger, audit_ledger, store, confirm_installation)
        self._foreign = foreign
        self._objects = ObjectListing(audit_ledger, store, examiner, foreign)
        self._recordings = RecordingListing(
            audit_ledger,
            store,
            RecordingRepair(ledger, audit_ledger, store),
            foreign,
            stalled_after_s=stalled_after_s,
        )

    async def run(self, tally: Tally, on_step: OnStep) -> None:
        """The rest of the audit that `tally` tells of; `on_step` is awaited after each page."""
        while True:
            is_done = await self.step(tally)
            await on_step(tally)
            if is_done:
                return

    async def step(self, tally: Tally) -> bool:
        """One page; whether it was the last one."""
        started_s = time.monotonic()
        await self._confirm_installation()
        after = await self._audit_page(tally)
        tally.duration_s += time.monotonic() - started_s
        tally.after = after or ""
        if after is not None:
            return False
        position = _PHASES.index(tally.phase) + 1
        if position == len(_PHASES):
            return True
        tally.phase = _PHASES[position]
        return False

    async def _audit_page(self, tally: Tally) -> str | None:
        old_before = await self._store.read_clock() - self._grace
        match tally.phase:
            case Phase.DOCUMENTS:
                return await self._recordings.audit_page(tally.after, tally, old_before)
            case Phase.OWN_OBJECTS:
                return await self._objects.audit_page(CHUNKS_PREFIX, tally.after, tally, old_before)
            case Phase.PACKS:
                return await self._objects.audit_page(PACKS_PREFIX, tally.after, tally, old_before)
            case Phase.FOREIGN:
                return await self._foreign.audit_page(tally.after, tally)
            case Phase.FINDINGS:
                await settle_findings(self._audit_ledger, self._store, tally, self._unrecoverable_after_s)
                return None
