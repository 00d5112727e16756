"""A broadcast among the contexts of one process; alone, a context hears nothing."""

import asyncio


class MemoryChannel:
    """All tabs of one origin that listen."""

    def __init__(self) -> None:
        self.listeners: list[MemoryTabs] = []


class MemoryTabs:
    """client_py.ports.Tabs; what one publishes, every other hears."""

    def __init__(self, channel: MemoryChannel) -> None:
        self._channel = channel
        self._heard: asyncio.Queue[bytes] = asyncio.Queue()
        channel.listeners.append(self)

    def publish(self, message: bytes) -> None:
        for listener in self._channel.listeners:
            if listener is not self:
                listener._heard.put_nowait(message)

    async def next_message(self) -> bytes:
        return await self._heard.get()

    def leave(self) -> None:
        """The tab died."""
        if self in self._channel.listeners:
            self._channel.listeners.remove(self)
