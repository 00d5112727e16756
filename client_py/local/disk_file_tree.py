"""The file tree on a disk, under one folder.

What is flushed is on the device, names included: the folder is synced after each new name. A file
that is open for appending is locked (flock), so another process neither writes nor removes it, and
a process that dies gives its locks back by dying.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from client_py.append_file import CheckedAppendFile
from client_py.ports import (
    FileLockedError,
    FileMissingError,
    PortError,
    StorageBlockedError,
    StorageFailedError,
    StorageFullError,
)

_KINDS: Final[dict[int, type[PortError]]] = {
    errno.ENOSPC: StorageFullError,
    errno.EDQUOT: StorageFullError,
    errno.EFBIG: StorageFullError,
    errno.ENOENT: FileMissingError,
    errno.ENOTDIR: FileMissingError,
    errno.EWOULDBLOCK: FileLockedError,
    errno.EACCES: StorageBlockedError,
    errno.EPERM: StorageBlockedError,
    errno.EROFS: StorageBlockedError,
}


@contextmanager
def storage_errors(doing: str) -> Iterator[None]:
    """Raise what goes wrong inside as an error of client_py.ports that says what was being done."""
    try:
        yield
    except OSError as error:
        kind = _KINDS.get(error.errno or 0, StorageFailedError)
        raise kind(f"{doing}: {error.strerror or error}") from error


class DiskHandle:
    """client_py.append_file.Handle over a file descriptor, which it owns."""

    def __init__(self, descriptor: int, label: str) -> None:
        self._descriptor: Final = descriptor
        self._label: Final = label

    def write(self, content: bytes, at: int) -> int:
        with storage_errors(f"writing {self._label}"):
            return os.pwrite(self._descriptor, content, at)

    def truncate(self, size: int) -> None:
        with storage_errors(f"cutting {self._label}"):
            os.ftruncate(self._descriptor, size)

    def flush(self) -> None:
        with storage_errors(f"flushing {self._label}"):
            os.fsync(self._descriptor)

    def close(self) -> None:
        with storage_errors(f"closing {self._label}"):
            os.close(self._descriptor)


class DiskFileTree:
    """client_py.ports.FileTree. `root` is made when it is first needed."""

    def __init__(self, root: Path) -> None:
        self._root: Final = root

    async def probe(self) -> None:
        content = b"holdfast"
        path = self._root / f".probe-{os.getpid()}"
        try:
            with storage_errors("probing storage"):
                self._make_root()
                path.unlink(missing_ok=True)
            file = _create(path, ".probe")
            try:
                file.append(content)
                file.flush()
                if _read(path, 0, len(content)) != content:
                    raise StorageBlockedError("storage gives back other bytes than were written to it")
            finally:
                file.close()
                path.unlink(missing_ok=True)
        except StorageFailedError as error:
            raise StorageBlockedError(f"storage does not hold what is written to it: {error}") from error

    async def list_folders(self) -> list[str]:
        with storage_errors("listing folders"):
            self._make_root()
            return [path.name for path in self._root.iterdir() if path.is_dir()]

    async def list_files(self, folder: str) -> list[tuple[str, int]]:
        with storage_errors(f"listing folder {folder}"):
            return [(path.name, path.stat().st_size) for path in (self._root / folder).iterdir() if path.is_file()]

    async def create_folder(self, folder: str) -> None:
        with storage_errors(f"creating folder {folder}"):
            self._make_root()
            (self._root / folder).mkdir(exist_ok=True)
            sync_folder(self._root)

    async def create_file(self, folder: str, name: str) -> CheckedAppendFile:
        file = _create(self._root / folder / name, f"{folder}/{name}")
        with storage_errors(f"creating {folder}/{name}"):
            sync_folder(self._root / folder)
        return file

    async def read(self, folder: str, name: str, offset: int, size: int) -> bytes:
        with storage_errors(f"reading {folder}/{name}"):
            return _read(self._root / folder / name, offset, size)

    async def remove_file(self, folder: str, name: str) -> None:
        path = self._root / folder / name
        with storage_errors(f"removing {folder}/{name}"):
            if path.exists():
                _remove(path)
                sync_folder(path.parent)

    async def remove_folder(self, folder: str) -> None:
        path = self._root / folder
        with storage_errors(f"removing folder {folder}"):
            if path.exists():
                for file in list(path.iterdir()):
                    _remove(file)
                path.rmdir()
                sync_folder(self._root)

    async def request_persistence(self) -> bool:
        return True  # nobody evicts files of a disk

    def _make_root(self) -> None:
        if not self._root.exists():
            self._root.mkdir(parents=True)
            sync_folder(self._root.parent)


def sync_folder(path: Path) -> None:
    """Have the folder's names on the device. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _create(path: Path, label: str) -> CheckedAppendFile:
    with storage_errors(f"creating {label}"):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return CheckedAppendFile(DiskHandle(descriptor, label), label)


def _read(path: Path, offset: int, size: int) -> bytes:
    with path.open("rb", buffering=0) as file:
        parts = []
        while size > 0 and (part := os.pread(file.fileno(), size, offset)):
            parts.append(part)
            offset, size = offset + len(part), size - len(part)
    return b"".join(parts)


def _remove(path: Path) -> None:
    """Remove it unless somebody appends to it."""
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
