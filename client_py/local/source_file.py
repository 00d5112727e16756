"""A file that is to be sent, in slices of one size, each known by its digest before the first is taken.

The digests are what makes a mixture impossible: a slice that is read later and differs is refused,
and a file with other contents is another file, whatever its name and time say.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from protocol.limits import CHUNK_MAX_BYTES, MANIFEST_CHUNKS_MAX, MIB

SLICE_BYTES_MIN: Final = MIB  # small enough for a slow line, large enough that requests are few
SIZE_MAX: Final = CHUNK_MAX_BYTES * MANIFEST_CHUNKS_MAX  # what one manifest can list


class SourceError(Exception):
    """The file cannot be sent; the message says why and what to do."""


class SourceChangedError(SourceError):
    """The file has other contents than when it was looked at."""


class SourceFile:
    """The file's size, the digest of each slice, and `content_id`, which stands for all of its bytes."""

    def __init__(self, path: Path, size: int, slice_bytes: int, digests: list[bytes]) -> None:
        self.path: Final = path
        self.size: Final = size
        self.slice_bytes: Final = slice_bytes
        self.digests: Final = digests
        self.content_id: Final = hashlib.sha256(b"".join([b"%d %d " % (size, slice_bytes), *digests])).hexdigest()

    @property
    def slice_count(self) -> int:
        """At least 1."""
        return len(self.digests)

    def read_slice(self, number: int) -> bytes:
        """The slice as it was when the file was looked at. Raises `SourceChangedError`, `SourceError`."""
        try:
            with self.path.open("rb") as file:
                content = os.pread(file.fileno(), self.slice_bytes, number * self.slice_bytes)
        except OSError as error:
            raise SourceError(f"{self.path} cannot be read any more: {error.strerror}") from error
        if hashlib.sha256(content).digest() != self.digests[number]:
            raise SourceChangedError(
                f"{self.path} changed while it was being sent, so nothing more of it was taken. "
                "Start the command again: the file as it is then becomes a recording of its own"
            )
        return content


def slice_bytes_of(size: int) -> int:
    """The slice size for a file of `size` bytes: such that a manifest can list them all."""
    fitting = -(-size // MANIFEST_CHUNKS_MAX)
    return min(CHUNK_MAX_BYTES, max(SLICE_BYTES_MIN, -(-fitting // MIB) * MIB))


def read_source(path: Path, on_progress: Callable[[int, int], None]) -> SourceFile:
    """Read the file once; `on_progress` hears (bytes read, size). Raises `SourceError`."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if not path.is_file():
                raise SourceError(f"{path} is no regular file; only a file that can be read again can be sent safely")
            if not 0 < size <= SIZE_MAX:
                raise SourceError(f"{path} has {size} bytes; a recording holds 1 to {SIZE_MAX} bytes")
            slice_bytes = slice_bytes_of(size)
            digests: list[bytes] = []
            while content := file.read(slice_bytes):
                digests.append(hashlib.sha256(content).digest())
                on_progress(min(size, len(digests) * slice_bytes), size)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error
    if len(digests) != -(-size // slice_bytes):
        raise SourceChangedError(f"{path} changed while it was being read. Start again when it is finished")
    return SourceFile(path, size, slice_bytes, digests)
