"""What the audit knows, kept current for Prometheus: findings by kind, chunks asked for again, age of passes.

Also settles findings between two audits, so that one is resolved soon after its chunks were sent again.
"""

import asyncio
import logging
from typing import Final

from protocol.states import FindingKind
from server.audit.jobs import READERS
from server.audit.settling import settle_lost_chunks
from server.audit.tally import Tally
from server.metrics import Metrics
from server.storage.audit_ledger import AuditLedger
from server.storage.ledger import LedgerError

_log = logging.getLogger(__name__)

# A few small statements a worker.
_EVERY_S: Final = 15.0


class Vitals:
    """One worker's look at the ledger from time to time."""

    def __init__(self, audit_ledger: AuditLedger, metrics: Metrics, *, unrecoverable_after_s: float) -> None:
        self._audit_ledger = audit_ledger
        self._metrics = metrics
        self._unrecoverable_after_s = unrecoverable_after_s

    async def run(self) -> None:
        """Look for ever; ends by cancellation."""
        while True:
            try:
                await self.look()
            except LedgerError as error:
                _log.warning("findings not counted", extra={"reason": str(error)})
            await asyncio.sleep(_EVERY_S)

    async def look(self) -> None:
        """Look once. Raises `LedgerError`."""
        counts = await self._audit_ledger.count_unresolved()
        if counts:
            await settle_lost_chunks(self._audit_ledger, Tally(), self._unrecoverable_after_s)
            counts = await self._audit_ledger.count_unresolved()
        for kind in FindingKind:
            self._metrics.set_findings(kind, counts.get(kind, 0))
        self._metrics.set_wanted(await self._audit_ledger.count_wanted())
        for name, read_report in READERS.items():
            state = await self._audit_ledger.read_pass(name)
            if state.ended_at is not None:
                age_s = (state.now - state.ended_at).total_seconds()
                self._metrics.set_pass(name, age_s, read_report(state).duration_s)
