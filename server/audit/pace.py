"""The rate of a pass in bytes a second, which all of its readers and writers share (I6)."""

import asyncio
import time
from collections.abc import Awaitable, Callable

Pause = Callable[[float], Awaitable[None]]


class Pace:
    """Turns in the order of asking: whoever asks waits until the bytes before its own have had their time.

    `bytes_per_s` 0 lets everything pass at once. `waited_s`: how long callers have waited together, in seconds.
    """

    def __init__(
        self, bytes_per_s: int, pause: Pause = asyncio.sleep, read_clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        self.bytes_per_s = bytes_per_s
        self.waited_s = 0.0
        self._pause = pause
        self._read_clock_s = read_clock_s
        self._free_at_s = read_clock_s()

    async def take_turn(self, byte_count: int) -> None:
        """Return when these bytes may be moved; 0 bytes: when all before had their time."""
        if not self.bytes_per_s:
            return
        now_s = self._read_clock_s()
        begins_at_s = max(now_s, self._free_at_s)
        self._free_at_s = begins_at_s + byte_count / self.bytes_per_s
        if begins_at_s > now_s:
            self.waited_s += begins_at_s - now_s
            await self._pause(begins_at_s - now_s)
