"""The other tabs of this origin, over a BroadcastChannel."""

import asyncio
from collections import deque
from typing import Any, Final

import js
from pyodide.ffi import create_proxy, to_js

CHANNEL: Final = "holdfast"
# Nothing relies on a broadcast for safety, so a slow reader loses the oldest ones.
MESSAGES_WAITING_MAX: Final = 1_000


class BroadcastTabs:
    """See `client_py.ports.Tabs`."""

    def __init__(self) -> None:
        self._channel = js.BroadcastChannel.new(CHANNEL)
        self._waiting: deque[bytes] = deque(maxlen=MESSAGES_WAITING_MAX)
        self._arrived = asyncio.Event()
        self._listener = create_proxy(self._receive)  # kept for the worker's whole life
        self._channel.onmessage = self._listener

    def publish(self, message: bytes) -> None:
        self._channel.postMessage(to_js(message))

    async def next_message(self) -> bytes:
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        return self._waiting.popleft()

    def close(self) -> None:
        """Stop listening and give the callback back."""
        self._channel.close()
        self._listener.destroy()

    def _receive(self, event: Any) -> None:
        self._waiting.append(event.data.to_bytes())
        self._arrived.set()
