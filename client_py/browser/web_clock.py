"""Time from the browser; a worker's timers are not throttled in the background as the window's are."""

import asyncio

import js


class WebClock:
    """See `client_py.ports.Clock`."""

    def monotonic_ms(self) -> int:
        return int(js.performance.now())

    def unix_ms(self) -> int:
        return int(js.Date.now())

    async def sleep_ms(self, duration_ms: int) -> None:
        await asyncio.sleep(duration_ms / 1000)
