"""Whether this process can do its work now: bucket, ledger, disk, installation, and not on its way out."""

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from protocol.wire import Health
from server.ingest.waiting import Waiting
from server.installation_watch import InstallationWatch
from server.refusal import Refusal
from server.storage.blob_store import BlobStore, BlobStoreError
from server.storage.ledger import Ledger, LedgerError

OK: Final = "ok"
# Below it a database stops to write, and a bucket soon after.
DISK_FREE_BYTES_MIN: Final = 256 * 1024 * 1024
_CHECK_S_MAX: Final = 3.0
# However many ask, the stores are asked at most once in this time.
_FRESH_S: Final = 1.0


class Readiness:
    """Asks every part and keeps the answer for a moment."""

    def __init__(
        self,
        ledger: Ledger,
        store: BlobStore,
        installation: InstallationWatch,
        waiting: Waiting,
        data_dir: Path,
        read_free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free,
    ) -> None:
        self._data_dir = data_dir
        self._read_free_bytes = read_free_bytes
        self._ledger = ledger
        self._store = store
        self._installation = installation
        self._waiting = waiting
        self._lock = asyncio.Lock()
        self._last: Health | None = None
        self._asked_at_s = 0.0

    async def report(self) -> Health:
        """`status` is `ready` or `not-ready`; each check is `ok` or a sentence."""
        async with self._lock:
            if self._last is None or time.monotonic() - self._asked_at_s > _FRESH_S or self._waiting.is_draining:
                self._last = await self._ask()
                self._asked_at_s = time.monotonic()
            return self._last

    async def _ask(self) -> Health:
        bucket, ledger = await asyncio.gather(
            _ask_one(self._store.check, "check HOLDFAST_S3_ENDPOINT and the S3 service"),
            _ask_one(self._ledger.check, "check HOLDFAST_DATABASE_URL and the database"),
        )
        checks = {"bucket": bucket, "ledger": ledger}
        checks["installation"] = await _ask_one(self._installation.confirm, "bucket or ledger does not answer")
        checks["disk"] = self._check_disk()
        checks["process"] = "it is stopping" if self._waiting.is_draining else OK
        is_ready = all(answer == OK for answer in checks.values())
        return Health(status="ready" if is_ready else "not-ready", checks=checks)

    def _check_disk(self) -> str:
        """Of the embedded stores: with given ones the folder holds nothing that counts, or is not there."""
        try:
            free = self._read_free_bytes(self._data_dir)
        except OSError:
            return OK
        if free >= DISK_FREE_BYTES_MIN:
            return OK
        return (
            f"{free >> 20} MiB are free under {self._data_dir}, and the embedded stores need "
            f"{DISK_FREE_BYTES_MIN >> 20}; make room, or move HOLDFAST_DATA_DIR"
        )


async def _ask_one(check: Callable[[], Awaitable[None]], hint: str) -> str:
    try:
        async with asyncio.timeout(_CHECK_S_MAX):
            await check()
    except TimeoutError:
        return f"no answer within {_CHECK_S_MAX:g} s; {hint}"
    except (BlobStoreError, LedgerError) as error:
        return f"{error}; {hint}"
    except Refusal as refusal:
        return f"{refusal.detail}. {refusal.next_step}"
    return OK
