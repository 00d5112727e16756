"""The bucket over the minio SDK: MinIO, SeaweedFS, S3 or any store that speaks it.

The SDK blocks, so each call but PUT (object_put.py) runs in a thread of this store's own bounded pool. Every
call has a deadline as a whole; a PUT that arrives after it may still have its effect, as the contract allows.

It relies on the store listing keys in byte order. SeaweedFS does so only where no key has a sibling
folder of the same beginning (`a-b` beside `a/b`); the layout of our keys (docs/FORMATS.md) has none,
and a page that is out of order is refused instead of misread.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from email.utils import parsedate_to_datetime
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, Final, TypeVar

import minio
from minio.error import S3Error

from server.shared_core import shared_core
from server.storage.blob_store import (
    LIST_PAGE_MAX,
    BlobInfo,
    BlobNotFoundError,
    BlobStoreRefusedError,
    BlobStoreUnavailableError,
)
from server.storage.bucket_settings import BucketSettings
from server.storage.keys import InstallationKey
from server.storage.object_put import ObjectPut
from server.storage.s3_client import CALL_ERRORS, PUT_S, create_bucket, make_client, translate_error

# More calls than that at once only queue inside the store, and each holds a thread and a connection.
THREADS_DEFAULT: Final = 16
# A whole object is at most a few tens of megabytes.
GET_S: Final = 15.0
LIST_S: Final = 15.0
SMALL_CALL_S: Final = 8.0
# A file goes in parts of this size, one of them in memory at a time; S3 takes 10,000, so 80 GiB.
_FILE_PART_BYTES: Final = 8 * 1024 * 1024

T = TypeVar("T")


class MinioBlobStore:
    """One bucket. Belongs to one event loop; `ensure_bucket` makes the bucket, nothing else does."""

    def __init__(self, settings: BucketSettings, threads: int = THREADS_DEFAULT) -> None:
        self._settings = settings
        self._bucket = settings.bucket
        self._client, self._pool = make_client(settings, threads)
        self._object_put = ObjectPut(settings)
        self._threads = ThreadPoolExecutor(
            max_workers=threads, thread_name_prefix="bucket", initializer=shared_core.leave
        )

    async def ensure_bucket(self) -> None:
        """Make the bucket where it is missing. Raises `BlobStoreError`."""
        await self._run(SMALL_CALL_S, self._bucket, lambda: create_bucket(self._settings))

    async def put(self, key: str, body: bytes) -> str:
        return _require_etag(await _within(PUT_S, key, self._object_put.put(key, body)), key)

    async def put_file(self, key: str, path: Path) -> str:
        size = await asyncio.to_thread(lambda: path.stat().st_size)
        parts = 1 + size // _FILE_PART_BYTES

        def put() -> str:
            with path.open("rb") as file:
                result = self._client.put_object(
                    self._bucket, key, file, size, part_size=_FILE_PART_BYTES, num_parallel_uploads=1
                )
            return _require_etag(result.etag, key)

        # Each part has the time of a put, and so have the two calls around them.
        return await self._run(PUT_S * (parts + 2), key, put)

    async def get(self, key: str) -> bytes:
        return await self._run(GET_S, key, lambda: self._read(key))

    async def get_range(self, key: str, offset: int, size: int) -> bytes:
        def read() -> bytes:
            try:
                return self._read(key, offset=offset, length=size)
            except S3Error as error:
                if error.code == "InvalidRange":
                    return b""
                raise

        return await self._run(GET_S, key, read)

    async def head(self, key: str) -> BlobInfo | None:
        def head() -> BlobInfo | None:
            try:
                return _describe(self._client.stat_object(self._bucket, key))
            except S3Error as error:
                if not isinstance(translate_error(error, key), BlobNotFoundError):
                    raise
            # A HEAD has no body to tell a lost object from a wrong bucket, and the second must not look like the first.
            self._require_bucket()
            return None

        return await self._run(SMALL_CALL_S, key, head)

    async def list_page(self, prefix: str, start_after: str, limit: int) -> list[BlobInfo]:
        if not 1 <= limit <= LIST_PAGE_MAX:
            raise ValueError(f"a page holds 1 to {LIST_PAGE_MAX} objects, asked for {limit}")

        def list_page() -> list[BlobInfo]:
            # The generator asks for a page at a time; islice stops it before the next.
            listed = self._client.list_objects(
                self._bucket, prefix=prefix or None, recursive=True, start_after=start_after or None
            )
            return [_describe(item) for item in islice(listed, limit)]

        page = await self._run(LIST_S, prefix or self._bucket, list_page)
        if any(first.key >= second.key for first, second in pairwise(page)):
            raise BlobStoreRefusedError(f"the store lists {prefix!r} out of byte order, so it cannot be audited")
        return page

    async def delete(self, key: str) -> None:
        await self._run(SMALL_CALL_S, key, lambda: self._client.remove_object(self._bucket, key))

    async def read_clock(self) -> datetime:
        scheme = "https" if self._settings.is_secure else "http"

        def read_clock() -> datetime:
            # Every answer carries it, that to a stranger too; the SDK shows no headers.
            answer = self._pool.request("HEAD", f"{scheme}://{self._settings.endpoint}/", redirect=False)
            try:
                return parsedate_to_datetime(answer.headers["Date"])
            except (KeyError, ValueError) as error:
                raise BlobStoreRefusedError(f"the store says no usable Date, by which ages count: {error}") from error

        return await self._run(SMALL_CALL_S, self._bucket, read_clock)

    async def check(self) -> None:
        await self._run(SMALL_CALL_S, self._bucket, self._require_bucket)
        key = InstallationKey().text
        await _within(SMALL_CALL_S, key, self._object_put.check(key))

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._pool.clear()
        self._object_put.close()

    def _require_bucket(self) -> None:
        if not self._client.bucket_exists(self._bucket):
            raise BlobStoreRefusedError(
                f"the bucket {self._bucket} does not exist: check HOLDFAST_S3_BUCKET, or create it"
            )

    def _read(self, key: str, offset: int = 0, length: int = 0) -> bytes:
        response = self._client.get_object(self._bucket, key, offset=offset, length=length)
        try:
            # urllib3 compares with Content-Length, so a transfer that was cut raises instead of returning less.
            return response.read()
        finally:
            response.close()
            response.release_conn()

    async def _run(self, seconds: float, what: str, call: Callable[[], T]) -> T:
        """`call` in a thread, within `seconds`, its errors translated."""
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.get_running_loop().run_in_executor(self._threads, call)
        except TimeoutError as error:
            raise BlobStoreUnavailableError(f"the store did not answer for {what} within {seconds:.0f} s") from error
        except CALL_ERRORS as error:
            raise translate_error(error, what) from error


def _describe(item: minio.datatypes.Object) -> BlobInfo:
    key = item.object_name or ""
    if item.size is None or item.last_modified is None:
        raise BlobStoreUnavailableError(f"the store described {key} without size or time")
    return BlobInfo(key, item.size, _require_etag(item.etag, key), item.last_modified)


async def _within(seconds: float, key: str, call: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(seconds):
            return await call
    except TimeoutError as error:
        raise BlobStoreUnavailableError(f"the store did not answer for {key} within {seconds:.0f} s") from error


def _require_etag(etag: Any, key: str) -> str:
    if not isinstance(etag, str) or not etag:
        raise BlobStoreUnavailableError(f"the store named no ETag for {key}")
    return etag.strip('"')
