"""The file tree on the Origin Private File System, through synchronous access handles.

Handles are the only way that writes in place, and only exclusive locks are used (`mode` is Chromium's
alone). Everything lies under one folder of the origin, so that other users of the origin's storage
are never touched. What a full disk answers is the matter of client_py/append_file.py.
"""

from typing import Any, Final
from uuid import uuid4

import js
from pyodide.ffi import JsException, to_js

from client_py.append_file import CheckedAppendFile
from client_py.browser.storage_errors import let_rejections_end_an_await, storage_errors
from client_py.ports import FileMissingError, StorageBlockedError, StorageFailedError

ROOT_FOLDER: Final = "holdfast"
# A File goes unreadable when its file changes after getFile(); another epoch may still be dying then.
READ_ATTEMPTS_MAX: Final = 5


class OpfsHandle:
    """client_py.append_file.Handle over a synchronous access handle."""

    def __init__(self, handle: Any, label: str) -> None:
        self._handle = handle
        self._label = label

    def write(self, content: bytes, at: int) -> int:
        view = to_js(content)  # a Uint8Array of its own: one copy out of Python's memory
        with storage_errors(f"writing {self._label}"):
            # `at` is always given: browsers disagree on what its absence means.
            return self._handle.write(view, at=at)

    def truncate(self, size: int) -> None:
        with storage_errors(f"cutting {self._label}"):
            self._handle.truncate(size)

    def flush(self) -> None:
        with storage_errors(f"flushing {self._label}"):
            self._handle.flush()

    def close(self) -> None:
        with storage_errors(f"closing {self._label}"):
            self._handle.close()

    def read(self, offset: int, size: int) -> bytes:
        buffer = js.Uint8Array.new(size)
        with storage_errors(f"reading {self._label}"):
            count = self._handle.read(buffer, at=offset)
        return buffer.subarray(0, count).to_bytes()


class OpfsAppendFile(CheckedAppendFile):
    """A file that can be read while it is open for appending: a File made between two appends is unreadable."""

    def __init__(self, handle: Any, label: str) -> None:
        self._readable = OpfsHandle(handle, label)
        super().__init__(self._readable, label)

    def read(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset`, as appended so far."""
        return self._readable.read(offset, max(0, min(size, self.size - offset)))


class OpfsFileTree:
    """Folders of files under one folder of the origin; see `client_py.ports.FileTree`."""

    def __init__(self) -> None:
        let_rejections_end_an_await()
        self._root: Any = None
        self._open: dict[tuple[str, str], OpfsAppendFile] = {}

    async def probe(self) -> None:
        name = f".probe-{uuid4().hex}"
        try:
            root = await self._root_folder()
            await self._probe_file(root, name)
        except StorageFailedError as error:
            raise StorageBlockedError(f"storage does not hold what is written to it: {error}") from error
        except (AttributeError, TypeError) as error:
            raise StorageBlockedError("this browser has no private file system with synchronous access") from error

    async def list_folders(self) -> list[str]:
        root = await self._root_folder()
        return [name for name, handle in await self._entries(root) if handle.kind == "directory"]

    async def list_files(self, folder: str) -> list[tuple[str, int]]:
        directory = await self._folder(folder)
        files = []
        for name, handle in await self._entries(directory):
            if handle.kind == "file":
                files.append((name, await self._size_of(folder, name, handle)))
        return files

    async def create_folder(self, folder: str) -> None:
        root = await self._root_folder()
        with storage_errors(f"creating folder {folder}"):
            await root.getDirectoryHandle(folder, create=True)

    async def create_file(self, folder: str, name: str) -> OpfsAppendFile:
        directory = await self._folder(folder)
        label = f"{folder}/{name}"
        try:
            with storage_errors(f"looking for {label}"):
                await directory.getFileHandle(name)
        except FileMissingError:
            pass
        else:
            raise StorageFailedError(f"creating {label}: it exists already")
        with storage_errors(f"creating {label}"):
            entry = await directory.getFileHandle(name, create=True)
            handle = await entry.createSyncAccessHandle()
        file = OpfsAppendFile(handle, label)
        self._open[folder, name] = file
        return file

    async def read(self, folder: str, name: str, offset: int, size: int) -> bytes:
        held = self._held(folder, name)
        if held is not None:
            return held.read(offset, size)
        directory = await self._folder(folder)
        for attempt in range(1, READ_ATTEMPTS_MAX + 1):
            with storage_errors(f"reading {folder}/{name}"):
                entry = await directory.getFileHandle(name)
                part = (await entry.getFile()).slice(offset, offset + size)
                try:
                    return (await part.arrayBuffer()).to_bytes()
                except JsException as error:
                    if error.name != "NotReadableError" or attempt == READ_ATTEMPTS_MAX:
                        raise
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def remove_file(self, folder: str, name: str) -> None:
        try:
            directory = await self._folder(folder)
            with storage_errors(f"removing {folder}/{name}"):
                await directory.removeEntry(name)
        except FileMissingError:
            return

    async def remove_folder(self, folder: str) -> None:
        root = await self._root_folder()
        try:
            with storage_errors(f"removing folder {folder}"):
                await root.removeEntry(folder, recursive=True)
        except FileMissingError:
            return

    async def request_persistence(self) -> bool:
        # Only a window may ask; ours does so before it starts this worker, and here its answer is read.
        with storage_errors("asking whether storage is persistent"):
            return bool(await js.navigator.storage.persisted())

    async def _root_folder(self) -> Any:
        if self._root is None:
            with storage_errors("opening storage"):
                origin = await js.navigator.storage.getDirectory()
                self._root = await origin.getDirectoryHandle(ROOT_FOLDER, create=True)
        return self._root

    async def _folder(self, folder: str) -> Any:
        root = await self._root_folder()
        with storage_errors(f"opening folder {folder}"):
            return await root.getDirectoryHandle(folder)

    async def _entries(self, directory: Any) -> list[tuple[str, Any]]:
        # One crossing into JavaScript for the whole listing instead of one for each entry.
        with storage_errors("listing a folder"):
            entries = await js.Array.fromAsync(directory.entries())
        return [(entry[0], entry[1]) for entry in entries]

    async def _size_of(self, folder: str, name: str, handle: Any) -> int:
        held = self._held(folder, name)
        if held is not None:
            return held.size
        with storage_errors(f"measuring {folder}/{name}"):
            return int((await handle.getFile()).size)

    def _held(self, folder: str, name: str) -> OpfsAppendFile | None:
        held = self._open.get((folder, name))
        if held is not None and not held.is_open:
            del self._open[folder, name]
            return None
        return held

    async def _probe_file(self, root: Any, name: str) -> None:
        content = b"holdfast"
        with storage_errors("probing storage"):
            entry = await root.getFileHandle(name, create=True)
            handle = await entry.createSyncAccessHandle()
        file = OpfsAppendFile(handle, name)
        try:
            file.append(content)
            file.flush()
            if file.read(0, len(content)) != content:
                raise StorageBlockedError("storage gives back other bytes than were written to it")
        finally:
            file.close()
            with storage_errors("removing the probe"):
                await root.removeEntry(name)
