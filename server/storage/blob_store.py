"""The port to the bucket: whole immutable objects by key.

Every adapter keeps this contract, and one suite (tests/contracts/test_blob_store.py) runs over all:

- When `put` returns, a later `get` by anyone gives exactly these bytes, and the store has been asked
  to make them durable. No key is ever put twice (I11); what a second put does is not defined.
- An operation that raises `BlobStoreUnavailableError` may or may not have had its effect.
- Keys are ASCII and compare by their bytes; `list_page` gives them in that order.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

# What S3 lists in one answer.
LIST_PAGE_MAX: Final = 1_000


class BlobStoreError(Exception):
    """Root of what a blob store raises.

    BlobStoreError
    +-- BlobNotFoundError         no object stands under that key
    +-- BlobStoreUnavailableError the store did not answer, answered 5xx, or answered too late
    +-- BlobStoreRefusedError     the store answers, and will not do this (credentials, bucket); a person must act
    """


class BlobNotFoundError(BlobStoreError):
    """No object stands under that key."""


class BlobStoreUnavailableError(BlobStoreError):
    """The store cannot be reached or failed; the same call may succeed later."""


class BlobStoreRefusedError(BlobStoreError):
    """The store refused: wrong credentials, no such bucket, no right to it. The message says what to check."""


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """An object as the store lists it: `size` in bytes, `etag` without quotes, the store's own time."""

    key: str
    size: int
    etag: str
    modified_at: datetime


class BlobStore(Protocol):
    """One bucket."""

    async def put(self, key: str, body: bytes) -> str:
        """Store the whole body under a new key and return its ETag (without quotes).

        One attempt, bounded by the adapter's put timeout; no hidden retries.
        """
        ...

    async def put_file(self, key: str, path: Path) -> str:
        """As `put`, of a file of any length, of which a bounded part is in memory at a time.

        It may arrive in parts; none of it can be read before all of it is stored.
        """
        ...

    async def get(self, key: str) -> bytes:
        """The whole object. Raises `BlobNotFoundError`."""
        ...

    async def get_range(self, key: str, offset: int, size: int) -> bytes:
        """`size` bytes (at least 1) from `offset`; fewer, or none, where the object ends earlier.

        Raises `BlobNotFoundError`.
        """
        ...

    async def head(self, key: str) -> BlobInfo | None:
        """What the store says of the object, or None where there is none."""
        ...

    async def list_page(self, prefix: str, start_after: str, limit: int) -> list[BlobInfo]:
        """At most `limit` (1..LIST_PAGE_MAX) objects whose key begins with `prefix` and is above `start_after`."""
        ...

    async def delete(self, key: str) -> None:
        """Remove the object; absent already is a success."""
        ...

    async def read_clock(self) -> datetime:
        """The store's own time, by which the ages of objects count; to the second."""
        ...

    async def check(self) -> None:
        """Return when the bucket exists and answers; raise `BlobStoreError` otherwise."""
        ...

    async def close(self) -> None:
        """Release threads and connections; nothing may be called afterwards."""
        ...
