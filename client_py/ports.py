"""What the client needs of its surroundings, as Protocols with their contracts.

The adapters live in client_py/browser (Pyodide's FFI), client_py/local (CPython) and
client_py/testing (fakes). Bytes are Python `bytes` on this side of every port; an adapter translates
its library's errors into the ones named here and decides nothing.
"""

from collections.abc import Sequence
from typing import Protocol


class PortError(Exception):
    """Root of what a port raises.

    PortError
    +-- StorageFullError      the write did not fit; nothing of it may be trusted
    +-- StorageBlockedError   storage is refused altogether (private window, policy, blocked by the user)
    +-- StorageFailedError    any other failure of the file system
    |   +-- FileLockedError   another context still holds the file open
    |   +-- FileMissingError  no such file or folder
    +-- NetworkError          no answer: unreachable, reset, offline, or cut off by its own time limit
        +-- RequestTimedOutError
    """


class StorageFullError(PortError):
    """The quota or the disk is full: a short count, a negative count as unsigned, or QuotaExceededError."""


class StorageBlockedError(PortError):
    """There is no storage to be had here at all."""


class StorageFailedError(PortError):
    """The file system failed in another way."""


class FileLockedError(StorageFailedError):
    """The file is open elsewhere; a terminated worker's handle may linger for seconds."""


class FileMissingError(StorageFailedError):
    """No such file or folder."""


class NetworkError(PortError):
    """No answer came."""


class RequestTimedOutError(NetworkError):
    """The attempt's own limit ran out; the request was aborted."""


class AppendFile(Protocol):
    """A file that this epoch created and alone appends to. All calls are synchronous, on the worker's thread."""

    @property
    def size(self) -> int:
        """Bytes appended and believed good."""
        ...

    def append(self, content: bytes) -> None:
        """Write at the end. The count written is compared with the length asked (`!=`).

        Raises `StorageFullError` or `StorageFailedError` after having cut the file back to its former
        size as well as it can; `size` is unchanged then.
        """
        ...

    def flush(self) -> None:
        """Return when the content has been handed to the device. Raises `StorageFailedError`."""
        ...

    def close(self) -> None:
        """Release the handle; a repeat does nothing."""
        ...


class FileTree(Protocol):
    """The origin's private file system: folders of files, one level deep."""

    async def probe(self) -> None:
        """Write, flush, read back and remove a small file. Raises `StorageBlockedError`, `StorageFullError`."""
        ...

    async def list_folders(self) -> list[str]: ...

    async def list_files(self, folder: str) -> list[tuple[str, int]]:
        """(name, size in bytes) of each file, in no particular order. Raises `FileMissingError`."""
        ...

    async def create_folder(self, folder: str) -> None:
        """Present already is a success."""
        ...

    async def create_file(self, folder: str, name: str) -> AppendFile:
        """A new empty file, opened for appending. Raises `StorageFailedError` if it exists."""
        ...

    async def read(self, folder: str, name: str, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset`, fewer at the end; takes no lock. Raises `FileMissingError`."""
        ...

    async def remove_file(self, folder: str, name: str) -> None:
        """Absent already is a success. Raises `FileLockedError`."""
        ...

    async def remove_folder(self, folder: str) -> None:
        """With everything in it; absent already is a success. Raises `FileLockedError`."""
        ...

    async def request_persistence(self) -> bool:
        """Ask that the origin's storage be exempt from eviction; the browser's answer."""
        ...


class HttpResponse(Protocol):
    """A whole answer."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> dict[str, str]:
        """Names in lower case."""
        ...

    @property
    def body(self) -> bytes: ...


class Http(Protocol):
    """One request to the page's own origin."""

    async def request(
        self, method: str, path: str, *, headers: dict[str, str], body: bytes | None, timeout_s: float
    ) -> HttpResponse:
        """Send and read the whole answer within `timeout_s`, else abort it.

        Any status is an answer. Raises `NetworkError` or `RequestTimedOutError`. Cancelling the
        call aborts the request.
        """
        ...


class Clock(Protocol):
    """Time and waiting."""

    def monotonic_ms(self) -> int: ...

    def unix_ms(self) -> int: ...

    async def sleep_ms(self, duration_ms: int) -> None: ...


class Entropy(Protocol):
    """Randomness."""

    def random_bytes(self, count: int) -> bytes:
        """From a source fit for identifiers."""
        ...

    def uniform(self) -> float:
        """In [0, 1), for jitter."""
        ...


class HeldLock(Protocol):
    """A lock that is held until released or until its holder dies."""

    def release(self) -> None:
        """A repeat does nothing."""
        ...


class Locks(Protocol):
    """Locks among all tabs and workers of the origin (Web Locks)."""

    async def acquire(self, name: str) -> HeldLock:
        """Wait in the queue, without polling; cancelling gives up the place."""
        ...

    async def try_acquire(self, name: str) -> HeldLock | None:
        """At once or not at all."""
        ...

    async def held_names(self) -> list[str]:
        """The names held at this moment by anyone; a snapshot, for display and hints only."""
        ...


class Tabs(Protocol):
    """A broadcast to the other tabs of this origin; never relied on for safety."""

    def publish(self, message: bytes) -> None: ...

    async def next_message(self) -> bytes: ...


class Window(Protocol):
    """The page this worker belongs to: it captures, shows, and keeps slices until they are durable."""

    def post(self, message: "Sequence[object] | object") -> None:
        """Send one of the worker's messages (client_py/messages.py) to the window."""
        ...
