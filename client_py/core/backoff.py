"""How long to wait after a failure: capped exponential with full jitter, and `Retry-After` obeyed (I10).

There is no last attempt. A nudge (back online, the page is looked at again) ends the wait that
we chose ourselves, and never the one that the server asked for.
"""

from typing import Final

from client_py.core.events import Moment

RETRY_DELAY_MS_FIRST: Final = 500  # a restarting server is away for about a second
RETRY_DELAY_MS_MAX: Final = 60_000  # a person who fixes the network waits at most so long for the page to notice
RETRY_AFTER_MS_MAX: Final = 3_600_000  # a header that asks for more is taken for a mistake
DOUBLINGS_MAX: Final = 20  # keeps the power small; the cap is reached long before


class Backoff:
    """The waiting of one kind of request."""

    def __init__(self) -> None:
        self.failures = 0
        self._retry_at_ms = 0
        self._asked_until_ms = 0

    def is_open(self, at: Moment) -> bool:
        """Whether the next attempt may be made."""
        return at.monotonic_ms >= max(self._retry_at_ms, self._asked_until_ms)

    def fail(self, at: Moment, retry_after_ms: int = 0) -> None:
        """Note a failure; the next attempt comes later."""
        self._retry_at_ms = at.monotonic_ms + retry_delay_ms(self.failures, at.jitter)
        if retry_after_ms:
            self._asked_until_ms = at.monotonic_ms + min(retry_after_ms, RETRY_AFTER_MS_MAX)
        self.failures += 1

    def succeed(self) -> None:
        """Note a success: nothing waits any more."""
        self.failures = 0
        self._retry_at_ms = self._asked_until_ms = 0

    def nudge(self) -> None:
        """End our own waiting, not the one that the server asked for."""
        self._retry_at_ms = 0


def retry_delay_ms(failures: int, jitter: float) -> int:
    """Full jitter: anything from 0 to the capped power of two; `failures` before this one, `jitter` in [0, 1)."""
    ceiling = min(RETRY_DELAY_MS_MAX, RETRY_DELAY_MS_FIRST << min(failures, DOUBLINGS_MAX))
    return int(ceiling * jitter)
