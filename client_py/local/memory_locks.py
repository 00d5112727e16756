"""Locks among the contexts of one process: first come, first served, and a holder that dies gives its locks back."""

import asyncio
from collections import deque
from typing import Final


class MemoryLockSpace:
    """All locks that these contexts share."""

    def __init__(self) -> None:
        self.holders: Final[dict[str, MemoryHeldLock]] = {}
        self.queues: Final[dict[str, deque[tuple[str, asyncio.Future[MemoryHeldLock]]]]] = {}

    def grant_next(self, name: str) -> None:
        """Give a free lock to whoever waits longest."""
        queue = self.queues.get(name)
        while queue and name not in self.holders:
            owner, waiter = queue.popleft()
            if not waiter.done():
                self.holders[name] = MemoryHeldLock(self, name, owner)
                waiter.set_result(self.holders[name])

    def kill(self, owner: str) -> None:
        """The context `owner` died: its locks fall free, its places in the queues are gone."""
        for queue in self.queues.values():
            for entry in [entry for entry in queue if entry[0] == owner]:
                queue.remove(entry)
        for held in [held for held in self.holders.values() if held.owner == owner]:
            held.release()


class MemoryHeldLock:
    """client_py.ports.HeldLock."""

    def __init__(self, space: MemoryLockSpace, name: str, owner: str) -> None:
        self._space = space
        self._name = name
        self.owner = owner

    def release(self) -> None:
        if self._space.holders.get(self._name) is self:
            del self._space.holders[self._name]
            self._space.grant_next(self._name)


class MemoryLocks:
    """client_py.ports.Locks, as the context `owner` sees the space."""

    def __init__(self, space: MemoryLockSpace, owner: str) -> None:
        self._space = space
        self._owner = owner

    async def acquire(self, name: str) -> MemoryHeldLock:
        waiter: asyncio.Future[MemoryHeldLock] = asyncio.get_running_loop().create_future()
        self._space.queues.setdefault(name, deque()).append((self._owner, waiter))
        self._space.grant_next(name)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                waiter.result().release()
            raise

    async def try_acquire(self, name: str) -> MemoryHeldLock | None:
        if name in self._space.holders:
            return None
        self._space.holders[name] = held = MemoryHeldLock(self._space, name, self._owner)
        return held

    async def held_names(self) -> list[str]:
        return sorted(self._space.holders)
