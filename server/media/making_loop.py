"""Makes what is still to be made, one recording after the other, in the background of an API process.

What is to be made is asked of the ledger each time, so nothing is lost by a restart and nothing under
way is ever written down (I9). On one machine as many work at once as there are slots: a slot is a
lock file, which its process's death releases. Between machines a lock in the database saves double
work; two that make the same all the same do no harm.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final
from uuid import UUID

from server.media.maker import Maker, NoRoomError
from server.media.slots import Slot, take_slot
from server.refusal import Refusal
from server.storage.blob_store import BlobStoreError
from server.storage.ledger import LedgerError
from server.storage.media_ledger import MediaLedger

_log = logging.getLogger(__name__)

# One small query; a recording that was just completed is looked at within this time.
_LOOK_EVERY_S: Final = 1.0
# How many of those that wait are looked at; those that failed a moment ago are passed over.
_QUEUE_MAX: Final = 200
_RETRY_S_FIRST: Final = 2.0
_RETRY_S_MAX: Final = 300.0
# What passes by itself: a chunk that is asked for again, a store that is away, a full disk.
_EXPECTED: Final = (Refusal, BlobStoreError, LedgerError, NoRoomError, OSError)


class MakingLoop:
    """`slots` work on this machine at once, in `folder`. `build` gives the maker that works in a folder."""

    def __init__(
        self,
        ledger: MediaLedger,
        folder: Path,
        build: Callable[[Path], Maker],
        *,
        slots: int,
        read_clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._folder = folder
        self._build = build
        self._slots = slots
        self._read_clock_s = read_clock_s
        self._is_folder_ill = False
        self._failures: dict[UUID, int] = {}
        self._retry_at_s: dict[UUID, float] = {}

    async def run(self) -> None:
        """For ever; ends by cancellation, which ends the child too."""
        while True:
            slot = await asyncio.to_thread(self._take_slot)
            if slot is None:
                await asyncio.sleep(_LOOK_EVERY_S)
                continue
            try:
                await self._work(self._build(slot.folder))
            finally:
                slot.release()

    async def make_one(self, maker: Maker) -> bool:
        """Make the first that waits and is nobody else's; False where there is none. Raises `LedgerError`."""
        now_s = self._read_clock_s()
        waiting = await self._ledger.list_unmade(_QUEUE_MAX)
        self._forget_all_but(waiting)
        for recording_id in waiting:
            if self._retry_at_s.get(recording_id, now_s) > now_s:
                continue
            async with self._ledger.hold(recording_id) as is_ours:
                if is_ours:
                    await self._make(maker, recording_id)
                    return True
        return False

    async def _work(self, maker: Maker) -> None:
        while True:
            try:
                has_more = await self.make_one(maker)
            except LedgerError as error:
                _log.debug("the ledger does not say what is to be made", extra={"reason": str(error)})
                has_more = False
            if not has_more:
                await asyncio.sleep(_LOOK_EVERY_S)

    def _take_slot(self) -> Slot | None:
        try:
            return take_slot(self._folder, "making", self._slots)
        except OSError as error:
            if not self._is_folder_ill:
                _log.error("no media is made here", extra={"folder": str(self._folder), "reason": str(error)})
            self._is_folder_ill = True
            return None

    async def _make(self, maker: Maker, recording_id: UUID) -> None:
        started_s = self._read_clock_s()
        try:
            await maker.make(recording_id)
        except Exception as error:  # noqa: BLE001 - whatever a stranger's file brings up, the others are made
            failures = self._failures[recording_id] = self._failures.get(recording_id, 0) + 1
            delay_s = min(_RETRY_S_MAX, _RETRY_S_FIRST * 2 ** min(failures - 1, 16))
            self._retry_at_s[recording_id] = self._read_clock_s() + delay_s
            _log.warning(
                "media not made yet",
                exc_info=None if isinstance(error, _EXPECTED) else error,
                extra={"recording_id": str(recording_id), "reason": str(error), "again_in_s": delay_s},
            )
            return
        _log.info(
            "media made",
            extra={"recording_id": str(recording_id), "seconds": round(self._read_clock_s() - started_s, 2)},
        )

    def _forget_all_but(self, waiting: list[UUID]) -> None:
        for recording_id in self._failures.keys() - set(waiting):
            del self._failures[recording_id]
            self._retry_at_s.pop(recording_id, None)
