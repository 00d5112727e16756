"""Runs one step in the libav child and waits for it, with a deadline beside the child's own bounds."""

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Final

from server.media.libav.child import FILE_FAILED
from server.shared_core import shared_core

# Address space, libraries included (about 400 MB); a step holds a few packets and, for the poster, one picture.
CHILD_MEMORY_BYTES_MAX: Final = 1_536 * 1024 * 1024
# Two hours of sound take about 20 s, and a gigabyte about 10 s; the rest is for slow machines.
_CPU_S_BASE: Final = 120
_CPU_S_PER_MIB: Final = 2
_CPU_S_MAX: Final = 1_800
# It has the lowest priority, so it may wait long for its share.
_WALL_S_PER_CPU_S: Final = 4
_LAST_WORDS_BYTES: Final = 2_000
_SAID_CHARS_MAX: Final = 200


class ChildFailedError(Exception):
    """The child died of the file: it crashed, met one of its bounds, or could make nothing of it."""


class ChildBrokenError(Exception):
    """The child could not work at all: a module is missing, the disk is full. The file is not at fault."""


async def run_child(step: str, folder: Path, *, input_bytes: int, memory_bytes: int = CHILD_MEMORY_BYTES_MAX) -> None:
    """Return when the step's files stand in `folder`. Raises `ChildFailedError`, `ChildBrokenError`."""
    cpu_s = min(_CPU_S_MAX, _CPU_S_BASE + _CPU_S_PER_MIB * (input_bytes >> 20))
    with shared_core.left():
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "server.media.libav.child",
            step,
            str(folder),
            f"--parent={os.getpid()}",
            f"--memory={memory_bytes}",
            f"--cpu={cpu_s}",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=_environment(),
            start_new_session=True,
        )
    try:
        async with asyncio.timeout(cpu_s * _WALL_S_PER_CPU_S):
            last_words = await _read_end(process)
            code = await process.wait()
    except TimeoutError:
        raise ChildFailedError(f"{step} took longer than {cpu_s * _WALL_S_PER_CPU_S} s") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        # Shielded: a server that stops must not leave it behind as a zombie.
        await asyncio.shield(process.wait())
    if code < 0:
        raise ChildFailedError(f"{step} was ended by {_name_signal(-code)}")
    if code != 0:
        said = last_words.decode(errors="replace").strip().rpartition("\n")[2][:_SAID_CHARS_MAX]
        raise (ChildFailedError if code == FILE_FAILED else ChildBrokenError)(f"{step} failed: {said}")


async def _read_end(process: asyncio.subprocess.Process) -> bytes:
    """The last bytes of what it says; reading goes on, so that it never waits for us."""
    assert process.stderr is not None
    end = b""
    while piece := await process.stderr.read(65_536):
        end = (end + piece)[-_LAST_WORDS_BYTES:]
    return end


def _name_signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _environment() -> dict[str, str]:
    """No credentials: nothing of ours but where Python finds its modules."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, "MALLOC_ARENA_MAX": "2"}
