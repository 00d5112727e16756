"""The port to what the ledger knows of finished files: which making of a recording's media counts.

Every adapter keeps this contract, and one suite (tests/contracts/test_media_ledger.py) runs over all.
What is still to be made follows from the rows alone: no making that is under way is ever written down (I9).
"""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class StoredMedia:
    """The making that counts, and the JSON of its `protocol.wire.Media`."""

    media_id: UUID
    summary: bytes


class MediaLedger(Protocol):
    """The same database as `Ledger`; raises `LedgerError`."""

    async def list_unmade(self, limit: int) -> list[UUID]:
        """Complete recordings without media, those certified first before others; `limit` is 1..LIST_ROWS_MAX."""
        ...

    async def find_media(self, recording_id: UUID) -> StoredMedia | None: ...

    async def decide_media(self, recording_id: UUID, made: StoredMedia) -> StoredMedia | None:
        """Keep this making unless one stands; the one that stands. None where the recording has no certificate."""
        ...

    async def forget_media(self, recording_id: UUID, media_id: UUID) -> bool:
        """The files of this making are lost: it counts no more, so another is made. False where it did not count."""
        ...

    def hold(self, recording_id: UUID) -> AbstractAsyncContextManager[bool]:
        """Whether the recording is this caller's to work on for as long as the block lasts.

        It saves work and no more: a lost connection ends it, and two makings at once do no harm.
        """
        ...
