"""One core for a worker's event loop and for the database's processes that do its flushes (docs/decisions/0021).

The two take turns: one waits while the other works. Apart, each turn wakes a core that has gone to sleep meanwhile; on
one core it is a switch between two processes. What else a worker does, in threads and in child processes, may run
anywhere.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_DATABASE: Final = "postgres"


class SharedCore:
    """The core of one process's event loop; until `enter`, and on a system that places no threads, it does nothing."""

    def __init__(self) -> None:
        self._everywhere: set[int] = set()
        self._core: set[int] = set()

    def enter(self) -> None:
        """Keep the calling thread, the event loop's, on one core; which one is left to chance, servers are many."""
        if not hasattr(os, "sched_setaffinity"):
            return
        self._everywhere = os.sched_getaffinity(0)
        self._core = {sorted(self._everywhere)[os.getpid() % len(self._everywhere)]}
        os.sched_setaffinity(0, self._core)

    def leave(self) -> None:
        """Let the calling thread run anywhere again: a new one begins where the one runs that started it."""
        if self._core:
            os.sched_setaffinity(0, self._everywhere)

    @contextmanager
    def left(self) -> Iterator[None]:
        """What is started within the block may run anywhere."""
        self.leave()
        try:
            yield
        finally:
            if self._core:
                os.sched_setaffinity(0, self._core)

    def bring(self, pid: int) -> None:
        """Keep the database's process `pid` there too, where it is one of this machine and may be moved by us."""
        if not self._core:
            return
        with suppress(OSError):  # it ended, it is another machine's, or it is not ours to move
            if (_PROC / str(pid) / "comm").read_text().strip() == _DATABASE:
                os.sched_setaffinity(pid, self._core)


# Of this process.
shared_core: Final = SharedCore()
