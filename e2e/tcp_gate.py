"""What every gate on a TCP connection is: a listener on a thread of its own, and a line that connections share."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any


class TcpGate:
    """Listens on 127.0.0.1 at a `port` that the system chose; a subclass carries each connection in `serve`."""

    def __init__(self, name: str) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()
        self._server = self.run(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port: int = self._server.sockets[0].getsockname()[1]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection to its end, and end both sides of it however that comes."""
        raise NotImplementedError

    def close(self) -> None:
        """End every connection, stop listening and end the thread."""

        async def stop() -> None:
            self._server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

        self.run(stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Have the gate's thread do this, and wait for what comes of it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self.serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # either side died, which is what a gate is for
        finally:
            self._tasks.discard(task)


class Line:
    """What all connections share one way: each piece waits for those that were given before it."""

    def __init__(self) -> None:
        self._is_free_at_s = 0.0  # by the loop's clock

    async def carry(self, size: int, bytes_per_s: float) -> None:
        """Wait until it has carried so many bytes more."""
        now_s = asyncio.get_running_loop().time()
        self._is_free_at_s = max(now_s, self._is_free_at_s) + size / bytes_per_s
        await asyncio.sleep(self._is_free_at_s - now_s)


async def until_either_ends(*halves: Coroutine[Any, Any, None]) -> None:
    """Both ways of a connection at once; the end of one ends the other."""
    tasks = [asyncio.ensure_future(half) for half in halves]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
