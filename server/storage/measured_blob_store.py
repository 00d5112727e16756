"""A bucket whose calls are counted and timed; everything else is the store's that it wraps."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from server.storage.blob_store import BlobInfo, BlobNotFoundError, BlobStore

# (call, what the object is, seconds, whether the store answered)
Observe = Callable[[str, str, float, bool], None]

_WHAT_OF_PREFIX: Final = {"packs": "pack", "chunks": "chunk"}


class MeasuredBlobStore:
    """`store`, with `observe` called after each call that moves bytes or asks for an object."""

    def __init__(self, store: BlobStore, observe: Observe) -> None:
        self._store = store
        self._observe = observe

    async def put(self, key: str, body: bytes) -> str:
        async with self._measure("put", key):
            return await self._store.put(key, body)

    async def put_file(self, key: str, path: Path) -> str:
        async with self._measure("put", key):
            return await self._store.put_file(key, path)

    async def get(self, key: str) -> bytes:
        async with self._measure("get", key):
            return await self._store.get(key)

    async def get_range(self, key: str, offset: int, size: int) -> bytes:
        async with self._measure("get", key):
            return await self._store.get_range(key, offset, size)

    async def head(self, key: str) -> BlobInfo | None:
        async with self._measure("head", key):
            return await self._store.head(key)

    async def list_page(self, prefix: str, start_after: str, limit: int) -> list[BlobInfo]:
        async with self._measure("list", prefix):
            return await self._store.list_page(prefix, start_after, limit)

    async def delete(self, key: str) -> None:
        async with self._measure("delete", key):
            await self._store.delete(key)

    async def read_clock(self) -> datetime:
        return await self._store.read_clock()

    async def check(self) -> None:
        await self._store.check()

    async def close(self) -> None:
        await self._store.close()

    @asynccontextmanager
    async def _measure(self, call: str, key: str) -> AsyncIterator[None]:
        what = _WHAT_OF_PREFIX.get(key.partition("/")[0], "other")
        started_s = time.perf_counter()
        has_answered = False
        try:
            yield
            has_answered = True
        except BlobNotFoundError:
            has_answered = True
            raise
        finally:
            self._observe(call, what, time.perf_counter() - started_s, has_answered)
