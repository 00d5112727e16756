"""Connections that were refused for want of room, and are not read again until it is their turn.

The refusal itself is said at once. Only what its connection sends next waits, in the kernel, whose flow control then
slows the sender: a client that obeys Retry-After notices next to nothing, and one that does not can no longer take
all of the processor for refusals. It would otherwise: libuv reads whoever is ready, up to 48 times 1,024 sockets,
before it runs anything else, so a crowd that sends again at once keeps the flushes of what was accepted from going on.

They are read again in the order in which they were refused: as many as there has been room for all the time lately,
and where there has been none, so few that refusing them leaves the processor to what was accepted. The room that a
flush leaves for a moment counts for nothing: whoever was just answered fills it.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final, Protocol

TICK_S: Final = 0.02
# Among thousands of connections a refusal takes some 100 µs, all told: a tenth of a worker's time. CONNECTIONS_MAX
# divided by this is the longest wait.
REFUSALS_A_S: Final = 1_000
REFUSALS_A_TICK: Final = round(REFUSALS_A_S * TICK_S)
# Longer than a flush among so many takes.
LATELY_TICKS: Final = 10


class Connection(Protocol):
    """What can be held."""

    def pause_reading(self) -> None:
        """Read nothing more from it."""
        ...

    def resume_reading(self) -> None:
        """Read it again; one that is closing stays as it is."""
        ...


class HeldConnections:
    """One worker's. `find_room` says how many bodies may be taken now."""

    def __init__(self, find_room: Callable[[], int]) -> None:
        self._find_room = find_room
        self._held: OrderedDict[Connection, None] = OrderedDict()
        self._rooms: deque[int] = deque(maxlen=LATELY_TICKS)
        self._tick: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, connection: Connection) -> None:
        """Read it no more until its turn has come; where it is held already it keeps its turn."""
        connection.pause_reading()
        self._held.setdefault(connection)
        self._wait()

    def forget(self, connection: Connection) -> None:
        """It is closed."""
        self._held.pop(connection, None)

    def release(self) -> None:
        """One tick's worth of turns."""
        self._rooms.append(self._find_room())
        room = min(self._rooms) if len(self._rooms) == LATELY_TICKS else 0
        for _ in range(min(len(self._held), max(REFUSALS_A_TICK, room))):
            connection, _ = self._held.popitem(last=False)
            connection.resume_reading()
        if not self._held:
            self._rooms.clear()  # the ticks end here

    def _wait(self) -> None:
        if self._held and self._tick is None:
            self._tick = asyncio.get_running_loop().call_later(TICK_S, self._on_tick)

    def _on_tick(self) -> None:
        self._tick = None
        self.release()
        self._wait()
