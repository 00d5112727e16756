"""Recordings' folders: the locks this worker holds, the files it has open, and reading what lies there.

It carries out what the core decides and translates nothing but names; errors are those of
client_py/ports.py.
"""

import hashlib
from contextlib import suppress
from typing import Final

from client_py.core.effects import ChunkBody
from client_py.core.frames import FileKind, encode_file_header
from client_py.core.journal import BALLAST_NAME, journal_name, parse_journal_name, segment_name
from client_py.core.recovery import RecoveredLog, Recovery
from client_py.core.room import BALLAST_BYTES
from client_py.ports import AppendFile, FileMissingError, FileTree, HeldLock, Locks, PortError, StorageFailedError


class ChunkLostError(Exception):
    """The bytes of a sealed chunk are not on this device any more."""


class Folders:
    """All folders that this worker works in."""

    def __init__(self, files: FileTree, locks: Locks) -> None:
        self._files: Final = files
        self._locks: Final = locks
        self._held: Final[dict[str, list[HeldLock]]] = {}
        self._open: Final[dict[str, dict[str, AppendFile]]] = {}  # folder -> name -> handle

    # ------------------------------------------------------------------ locks

    async def try_lock(self, folder: str, *, is_captured_here: bool) -> bool:
        """Take the folder's locks if they are free now."""
        taken: list[HeldLock] = []
        for name in _lock_names(folder, is_captured_here=is_captured_here):
            lock = await self._locks.try_acquire(name)
            if lock is None:
                for held in taken:
                    held.release()
                return False
            taken.append(lock)
        self._held.setdefault(folder, []).extend(taken)
        return True

    async def lock(self, folder: str, *, is_captured_here: bool) -> None:
        """Wait in the queue for each of the folder's locks; cancelling gives all of them up."""
        taken: list[HeldLock] = []
        try:
            for name in _lock_names(folder, is_captured_here=is_captured_here):
                taken.append(await self._locks.acquire(name))  # noqa: PERF401 - those taken are given up on failure
        except BaseException:
            for held in taken:
                held.release()
            raise
        self._held.setdefault(folder, []).extend(taken)

    def release(self, folder: str) -> None:
        """Close the folder's files and let other tabs have it."""
        self.close_all(folder)
        for held in self._held.pop(folder, []):
            held.release()

    # ------------------------------------------------------------------ writing

    async def open_epoch(self, folder: str, epoch: int, *, with_slices: bool) -> None:
        """Make the epoch's files under the lock files:<id>. Raises `PortError`; then no handle is left open."""
        self.close_all(folder)
        if folder not in self._held:
            self._held[folder] = [await self._locks.acquire(f"files:{folder}")]
        await self._files.create_folder(folder)
        try:
            await self._create(folder, journal_name(epoch), FileKind.JOURNAL)
            if with_slices:
                await self._create(folder, segment_name(epoch, 0), FileKind.SLICES)
        except PortError:
            self.close_all(folder)
            raise

    async def open_segment(self, folder: str, epoch: int, segment: int) -> None:
        """Make a further segment. Raises `PortError`."""
        await self._create(folder, segment_name(epoch, segment), FileKind.SLICES)

    def append(self, folder: str, name: str, content: bytes) -> int:
        """Append and flush; returns where the content begins. Raises `PortError`."""
        file = self._open.get(folder, {}).get(name)
        if file is None:
            raise StorageFailedError(f"{folder}/{name} is not open")
        offset = file.size
        file.append(content)
        file.flush()
        return offset

    def close(self, folder: str, name: str) -> None:
        """Release one handle."""
        file = self._open.get(folder, {}).pop(name, None)
        if file is not None:
            file.close()

    def close_all(self, folder: str) -> None:
        """Release the folder's handles."""
        for file in self._open.pop(folder, {}).values():
            file.close()

    def close_everything(self) -> None:
        """Release every handle; the locks go with the worker."""
        for folder in list(self._open):
            self.close_all(folder)

    # ------------------------------------------------------------------ reading

    async def read_log(self, folder: str, chunk_bytes: int) -> RecoveredLog:
        """Read a folder whose locks are held. Raises `NewerVersionError`, `PortError`."""
        try:
            names = await self._files.list_files(folder)
        except FileMissingError:  # another tab, or a former life, removed it in between
            names = []
        recovery = Recovery(folder, names)
        journals = {epoch: name for name, _ in names if (epoch := parse_journal_name(name)) is not None}
        sizes = dict(names)
        for epoch in sorted(journals):
            recovery.take_journal(epoch, await self._read_whole(folder, journals[epoch], sizes))
        for epoch, segment in recovery.segments_to_scan():
            name = segment_name(epoch, segment)
            recovery.take_segment(epoch, segment, await self._read_whole(folder, name, sizes))
        return recovery.finish(chunk_bytes)

    async def read_chunk(self, body: ChunkBody) -> bytes:
        """The chunk's bytes. Raises `ChunkLostError` unless they have its digest, `PortError` if reading fails."""
        content, is_sound = await self.read_what_is_left(body)
        if not is_sound:
            is_short = len(content) != sum(piece.size for piece in body.pieces)
            raise ChunkLostError(f"its bytes on this device are {'missing' if is_short else 'damaged'}")
        return content

    async def read_what_is_left(self, body: ChunkBody) -> tuple[bytes, bool]:
        """Whatever is here of the chunk, and whether that has its digest. Raises `PortError` if reading fails."""
        content: list[bytes] = []
        for piece in body.pieces:
            name = segment_name(piece.epoch, piece.segment)
            with suppress(FileMissingError):
                content.append(await self._files.read(body.recording_id, name, piece.offset, piece.size))
        whole = b"".join(content)
        return whole, hashlib.sha256(whole).digest() == body.sha256

    # ------------------------------------------------------------------ removing

    async def remove_segment(self, folder: str, epoch: int, segment: int) -> None:
        """Raises `FileLockedError`, `StorageFailedError`."""
        name = segment_name(epoch, segment)
        self.close(folder, name)
        await self._files.remove_file(folder, name)

    async def remove_folder(self, folder: str) -> None:
        """Remove it with everything in it and release its locks. Raises `FileLockedError`, `StorageFailedError`."""
        self.close_all(folder)
        await self._files.remove_folder(folder)
        self.release(folder)

    async def make_ballast(self, folder: str) -> None:
        """Take the ballast's room. Raises `PortError`."""
        await self._files.remove_file(folder, BALLAST_NAME)
        file = await self._files.create_file(folder, BALLAST_NAME)
        try:
            # A pattern that no file system stores in less than its length.
            file.append(hashlib.shake_128(b"holdfast ballast").digest(BALLAST_BYTES))
            file.flush()
        except PortError:
            file.close()
            await self._files.remove_file(folder, BALLAST_NAME)
            raise
        file.close()

    async def remove_ballast(self, folder: str) -> None:
        """Free the ballast's room; absent already is a success."""
        await self._files.remove_file(folder, BALLAST_NAME)

    async def _create(self, folder: str, name: str, kind: FileKind) -> None:
        file = await self._files.create_file(folder, name)
        self._open.setdefault(folder, {})[name] = file
        try:
            file.append(encode_file_header(kind))
            file.flush()
        except PortError:
            self.close(folder, name)
            raise

    async def _read_whole(self, folder: str, name: str, sizes: dict[str, int]) -> bytes:
        """A missing file reads as empty: a name may be lost after a power failure."""
        try:
            return await self._files.read(folder, name, 0, sizes.get(name, 0))
        except FileMissingError:
            return b""


def _lock_names(folder: str, *, is_captured_here: bool) -> list[str]:
    """Always in this order, so that two tabs never hold one each and wait for the other."""
    return [f"files:{folder}"] if is_captured_here else [f"capture:{folder}", f"files:{folder}"]
