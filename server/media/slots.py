"""Places to work in on this machine's disk, a bounded number of them for all API processes together.

A place is a folder and a lock file beside it. The lock ends with the process that holds it, so what a
dead process left is known to be nobody's and goes when the place is next taken.
"""

import fcntl
import os
import shutil
from pathlib import Path


class Slot:
    """A place that is ours until `release`, with an empty folder."""

    def __init__(self, folder: Path, descriptor: int) -> None:
        self.folder = folder
        self._descriptor = descriptor

    def release(self) -> None:
        """Remove the folder and give the place back."""
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._descriptor)


def take_slot(parent: Path, name: str, count: int) -> Slot | None:
    """One of the `count` places called `name` under `parent`; None where all are taken. Raises `OSError`."""
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for number in range(count):
        folder = parent / f"{name}-{number}"
        descriptor = os.open(f"{folder}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            continue
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        return Slot(folder, descriptor)
    return None
