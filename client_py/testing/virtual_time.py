"""An event loop whose time jumps: hours of waiting pass at once, in the same order every time."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

_T = TypeVar("_T")

UNIX_MS_AT_START: Final = 1_770_000_000_000


class NothingWillHappenError(Exception):
    """Every task waits for something that no timer will bring: the program hangs."""


class _JumpingSelector(selectors.SelectSelector):
    """Instead of waiting, puts the clock forward."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready:
            return ready
        if timeout is None:
            raise NothingWillHappenError("every task waits, and no timer is set")
        self.now_s += max(0.0, timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """`loop.time()` begins at 0 and moves only when every task waits."""

    def __init__(self) -> None:
        self._jumping: Final = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now_s


def run_virtually(work: Coroutine[Any, Any, _T]) -> _T:
    """Run `work` to its end in virtual time, and cancel what it leaves."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)


class VirtualClock:
    """client_py.ports.Clock over a `VirtualLoop`; `unix_offset_ms` may be moved to simulate a clock that jumps."""

    def __init__(self) -> None:
        self.unix_offset_ms = UNIX_MS_AT_START

    def monotonic_ms(self) -> int:
        return round(asyncio.get_running_loop().time() * 1000)

    def unix_ms(self) -> int:
        return self.monotonic_ms() + self.unix_offset_ms

    async def sleep_ms(self, duration_ms: int) -> None:
        await asyncio.sleep(duration_ms / 1000)
