"""One service's process: started, watched, ended, and recognised again after a kill -9 of the server.

It dies with the server (Linux tells it so; elsewhere the next start finds it by its pid file). A process
is ended only when its command line names this data directory: never a stranger that got an old pid.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from server.services.errors import ServiceStartError

LOGS_KEPT: Final = 5
_LAUNCHER: Final = Path(__file__).with_name("launch_child.py")
# How much of a log a failure shows.
_LOG_TAIL_BYTES: Final = 2_000
_ASK_PAUSE_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class StopStep:
    """A signal, and how long the process then has."""

    signal: signal.Signals
    patience_s: float


@dataclass(frozen=True, slots=True)
class RunAs:
    """The user a child runs as when the server is root, and a capability it keeps (both may be absent)."""

    user: int | None = None
    group: int | None = None
    capability: int | None = None


@dataclass(slots=True)
class ChildProcess:
    """A service called `name`; `mark` is the path in its command line by which it is recognised.

    `stop_steps` are tried in order; the last should be SIGKILL. `death_signal` is what it gets when the server dies.
    """

    name: str
    mark: Path
    run_dir: Path
    log_dir: Path
    stop_steps: Sequence[StopStep]
    death_signal: signal.Signals
    run_as: RunAs = RunAs()
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def log_path(self) -> Path:
        return self.log_dir / f"{self.name}.log"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def start(self, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start it; must be called from the main thread, because its end is tied to the thread that started it."""
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError(
                f"start {self.name} from the main thread: a service ends with the thread that started it"
            )
        self._rotate_logs()
        order = {
            "argv": list(argv),
            "parent": os.getpid(),
            "death_signal": int(self.death_signal),
            "user": self.run_as.user,
            "group": self.run_as.group,
            "capability": self.run_as.capability,
        }
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-I", str(_LAUNCHER), json.dumps(order)],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # A Ctrl-C at the terminal is the server's to answer: it stops the services last.
                start_new_session=True,
            )
        self._pid_path.write_text(str(self._process.pid))

    def poll(self) -> int | None:
        """Its exit code, or None while it runs. Raises `RuntimeError` when it was never started."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._process.poll()

    def wait(self, timeout_s: float) -> int:
        """Its exit code once it has ended by itself. Raises `subprocess.TimeoutExpired`."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        code = self._process.wait(timeout_s)
        self._pid_path.unlink(missing_ok=True)
        return code

    def stop(self) -> None:
        """End it by its steps; a process that has ended is a success."""
        if self._process is None:
            return
        for step in self.stop_steps:
            if self._process.poll() is None:
                self._process.send_signal(step.signal)
                self._process.send_signal(signal.SIGCONT)  # one that was stopped would not take it otherwise
            try:
                self._process.wait(step.patience_s)
                break
            except subprocess.TimeoutExpired:
                continue
        self._pid_path.unlink(missing_ok=True)

    def end_leftover(self, *more_pids: int) -> bool:
        """End what an earlier server left running under this data directory; whether there was any.

        Looks at the pid file and at `more_pids`.
        """
        candidates = {*more_pids, read_pid(self._pid_path)} - {None}
        ended = [self._end_if_ours(pid) for pid in candidates if pid is not None]
        self._pid_path.unlink(missing_ok=True)
        return any(ended)

    def describe_failure(self, what: str) -> ServiceStartError:
        """The error that says what went wrong, with the end of the log."""
        tail = self.log_path.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace") if self.log_path.exists() else ""
        return ServiceStartError(f"{self.name} {what}. The end of its log, {self.log_path}:\n{tail}")

    @property
    def _pid_path(self) -> Path:
        return self.run_dir / f"{self.name}.pid"

    def _end_if_ours(self, pid: int) -> bool:
        try:
            process = psutil.Process(pid)
            if pid == os.getpid() or not self._is_ours(process):
                return False
            for step in self.stop_steps:
                process.send_signal(step.signal)
                process.send_signal(signal.SIGCONT)  # one that was stopped would not take it otherwise
                if wait_gone([process], step.patience_s):
                    break
        except psutil.NoSuchProcess:
            return False
        return True

    def _is_ours(self, process: psutil.Process) -> bool:
        """Whether the data directory stands in the command line, as one argument or behind an option's `=`."""
        try:
            arguments = process.cmdline()
        except psutil.AccessDenied:
            return False
        mark = str(self.mark)
        return any(argument == mark or argument.endswith(f"={mark}") for argument in arguments)

    def _rotate_logs(self) -> None:
        for number in range(LOGS_KEPT - 1, 0, -1):
            older = self.log_path.with_suffix(f".log.{number}")
            newer = self.log_path if number == 1 else self.log_path.with_suffix(f".log.{number - 1}")
            if newer.exists():
                newer.replace(older)


def wait_gone(processes: Sequence[psutil.Process], patience_s: float) -> bool:
    """Whether all ended in time. A zombie has ended, though nobody may ever take note of it (as in a container)."""
    deadline = time.monotonic() + patience_s
    while any(map(is_running, processes)):
        if time.monotonic() > deadline:
            return False
        time.sleep(_ASK_PAUSE_S)
    return True


def is_running(process: psutil.Process) -> bool:
    """Whether it still runs: neither gone nor a zombie."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def read_pid(path: Path) -> int | None:
    """The number in the first line; None where there is no such file or it holds no process's number."""
    try:
        pid = int(path.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None
    return pid if pid > 0 else None
