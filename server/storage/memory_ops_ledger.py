"""What an operator asks, in memory: the twin of PostgresOpsLedger, over the rows of a MemoryLedger."""

from collections import Counter
from uuid import UUID

from protocol.states import RecordingState
from server.storage.ledger import StoredObject
from server.storage.memory_ledger import MemoryLedger
from server.storage.ops_ledger import LedgerCounts


class MemoryOpsLedger:
    """Over the rows of `ledger`."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger

    async def count(self) -> LedgerCounts:
        rows = list(self._ledger.recordings.values())
        return LedgerCounts(
            recordings=dict(Counter(row.state.value for row in rows)),
            unmade=sum(row.state is RecordingState.COMPLETE and row.media is None for row in rows),
            findings=dict(Counter(finding.kind.value for finding in self._ledger.findings)),
        )

    async def find_object(self, object_id: UUID) -> StoredObject | None:
        row = self._ledger.objects.get(object_id)
        return None if row is None else row.stored
