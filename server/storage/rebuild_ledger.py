"""The port to what a rebuild writes into the ledger, beside what every client needs (`Ledger`).

The same contract holds (server/storage/ledger.py): a method that returns has committed, a repeat is a
success, and each step repeats its premise. One suite runs over every adapter:
tests/contracts/test_rebuild_ledger.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from server.storage.ledger import NewChunk, NewObject, StoredChunk


@dataclass(frozen=True, slots=True)
class FoundObject:
    """An object that was read back whole: how many entries it names, and the good ones that may count.

    `chunks` have the bytes they name, and are neither voided, nor of a deleted or unknown recording, nor
    outside of a certificate.
    """

    object: NewObject
    entry_count: int
    chunks: tuple[NewChunk, ...]


class RebuildLedger(Protocol):
    """The same database as the `Ledger`, or its stand-in. Every `limit` is 1..LIST_ROWS_MAX."""

    async def place(self, found: Sequence[FoundObject], acknowledged_before: datetime | None) -> int:
        """One transaction: a verified row for each object, and for its chunks by `place_found`; how many are new.

        Rows acknowledged before that time count against every other content; None: there were none. An
        object that is on its way out is left to collect.
        """
        ...

    async def list_disputed(self, *, after: tuple[UUID, int] | None, limit: int) -> list[StoredChunk]:
        """Rows of which two contents were found, in order of recording_id and chunk_index."""
        ...

    async def settle_objects(self, *, after: UUID | None, limit: int) -> UUID | None:
        """Mark those with an entry that no row points to; the last object looked at, None after the last one."""
        ...

    async def settle_recordings(self, *, after: UUID | None, limit: int) -> UUID | None:
        """`damaged` recordings whose manifest is whole and verified become `complete` (I4); as `settle_objects`."""
        ...
