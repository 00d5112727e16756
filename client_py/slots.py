"""The places for requests that all tabs of the origin share, as Web Locks `slot:0` to `slot:3`."""

import asyncio
from typing import Final

from client_py.core.requests import IN_FLIGHT_MAX
from client_py.ports import HeldLock, Locks


class Slots:
    """Grants a slot to whoever waits; a tab that dies gives its slots back by dying."""

    def __init__(self, locks: Locks) -> None:
        self._locks: Final = locks
        self._names: Final = [f"slot:{number}" for number in range(IN_FLIGHT_MAX)]

    async def acquire(self) -> HeldLock:
        """Whichever slot falls free first. Cancelling gives up every place in the queues."""
        for name in self._names:
            if (held := await self._locks.try_acquire(name)) is not None:
                return held
        waits = [asyncio.create_task(self._locks.acquire(name)) for name in self._names]
        is_cancelled = True
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            is_cancelled = False
        finally:
            for wait in waits:
                wait.cancel()
            results = await asyncio.gather(*waits, return_exceptions=True)
            granted = [result for result in results if not isinstance(result, BaseException)]
            for surplus in granted if is_cancelled else granted[1:]:
                surplus.release()
        if not granted:
            raise next(result for result in results if isinstance(result, Exception))
        return granted[0]
