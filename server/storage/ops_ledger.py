"""The port to what an operator asks of the ledger: how many of what there is.

Every adapter keeps this contract, and one suite (tests/contracts/test_ops_ledger.py) runs over all.
"""

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from server.storage.ledger import StoredObject


@dataclass(frozen=True, slots=True)
class LedgerCounts:
    """Recordings by state, those of them that wait for their finished file, and unresolved findings by kind."""

    recordings: dict[str, int]
    unmade: int
    findings: dict[str, int]


class OpsLedger(Protocol):
    """The same database as `Ledger`; raises `LedgerError`."""

    async def count(self) -> LedgerCounts:
        """Reads every recording's state once: for a page that is looked at, not for each request."""
        ...

    async def find_object(self, object_id: UUID) -> StoredObject | None: ...
