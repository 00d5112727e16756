"""An origin's private file system in memory, which can be killed, torn, filled up and made to fail.

The bytes of one `MemoryDisk` outlive the workers that use it. A file remembers what was flushed; a
death of the process keeps all that was written (it lies in the system's cache), a loss of power
keeps what was flushed and of the rest nothing, a part, or other bytes. Names are written in order
and flushed by nobody, as Chromium's are: a loss of power may take the last ones back.

Only the handle is a fake: the append that compares counts and cuts back is the product's own.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from client_py.append_file import CheckedAppendFile
from client_py.ports import (
    FileLockedError,
    FileMissingError,
    StorageBlockedError,
    StorageFailedError,
    StorageFullError,
)


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
class _File:
    content: bytearray = field(default_factory=bytearray)
    flushed: bytes = b""
    holder: "MemoryHandle | None" = None


@dataclass(slots=True)
class _NameChange:
    """A name that came or went, and what it stood for."""

    folder: str
    name: str  # empty: the folder itself
    file: _File | None
    has_come: bool


BLOCK_BYTES: Final = 512


class MemoryDisk:
    """What all workers of one origin share."""

    def __init__(self, *, capacity_bytes: int | None = None) -> None:
        self.folders: Final[dict[str, dict[str, _File]]] = {}
        self.capacity_bytes = capacity_bytes
        self.full_answer = FullAnswer.ERROR
        self.is_blocked = False
        self.operations = 0  # changes made or attempted so far
        self.fail_at: set[int] = set()  # these operations fail; a write is half done then
        self.die_at: int | None = None  # at this operation the worker that makes it dies, half done
        self.dead: Final[set[str]] = set()
        self.failing_names: set[str] = set()  # appends and flushes of files so named fail
        self.failing_reads: set[str] = set()  # and reads of these
        self._names: Final[list[_NameChange]] = []  # in order, for the power to take back

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

    def note_name(self, folder: str, name: str, file: _File | None, *, has_come: bool) -> None:
        """A name came or went."""
        self._names.append(_NameChange(folder, name, file, has_come))

    def count_operation(self, owner: str) -> bool:
        """Whether the worker dies in this operation. Raises where it is to fail or is made by the dead."""
        if owner in self.dead:
            raise StorageFailedError("this worker is dead")
        self.operations += 1
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

    def _take_back(self, change: _NameChange) -> str:
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

    def _files(self) -> Iterator[tuple[str, str, _File]]:
        for folder, files in self.folders.items():
            for name, file in files.items():
                yield folder, name, file


def _survivors(file: _File, chance: random.Random, kind: PowerLoss) -> bytes:
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


class MemoryHandle:
    """client_py.append_file.Handle of the worker `owner`."""

    def __init__(self, disk: MemoryDisk, name: str, file: _File, owner: str) -> None:
        self._disk = disk
        self._name = name
        self._file = file
        self.owner = owner

    def write(self, content: bytes, at: int) -> int:
        self._check()
        try:
            is_last = self._disk.count_operation(self.owner)
        except StorageFailedError:
            if self.owner not in self._disk.dead:
                self._put(content[: len(content) // 2], at)
            raise
        if is_last:
            self._put(content[: len(content) // 2], at)
            raise StorageFailedError("the worker died while it wrote")
        growth = max(0, at + len(content) - len(self._file.content))
        fitting = len(content) - growth + self._disk.room_for(growth)
        self._put(content[:fitting], at)
        if fitting == len(content) or self._disk.full_answer is FullAnswer.SHORT_COUNT:
            return fitting
        if self._disk.full_answer is FullAnswer.MINUS_EIGHT:
            return 4_294_967_288
        raise StorageFullError(f"{len(content)} bytes do not fit")

    def truncate(self, size: int) -> None:
        self._check()
        if not self._disk.count_operation(self.owner):
            del self._file.content[size:]

    def flush(self) -> None:
        self._check()
        if self._disk.count_operation(self.owner):
            raise StorageFailedError("the worker died before it flushed")
        self._file.flushed = bytes(self._file.content)

    def close(self) -> None:
        if self._file.holder is self and self.owner not in self._disk.dead:
            self._file.holder = None

    def _put(self, content: bytes, at: int) -> None:
        self._file.content[at : at + len(content)] = content

    def _check(self) -> None:
        if self._file.holder is not self:
            raise StorageFailedError(f"the handle of {self._name} is closed")
        if self._name in self._disk.failing_names:
            raise StorageFailedError(f"{self._name} was made to fail")


class MemoryFileTree:
    """client_py.ports.FileTree, as the worker `owner` sees the disk."""

    def __init__(self, disk: MemoryDisk, owner: str = "worker") -> None:
        self._disk = disk
        self._owner = owner

    async def probe(self) -> None:
        if self._disk.is_blocked:
            raise StorageBlockedError("storage is switched off")
        self._disk.count_operation(self._owner)
        if self._disk.room_for(1) != 1:
            raise StorageFullError("not one byte fits")

    async def list_folders(self) -> list[str]:
        return list(self._disk.folders)

    async def list_files(self, folder: str) -> list[tuple[str, int]]:
        return [(name, len(file.content)) for name, file in self._folder(folder).items()]

    async def create_folder(self, folder: str) -> None:
        self._disk.count_operation(self._owner)
        if folder not in self._disk.folders:
            self._disk.folders[folder] = {}
            self._disk.note_name(folder, "", None, has_come=True)

    async def create_file(self, folder: str, name: str) -> CheckedAppendFile:
        self._disk.count_operation(self._owner)
        files, label = self._folder(folder), f"{folder}/{name}"
        if name in files:
            raise StorageFailedError(f"{label} exists")
        file = files[name] = _File()
        self._disk.note_name(folder, name, file, has_come=True)
        file.holder = MemoryHandle(self._disk, label, file, self._owner)
        return CheckedAppendFile(file.holder, label)

    async def read(self, folder: str, name: str, offset: int, size: int) -> bytes:
        files = self._folder(folder)
        if name not in files:
            raise FileMissingError(f"{folder}/{name} does not exist")
        if f"{folder}/{name}" in self._disk.failing_reads:
            raise StorageFailedError(f"{folder}/{name} was made unreadable")
        return bytes(files[name].content[offset : offset + size])

    async def remove_file(self, folder: str, name: str) -> None:
        self._disk.count_operation(self._owner)
        files = self._disk.folders.get(folder, {})
        if name in files:
            self._refuse_if_open(folder, {name: files[name]})
            self._disk.note_name(folder, name, files.pop(name), has_come=False)

    async def remove_folder(self, folder: str) -> None:
        self._disk.count_operation(self._owner)
        files = self._disk.folders.get(folder, {})
        self._refuse_if_open(folder, files)
        for name in list(files):
            self._disk.note_name(folder, name, files.pop(name), has_come=False)
        if self._disk.folders.pop(folder, None) is not None:
            self._disk.note_name(folder, "", None, has_come=False)

    async def request_persistence(self) -> bool:
        return True

    async def estimate(self) -> tuple[int, int]:
        return self._disk.used_bytes, self._disk.capacity_bytes or 1 << 40

    def _folder(self, folder: str) -> dict[str, _File]:
        if folder not in self._disk.folders:
            raise FileMissingError(f"{folder} does not exist")
        return self._disk.folders[folder]

    def _refuse_if_open(self, folder: str, files: dict[str, _File]) -> None:
        for name, file in files.items():
            if file.holder is not None:
                raise FileLockedError(f"{folder}/{name} is open")
