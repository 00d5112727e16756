"""When a recording's client was last heard of: what verification tells, a little of it kept.

It decides only when a recording is called stalled, so it may fail, and costs a statement a recording
and a few minutes at most.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final
from uuid import UUID

from server.storage.audit_ledger import AuditLedger
from server.storage.ledger import LedgerError

_log = logging.getLogger(__name__)

_KEPT_FOR_S: Final = 300.0
_RECORDINGS_MAX: Final = 10_000


class Sightings:
    """What this process noted lately."""

    def __init__(self, audit_ledger: AuditLedger, read_clock_s: Callable[[], float] = time.monotonic) -> None:
        self._audit_ledger = audit_ledger
        self._read_clock_s = read_clock_s
        self._noted_at_s: OrderedDict[UUID, float] = OrderedDict()

    async def note(self, recording_id: UUID) -> None:
        """Its client asked something just now."""
        now_s = self._read_clock_s()
        if now_s - self._noted_at_s.get(recording_id, -_KEPT_FOR_S) < _KEPT_FOR_S:
            return
        self._noted_at_s[recording_id] = now_s
        self._noted_at_s.move_to_end(recording_id)
        if len(self._noted_at_s) > _RECORDINGS_MAX:
            self._noted_at_s.popitem(last=False)
        try:
            await self._audit_ledger.note_sighting(recording_id)
        except LedgerError as error:
            _log.info("sighting not noted", extra={"recording_id": str(recording_id), "reason": str(error)})
