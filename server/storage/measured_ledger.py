"""A ledger whose two calls of a flush are timed, a flush at a time; everything else is the ledger's that it wraps."""

import time
from asyncio import Future
from collections.abc import Callable, Sequence
from typing import Any, cast
from uuid import UUID

from server.storage.ledger import Ledger, LookedUp, NewChunk, NewObject, Outcome

# Hears of the step, its seconds, and how many chunks it was about.
ObserveFlush = Callable[[str, float, int], None]


class MeasuredLedger:
    """`ledger`, with `observe` called after each look-up and each acknowledgement that the database answered.

    What an acknowledgement takes counts from the moment its object is stored.
    """

    def __init__(self, ledger: Ledger, observe: ObserveFlush) -> None:
        self._ledger = ledger
        self._observe = observe

    @classmethod
    def over(cls, ledger: Ledger, observe: ObserveFlush) -> Ledger:
        """The measured ledger, as what it stands for."""
        return cast(Ledger, cls(ledger, observe))

    async def look_up(self, keys: Sequence[tuple[UUID, int]]) -> LookedUp:
        started_s = time.perf_counter()
        found = await self._ledger.look_up(keys)
        self._observe("look-up", time.perf_counter() - started_s, len(keys))
        return found

    async def acknowledge_coming(
        self, coming: NewObject, etag: "Future[str]", chunks: Sequence[NewChunk]
    ) -> list[Outcome]:
        stored_s = time.perf_counter()

        def note_stored(_: "Future[str]") -> None:
            nonlocal stored_s
            stored_s = time.perf_counter()

        etag.add_done_callback(note_stored)
        outcomes = await self._ledger.acknowledge_coming(coming, etag, chunks)
        self._observe("acknowledge", time.perf_counter() - stored_s, len(chunks))
        return outcomes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)
