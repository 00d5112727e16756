"""The bytes behind a private file system in memory, which can be killed, torn, filled up and made to fail.

The bytes of one `MemoryDisk` outlive the workers that use it. A file remembers what was flushed; a
death of the process keeps all that was written (it lies in the system's cache), a loss of power
keeps what was flushed and of the rest nothing, a part, or other bytes. Names are written in order
and flushed by nobody, as Chromium's are: a loss of power may take the last ones back.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from client_py.ports import StorageFailedError

BLOCK_BYTES: Final = 512


class Holder(Protocol):
    """Whoever has a file open."""

    @property
    def owner(self) -> str: ...


class PowerLoss(StrEnum):
    """What a loss of power leaves of what was written and not flushed."""

    NOTHING = "nothing"
    PREFIX = "prefix"  # a random part of it, perhaps with zeros behind it
    GARBLED = "garbled"  # all of its length, with zeros in place of some of its blocks


class FullAnswer(StrEnum):
    """How a full disk answers a write: it takes what fits, or nothing."""

    SHORT_COUNT = "short-count"
    MINUS_EIGHT = "minus-eight"  # 4294967288, Chromium's -8 as unsigned
    ERROR = "error"


@dataclass(slots=True)
class File:
    """A file's bytes, whatever names it has or had."""

    content: bytearray = field(default_factory=bytearray)
    flushed: bytes = b""
    holder: Holder | None = None


@dataclass(slots=True)
class NameChange:
    """A name that came or went, and what it stood for."""

    folder: str
    name: str  # empty: the folder itself
    file: File | None
    has_come: bool


class MemoryDisk:
    """What all workers of one origin share."""

    def __init__(self, *, capacity_bytes: int | None = None) -> None:
        self.folders: Final[dict[str, dict[str, File]]] = {}
        self.capacity_bytes = capacity_bytes
        self.full_answer = FullAnswer.ERROR
        self.is_blocked = False
        self.is_evictable = False  # the browser did not promise to keep it
        self.keeps_everything = False  # nothing can be removed, as where somebody's handles linger
        self.operations = 0  # changes made or attempted so far
        self.fail_at: set[int] = set()  # these operations fail; a write is half done then
        self.die_at: int | None = None  # at this operation the worker that makes it dies, half done
        self.break_at: int | None = None  # the handle of this write or flush fails from then on
        self.full_at: int | None = None  # from this operation on nothing more fits
        self.dead: Final[set[str]] = set()
        self.failing_names: set[str] = set()  # appends and flushes of files so named fail
        self.failing_reads: set[str] = set()  # and reads of these
        self._names: Final[list[NameChange]] = []  # in order, for the power to take back

    @property
    def used_bytes(self) -> int:
        """What all files take."""
        return sum(len(file.content) for _, _, file in self._files())

    def kill(self, owner: str, *, do_handles_linger: bool = False) -> None:
        """The worker died. Its handles may linger for a while, as Chromium's do."""
        self.dead.add(owner)
        if not do_handles_linger:
            self.release_handles(owner)

    def release_handles(self, owner: str) -> None:
        """The lingering handles are gone at last."""
        for _, _, file in self._files():
            if file.holder is not None and file.holder.owner == owner:
                file.holder = None

    def lose_power(
        self, chance: random.Random, kind: PowerLoss = PowerLoss.PREFIX, *, names_lost: int = 0
    ) -> list[str]:
        """Every handle and all that was not flushed is gone; returns the files whose names are lost too."""
        for _, _, file in self._files():
            file.content = bytearray(_survivors(file, chance, kind))
            file.flushed = bytes(file.content)
            file.holder = None
        taken_back = self._names[len(self._names) - names_lost :] if names_lost else []
        self._names.clear()
        return [self._take_back(change) for change in reversed(taken_back)]

    @property
    def names_changed(self) -> int:
        """How many changes of names a loss of power could take back."""
        return len(self._names)

    def note_name(self, folder: str, name: str, file: File | None, *, has_come: bool) -> None:
        """A name came or went."""
        self._names.append(NameChange(folder, name, file, has_come))

    def count_operation(self, owner: str) -> bool:
        """Whether the worker dies in this operation. Raises where it is to fail or is made by the dead."""
        if owner in self.dead:
            raise StorageFailedError("this worker is dead")
        self.operations += 1
        if self.operations == self.full_at:
            self.capacity_bytes = self.used_bytes
        if self.operations == self.die_at:
            self.dead.add(owner)
            return True
        if self.operations in self.fail_at:
            raise StorageFailedError(f"operation {self.operations} was made to fail")
        return False

    def room_for(self, size: int) -> int:
        """How many of `size` bytes fit."""
        if self.capacity_bytes is None:
            return size
        return max(0, min(size, self.capacity_bytes - self.used_bytes))

    def _take_back(self, change: NameChange) -> str:
        if not change.name:
            if change.has_come:
                self.folders.pop(change.folder, None)
            else:
                self.folders.setdefault(change.folder, {})
        elif change.has_come:
            self.folders.get(change.folder, {}).pop(change.name, None)
        elif change.file is not None:
            self.folders.setdefault(change.folder, {})[change.name] = change.file
        return f"{change.folder}/{change.name}"

    def _files(self) -> Iterator[tuple[str, str, File]]:
        for folder, files in self.folders.items():
            for name, file in files.items():
                yield folder, name, file


def _survivors(file: File, chance: random.Random, kind: PowerLoss) -> bytes:
    written = bytes(file.content)
    unflushed = len(written) - len(file.flushed)
    if unflushed <= 0 or kind is PowerLoss.NOTHING:
        return file.flushed
    if kind is PowerLoss.PREFIX:
        return written[: len(file.flushed) + chance.randint(0, unflushed)] + bytes(chance.choice((0, 0, 1, 4096)))
    garbled = bytearray(written)
    for start in range(len(file.flushed), len(written), BLOCK_BYTES):
        if chance.random() < 0.5:
            end = min(len(written), start + BLOCK_BYTES)
            garbled[start:end] = bytes(end - start)
    return bytes(garbled)
