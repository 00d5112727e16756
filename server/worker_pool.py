"""The API processes of one server: started, started again when they die, drained at the end.

A worker holds nothing that is not in the bucket, the ledger or a client, so one that died is simply
replaced; a growing delay keeps a worker that cannot start from burning the machine.
"""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prometheus_client.multiprocess import mark_process_dead

_log = logging.getLogger(__name__)

# A worker that lived so long was healthy: the next one starts at once.
_SETTLED_S: Final = 10.0
_RESTART_DELAY_S_FIRST: Final = 0.25
_RESTART_DELAY_S_MAX: Final = 10.0
# What a worker runs.
WORKER_MODULE = "server.worker_process"
# So many in a row, and none ever served: the reason is the installation, not an accident.
START_FAILURES_MAX: Final = 5


class WorkersFailedError(Exception):
    """No worker ever came up."""


@dataclass(slots=True)
class _Slot:
    """The place of one worker; `process` is None while a restart waits for its time."""

    process: subprocess.Popen[bytes] | None = None
    started_at_s: float = 0.0
    failures: int = 0
    restart_at_s: float = 0.0


class WorkerPool:
    """`count` workers on the inherited sockets `listen_fds`, each with the environment `environ`.

    Used from the main thread of one process: workers die with the thread that started them.
    """

    def __init__(
        self,
        count: int,
        listen_fds: Sequence[int],
        environ: Mapping[str, str],
        metrics_dir: Path,
        read_clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._slots = [_Slot() for _ in range(count)]
        self._leaving: list[subprocess.Popen[bytes]] = []
        self._listen_fds = tuple(listen_fds)
        self._environ = dict(environ)
        self._metrics_dir = metrics_dir
        self._read_clock_s = read_clock_s
        self._is_draining = False
        self.has_served = False

    @property
    def pids(self) -> list[int]:
        """Of the workers that serve."""
        return [slot.process.pid for slot in self._slots if slot.process is not None]

    @property
    def is_empty(self) -> bool:
        """Whether no worker runs."""
        return not self._leaving and not self.pids

    def tend(self) -> None:
        """Note who ended and start whose time has come. Raises `WorkersFailedError`."""
        self._leaving = [process for process in self._leaving if not self._has_ended(process)]
        for slot in self._slots:
            if slot.process is not None and self._has_ended(slot.process):
                self._plan_restart(slot, slot.process)
            if slot.process is None and not self._is_draining and self._read_clock_s() >= slot.restart_at_s:
                self._start(slot)

    def seconds_until_due(self, longest_s: float) -> float:
        """When `tend` has something to do by the clock, at most `longest_s`."""
        due = [slot.restart_at_s for slot in self._slots if slot.process is None]
        return max(0.0, min([longest_s, *(at - self._read_clock_s() for at in due)]))

    def replace_all(self) -> None:
        """Start new workers, and let the present ones finish what they accepted."""
        for slot in self._slots:
            if slot.process is not None:
                slot.process.send_signal(signal.SIGTERM)
                self._leaving.append(slot.process)
            slot.failures = 0
            self._start(slot)

    def drain(self) -> None:
        """Ask every worker to finish; none is started any more."""
        self._is_draining = True
        self._signal_all(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL every worker."""
        self._is_draining = True
        self._signal_all(signal.SIGKILL)

    def _signal_all(self, number: signal.Signals) -> None:
        for process in [*self._leaving, *(slot.process for slot in self._slots)]:
            if process is not None:
                process.send_signal(number)

    def _start(self, slot: _Slot) -> None:
        command = [sys.executable, "-m", WORKER_MODULE, f"--parent={os.getpid()}"]
        slot.process = subprocess.Popen(
            [*command, *(f"--listen={fd}" for fd in self._listen_fds)],
            env=self._environ,
            stdin=subprocess.DEVNULL,
            pass_fds=self._listen_fds,
            # A Ctrl-C at the terminal is the supervisor's to answer.
            start_new_session=True,
        )
        slot.started_at_s = self._read_clock_s()
        _log.debug("worker started", extra={"worker": slot.process.pid})

    def _has_ended(self, process: subprocess.Popen[bytes]) -> bool:
        if process.poll() is None:
            return False
        # Its live gauges must not count on.
        mark_process_dead(process.pid, str(self._metrics_dir))  # type: ignore[no-untyped-call]
        return True

    def _plan_restart(self, slot: _Slot, process: subprocess.Popen[bytes]) -> None:
        slot.process = None
        if self._is_draining:
            return
        now_s = self._read_clock_s()
        has_settled = now_s - slot.started_at_s >= _SETTLED_S
        slot.failures = 0 if has_settled else slot.failures + 1
        delay_s = 0.0 if has_settled else min(_RESTART_DELAY_S_MAX, _RESTART_DELAY_S_FIRST * 2 ** (slot.failures - 1))
        slot.restart_at_s = now_s + delay_s
        if not self.has_served and slot.failures >= START_FAILURES_MAX:
            raise WorkersFailedError(
                f"{START_FAILURES_MAX} workers in a row ended before one served, the last with "
                f"{describe_exit(process.returncode)}: the lines above say why"
            )
        _log.error(
            "worker ended, another starts",
            extra={"worker": process.pid, "exit": describe_exit(process.returncode), "delay_s": round(delay_s, 2)},
        )


def describe_exit(code: int) -> str:
    """An exit code in words: `code 3`, or `SIGKILL`."""
    if code >= 0:
        return f"code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
