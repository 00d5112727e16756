"""What /proc says of processes: who started whom, with which command, and who is gone."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

_POLL_S = 0.05


def command_of(pid: int) -> str:
    """The command line, or "" where the process is gone or a zombie."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def is_alive(pid: int) -> bool:
    """Whether the process still runs; a zombie does not."""
    return bool(command_of(pid))


def descendants_of(pid: int) -> list[int]:
    """Every living process that descends from `pid`, in order of pid."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (parent := _parent_of(int(entry.name))):
            children.setdefault(parent, []).append(int(entry.name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return sorted(child for child in found if is_alive(child))


def kill_process(pid: int) -> None:
    """SIGKILL; a process that is gone already is fine."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def wait_until(is_true: Callable[[], object], what: str, limit_s: float = 60) -> None:
    """Return when `is_true()` is; raise `AssertionError` naming `what` after a generous limit."""
    deadline = time.monotonic() + limit_s
    while not is_true():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {limit_s:g} s in vain for {what}")
        time.sleep(_POLL_S)


def _parent_of(pid: int) -> int:
    try:
        # The name in parentheses may hold anything; the parent is the second field after the last one.
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
