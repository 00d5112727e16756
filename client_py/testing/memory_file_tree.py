"""An origin's private file system in memory, over the bytes of a `MemoryDisk`.

Only the handle is a fake: the append that compares counts and cuts back is the product's own.
"""

from client_py.append_file import CheckedAppendFile
from client_py.ports import (
    FileLockedError,
    FileMissingError,
    StorageBlockedError,
    StorageFailedError,
    StorageFullError,
)
from client_py.testing.memory_disk import File, FullAnswer, MemoryDisk


class MemoryHandle:
    """client_py.append_file.Handle of the worker `owner`."""

    def __init__(self, disk: MemoryDisk, name: str, file: File, owner: str) -> None:
        self._disk = disk
        self._name = name
        self._file = file
        self._is_broken = False
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
        self._is_broken = self._is_broken or self._disk.operations + 1 == self._disk.break_at
        if self._is_broken or self._name in self._disk.failing_names:
            self._disk.operations += 1
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
        file = files[name] = File()
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
        return not self._disk.is_evictable

    def _folder(self, folder: str) -> dict[str, File]:
        if folder not in self._disk.folders:
            raise FileMissingError(f"{folder} does not exist")
        return self._disk.folders[folder]

    def _refuse_if_open(self, folder: str, files: dict[str, File]) -> None:
        for name, file in files.items():
            if file.holder is not None or self._disk.keeps_everything:
                raise FileLockedError(f"{folder}/{name} is open")
