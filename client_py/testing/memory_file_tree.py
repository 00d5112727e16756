"""An origin's private file system in memory, which can be killed, torn, filled up and made to fail.

The bytes of one `MemoryDisk` outlive the workers that use it. A file remembers what was flushed; a
death of the process keeps all that was written (it lies in the system's cache), a loss of power
keeps what was flushed and anything between nothing and all of the rest.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from client_py.ports import (
    FileLockedError,
    FileMissingError,
    StorageBlockedError,
    StorageFailedError,
    StorageFullError,
)


@dataclass(slots=True)
class _File:
    content: bytearray = field(default_factory=bytearray)
    flushed: bytes = b""
    holder: "MemoryAppendFile | None" = None


class MemoryDisk:
    """What all workers of one origin share."""

    def __init__(self, *, capacity_bytes: int | None = None) -> None:
        self.folders: Final[dict[str, dict[str, _File]]] = {}
        self.capacity_bytes = capacity_bytes
        self.is_blocked = False
        self.operations = 0  # changes made or attempted so far
        self.fail_at: set[int] = set()  # these operations fail as a whole
        self.die_at: int | None = None  # at this operation the worker that makes it dies, half done
        self.dead: Final[set[str]] = set()
        self.failing_names: set[str] = set()  # appends and flushes of files so named fail
        self.failing_reads: set[str] = set()  # and reads of these

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

    def lose_power(self, chance: random.Random) -> None:
        """Each file keeps what was flushed and a random prefix of the rest, perhaps with zeros behind it."""
        for _, _, file in self._files():
            unflushed = len(file.content) - len(file.flushed)
            kept = len(file.flushed) + (chance.randint(0, unflushed) if unflushed > 0 else 0)
            zeros = bytes(chance.choice((0, 0, 1, 4096)))
            file.content = bytearray(bytes(file.content[:kept]) + zeros)
            file.flushed = bytes(file.content)
            file.holder = None

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

    def _files(self) -> Iterator[tuple[str, str, _File]]:
        for folder, files in self.folders.items():
            for name, file in files.items():
                yield folder, name, file


class MemoryAppendFile:
    """client_py.ports.AppendFile."""

    def __init__(self, disk: MemoryDisk, name: str, file: _File, owner: str) -> None:
        self._disk = disk
        self._name = name
        self._file = file
        self.owner = owner

    @property
    def size(self) -> int:
        return len(self._file.content)

    def append(self, content: bytes) -> None:
        self._check()
        if self._disk.count_operation(self.owner):
            self._file.content += content[: len(content) // 2]  # torn
            raise StorageFailedError("the worker died while it wrote")
        if self._disk.room_for(len(content)) != len(content):
            raise StorageFullError(f"{len(content)} bytes do not fit")
        self._file.content += content

    def flush(self) -> None:
        self._check()
        if self._disk.count_operation(self.owner):
            raise StorageFailedError("the worker died before it flushed")
        self._file.flushed = bytes(self._file.content)

    def close(self) -> None:
        if self._file.holder is self and self.owner not in self._disk.dead:
            self._file.holder = None

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
        self._disk.folders.setdefault(folder, {})

    async def create_file(self, folder: str, name: str) -> MemoryAppendFile:
        self._disk.count_operation(self._owner)
        files = self._folder(folder)
        if name in files:
            raise StorageFailedError(f"{folder}/{name} exists")
        file = files[name] = _File()
        file.holder = MemoryAppendFile(self._disk, f"{folder}/{name}", file, self._owner)
        return file.holder

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
            del files[name]

    async def remove_folder(self, folder: str) -> None:
        self._disk.count_operation(self._owner)
        self._refuse_if_open(folder, self._disk.folders.get(folder, {}))
        self._disk.folders.pop(folder, None)

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
