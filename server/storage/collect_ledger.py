"""The port to what collect reads and changes in the ledger, beside what every client needs (`Ledger`).

The same contract holds (server/storage/ledger.py): a method that returns has committed, a repeat is a
success, times are the ledger's own, and every step repeats its premise in the transaction that makes
it, so that two collects at once do no harm. One suite runs over every adapter:
tests/contracts/test_collect_ledger.py.

An object leaves in three steps, each of a transaction of its own (I11): `unlinked` when nothing points
to it any more, `deleting` at least the grace period later when still nothing does, and then, after the
bucket's object is gone, without a row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from protocol.states import RecordingState
from server.storage.ledger import NewObject, StoredChunk, StoredObject


@dataclass(frozen=True, slots=True)
class Move:
    """A chunk's row as it was read, and where its bytes stand in the new object."""

    chunk: StoredChunk
    offset: int


class CollectLedger(Protocol):
    """The same database as the `Ledger`, or its stand-in. Every `limit` is 1..LIST_ROWS_MAX."""

    async def list_waste(self, *, after: UUID | None, limit: int) -> list[StoredObject]:
        """`stored` objects with `has_waste`, in order of object_id."""
        ...

    async def list_small_packs(
        self, *, after_key: str, before_key: str, size_below: int, entries_below: int, limit: int
    ) -> list[StoredObject]:
        """`stored` packs of days that are over (UTC) without `has_waste`, in order of keys, both bounds left out.

        They are smaller than `size_below` bytes and hold fewer than `entries_below` chunks, where that is known.
        """
        ...

    async def find_states(self, recording_ids: Sequence[UUID]) -> dict[UUID, RecordingState]:
        """The states of those of at most LIST_ROWS_MAX recordings that have a row."""
        ...

    async def move_chunks(self, new: NewObject, moves: Sequence[Move]) -> int:
        """One transaction: the new object's row, and each row that is as it was read points to it; how many do.

        A row that changed meanwhile stays as it is, and the new object then has waste. Objects that
        nothing points to afterwards become `unlinked`, the new one too where no row moved.
        """
        ...

    async def unlink(self, object_id: UUID) -> bool:
        """The object becomes `unlinked` if nothing points to it; False where something does."""
        ...

    async def clear_waste(self, object_id: UUID, row_count: int) -> bool:
        """Every entry was found live: `has_waste` goes if still so many rows, all `stored`, point to it."""
        ...

    async def note_garbage(self, objects: Sequence[NewObject]) -> int:
        """Objects that were found and that nothing may point to get a row, `unlinked` from now; how many had none."""
        ...

    async def claim_deletions(self, *, grace_s: float, after: UUID | None, limit: int) -> list[StoredObject]:
        """Decide: objects that have been `unlinked` for so long and that nothing points to become `deleting`.

        Returns those and the ones that were decided before, in order of object_id.
        """
        ...

    async def remove_object(self, object_id: UUID) -> bool:
        """The row of a `deleting` object goes, after the bucket's object; False where there is none."""
        ...

    async def list_unerased(self, *, grace_s: float, after: UUID | None, limit: int) -> list[UUID]:
        """Recordings deleted at least so long ago whose prefixes were not found empty yet, in order of id."""
        ...

    async def mark_erased(self, recording_id: UUID) -> None:
        """Its prefixes were found empty."""
        ...
