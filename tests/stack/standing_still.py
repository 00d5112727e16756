"""The test's side of halting.py: orders a process to stand still, waits until it does, lets it go on."""

import os
import signal
from pathlib import Path

import msgspec

from tests.integration.processes import wait_until
from tests.stack.halting import FILE_VARIABLE, Halt, pid_path


class StandingStill:
    """One order at a time, through a file of its own folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "halt"

    @property
    def environ(self) -> dict[str, str]:
        """What the process under test needs to hear orders."""
        return {FILE_VARIABLE: str(self._path)}

    def order(self, halt: Halt) -> None:
        """The next fitting call of any process stands still."""
        pid_path(self._path).unlink(missing_ok=True)
        new = self._path.with_suffix(".order")
        new.write_bytes(msgspec.json.encode(halt))
        new.replace(self._path)

    def wait(self, what: str) -> int:
        """The pid of the process that stands still, as soon as it does."""
        wait_until(pid_path(self._path).exists, what)
        pid = int(pid_path(self._path).read_text())
        wait_until(lambda: state_of(pid) in "TZ", f"process {pid} to stand still")
        assert state_of(pid) == "T", f"process {pid} is gone"
        return pid

    def withdraw(self) -> None:
        """No order stands any more, and whoever stands still goes on."""
        self._path.unlink(missing_ok=True)
        if pid_path(self._path).exists():
            go_on(int(pid_path(self._path).read_text()))


def go_on(pid: int) -> None:
    """Let it go on; one that is gone is fine."""
    if state_of(pid) == "T":
        os.kill(pid, signal.SIGCONT)


def state_of(pid: int) -> str:
    """The letter of /proc/pid/stat: T stands still; Z where it is gone too."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"
