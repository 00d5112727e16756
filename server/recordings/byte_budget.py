"""How many bytes of objects are held in memory at once while they are read back (I6)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class ByteBudget:
    """A number of bytes that callers take in the order of asking, so that a large object is not starved."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._free = bytes_max
        self._order = asyncio.Lock()
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def take(self, byte_count: int) -> AsyncIterator[None]:
        """Hold so many bytes; an object above the whole budget is held alone."""
        share = min(byte_count, self._bytes_max)
        async with self._order:
            while self._free < share:
                self._freed.clear()
                await self._freed.wait()
            self._free -= share
        try:
            yield
        finally:
            self._free += share
            self._freed.set()
