"""Appending through a handle that may take less than it was given, for every file system.

A full disk answers with a short count, with 4294967288 (-8 as unsigned) or with an exception. So
the count is always compared with the length asked (`!=`), and what was torn is cut back.
"""

from typing import Final, Protocol

from client_py.ports import PortError, StorageFailedError, StorageFullError


class Handle(Protocol):
    """An open file. Its methods raise the errors of client_py/ports.py."""

    def write(self, content: bytes, at: int) -> int:
        """Write at that offset; returns the count that the file system claims to have taken."""
        ...

    def truncate(self, size: int) -> None: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...


class CheckedAppendFile:
    """client_py.ports.AppendFile over a handle that nobody else writes through; `label` is for messages."""

    def __init__(self, handle: Handle, label: str) -> None:
        self._handle: Final = handle
        self._label: Final = label
        self._size = 0
        self.is_open = True

    @property
    def size(self) -> int:
        return self._size

    def append(self, content: bytes) -> None:
        self._require_open()
        try:
            written = self._handle.write(content, self._size)
        except PortError:
            self._cut_back()
            raise
        if written != len(content):
            self._cut_back()
            raise StorageFullError(f"writing {self._label}: {written} of {len(content)} bytes were taken")
        self._size += len(content)

    def flush(self) -> None:
        self._require_open()
        self._handle.flush()

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            self._handle.close()

    def _require_open(self) -> None:
        if not self.is_open:
            raise StorageFailedError(f"{self._label} is closed")

    def _cut_back(self) -> None:
        try:
            self._handle.truncate(self._size)
            self._handle.flush()
        except PortError:
            # The next append writes over the torn bytes, and recovery rejects them by their CRC.
            return
