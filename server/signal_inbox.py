"""Signals as something to wait for: the supervisor's loop reads them between two steps, never in the middle of one.

Only while it starts, when a step may take minutes, a signal to stop interrupts.
"""

import select
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Final

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
RELOAD_SIGNAL: Final = signal.SIGUSR1
# A child's end is only a reason to look at once.
_HEARD: Final = (*STOP_SIGNALS, RELOAD_SIGNAL, signal.SIGCHLD)
_READ_BYTES: Final = 4_096


class StopRequested(BaseException):
    """A signal to stop came within `interruptible`; no `except Exception` may swallow it."""


class SignalInbox:
    """Hears signals from entering to leaving; used from the main thread."""

    def __init__(self) -> None:
        self._is_interruptible = False
        self._former: dict[int, Any] = {}
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def __enter__(self) -> "SignalInbox":
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._former = {number: signal.signal(number, self._hear) for number in _HEARD}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(-1)
        self._reader.close()
        self._writer.close()

    def wait(self, timeout_s: float) -> set[int]:
        """The signals that came since the last call; returns at once where there are any."""
        readable, _, _ = select.select([self._reader], [], [], timeout_s)
        return set(self._reader.recv(_READ_BYTES)) if readable else set()

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """A signal to stop raises `StopRequested` within this block; one that came before it does so at once."""
        self._is_interruptible = True
        try:
            if self.wait(0) & set(STOP_SIGNALS):
                raise StopRequested
            yield
        finally:
            self._is_interruptible = False

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        if self._is_interruptible and number in STOP_SIGNALS:
            # Once: what follows is the orderly stop. Where a finalizer swallows it, `wait` still tells of the signal.
            self._is_interruptible = False
            raise StopRequested
