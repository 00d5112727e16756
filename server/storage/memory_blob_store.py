"""A bucket in memory: for unit tests and simulations, with the whole contract of `BlobStore`.

It is stricter than a real store in one point: a second put of other bytes under the same key is a
programmer's error (I11) and raises, where a real store would silently replace the object.
"""

import asyncio
import hashlib
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from server.storage.blob_store import LIST_PAGE_MAX, BlobInfo, BlobNotFoundError


@dataclass(frozen=True, slots=True)
class _Blob:
    body: bytes
    info: BlobInfo


class MemoryBlobStore:
    """One bucket. `now` is the store's own clock, in UTC."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._blobs: dict[str, _Blob] = {}

    async def put(self, key: str, body: bytes) -> str:
        held = self._blobs.get(key)
        if held is not None and held.body != body:
            raise AssertionError(f"I11: {key} was put a second time, with other bytes")
        etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
        self._blobs[key] = _Blob(bytes(body), BlobInfo(key, len(body), etag, self._now()))
        return etag

    async def put_file(self, key: str, path: Path) -> str:
        return await self.put(key, await asyncio.to_thread(path.read_bytes))

    async def get(self, key: str) -> bytes:
        return self._find(key).body

    async def get_range(self, key: str, offset: int, size: int) -> bytes:
        return self._find(key).body[offset : offset + size]

    async def head(self, key: str) -> BlobInfo | None:
        held = self._blobs.get(key)
        return None if held is None else held.info

    async def list_page(self, prefix: str, start_after: str, limit: int) -> list[BlobInfo]:
        if not 1 <= limit <= LIST_PAGE_MAX:
            raise ValueError(f"a page holds 1 to {LIST_PAGE_MAX} objects, asked for {limit}")
        keys = sorted(key for key in self._blobs if key.startswith(prefix))
        first = bisect_right(keys, start_after)
        return [self._blobs[key].info for key in keys[first : first + limit]]

    async def delete(self, key: str) -> None:
        self._blobs.pop(key, None)

    async def read_clock(self) -> datetime:
        return self._now()

    async def check(self) -> None:
        return None

    async def close(self) -> None:
        return None

    def _find(self, key: str) -> _Blob:
        try:
            return self._blobs[key]
        except KeyError:
            raise BlobNotFoundError(f"the bucket holds no object {key}") from None
