"""What there is now, in one answer, asked of the ledger at most every few seconds however many look."""

import asyncio
import time
from typing import Final

from server.ops.answers import Overview
from server.ops.history import HistoryKeeper
from server.readiness import Readiness
from server.storage.ledger import LedgerError
from server.storage.ops_ledger import LedgerCounts, OpsLedger
from server.version import SERVER_VERSION

_FRESH_S: Final = 3.0
_UNKNOWN: Final = LedgerCounts(recordings={}, unmade=0, findings={})


class Overviewer:
    """Puts the overview together. Never raises for a store that is away: the overview is there to say so."""

    def __init__(self, ops_ledger: OpsLedger, readiness: Readiness, history: HistoryKeeper) -> None:
        self._ops_ledger = ops_ledger
        self._readiness = readiness
        self._history = history
        self._lock = asyncio.Lock()
        self._counts = _UNKNOWN
        self._counted_at_s = float("-inf")

    async def look(self) -> Overview:
        """Now."""
        health = await self._readiness.report()
        async with self._lock:
            if time.monotonic() - self._counted_at_s > _FRESH_S:
                try:
                    self._counts = await self._ops_ledger.count()
                except LedgerError:  # the check of the ledger says so; the last counts stand
                    pass
                else:
                    self._counted_at_s = time.monotonic()
        return Overview(
            now=await asyncio.to_thread(self._history.sample_now),
            checks=health.checks,
            recordings=self._counts.recordings,
            unmade=self._counts.unmade,
            findings=self._counts.findings,
            server_version=SERVER_VERSION,
        )
