"""What stands before the first worker may run: stores that answer, a schema, one installation.

Used by `holdfast serve` and `holdfast migrate`; each raises the error of the layer that failed.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Final

from server.audit.lives import Life, begin_life
from server.embedded import EmbeddedServices
from server.installation import establish_installation, write_probe
from server.settings import Settings
from server.storage.blob_store import BlobStore, BlobStoreUnavailableError
from server.storage.ledger import Ledger, LedgerError, LedgerUnavailableError
from server.storage.migrations import Migration, apply_migrations
from server.storage.minio_blob_store import MinioBlobStore
from server.storage.postgres_audit_ledger import PostgresAuditLedger
from server.storage.postgres_ledger import PostgresLedger

_log = logging.getLogger(__name__)

_ASK_PAUSE_S: Final = 0.1


def needs_embedded(settings: Settings, *, wants_bucket: bool = True) -> bool:
    """Whether the environment leaves a store to us."""
    return settings.database_url is None or (wants_bucket and settings.bucket is None)


def embedded_services(settings: Settings, *, wants_bucket: bool = True) -> EmbeddedServices:
    """The services that the environment does not name, not started yet."""
    return EmbeddedServices(
        settings.data_dir,
        wants_database=settings.database_url is None,
        wants_bucket=wants_bucket and settings.bucket is None,
        on_progress=_log.info,
    )


def with_services(settings: Settings, services: EmbeddedServices) -> Settings:
    """The settings with the addresses of the started services where none were given."""
    return replace(
        settings,
        database_url=settings.database_url or services.database_url,
        bucket=settings.bucket or services.bucket,
    )


def migrate(database_url: str) -> list[Migration]:
    """Bring the schema up to date; what was applied. Raises `LedgerError`."""
    return apply_migrations(database_url, on_progress=_log.info)


def join_stores(settings: Settings, *, adopts_bucket: bool, patience_s: float, life: Life) -> None:
    """Establish the installation and warm both stores up. Raises `LedgerError` or `BlobStoreError`.

    A store that is not there yet is asked again for `patience_s`: an embedded SeaweedFS answers
    before its volumes have reported to it, and then cannot read what it holds.

    A mismatch is only said: the server runs on, answers `store-mismatch`, and heals without a restart
    when the right store comes back.
    """
    asyncio.run(_join_stores(settings, adopts_bucket, time.monotonic() + patience_s, life))


def note_end(settings: Settings, life: Life) -> None:
    """The server ended well, so its next start needs no audit; where that cannot be noted, one more does no harm."""

    async def end() -> None:
        assert settings.database_url is not None
        ledger = await PostgresLedger.open(settings.database_url, pool_size=1)
        try:
            await PostgresAuditLedger(ledger.connections).end_life(life.life_id)
        except LedgerError as error:
            _log.warning("the end is not noted, so an audit follows the next start", extra={"reason": str(error)})
        finally:
            await ledger.close()

    asyncio.run(end())


async def _join_stores(settings: Settings, adopts_bucket: bool, deadline_s: float, life: Life) -> None:
    if settings.database_url is None or settings.bucket is None:
        raise ValueError("both stores are needed: start the embedded services first")
    async with AsyncExitStack() as stack:
        ledger = await PostgresLedger.open(settings.database_url, pool_size=1)
        stack.push_async_callback(ledger.close)
        store = MinioBlobStore(settings.bucket)
        stack.push_async_callback(store.close)
        while True:
            try:
                await _establish(ledger, store, adopts_bucket)
                await begin_life(PostgresAuditLedger(ledger.connections), life)
                return
            except (LedgerUnavailableError, BlobStoreUnavailableError) as error:
                if time.monotonic() >= deadline_s:
                    raise
                _log.debug("a store is not there yet", extra={"reason": str(error)})
            await asyncio.sleep(_ASK_PAUSE_S)


async def _establish(ledger: Ledger, store: BlobStore, adopts_bucket: bool) -> None:
    verdict = await establish_installation(ledger, store, adopts_bucket=adopts_bucket)
    if verdict.is_matched:
        await write_probe(ledger, store)
    else:
        _log.error(f"store-mismatch: {verdict.detail}", extra={"next_step": verdict.next_step})


def environ_of_workers(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` with everything settled that was left to us: stores, port and public address."""
    if settings.database_url is None or settings.bucket is None:
        raise ValueError("both stores are needed: start the embedded services first")
    bucket = settings.bucket
    return {
        **environ,
        "HOLDFAST_PORT": str(settings.port),
        "HOLDFAST_PUBLIC_URL": settings.public_url,
        "HOLDFAST_SHARE_CORE": "yes" if settings.shares_core else "no",
        "HOLDFAST_DATABASE_URL": settings.database_url,
        "HOLDFAST_S3_ENDPOINT": f"{'https' if bucket.is_secure else 'http'}://{bucket.endpoint}",
        "HOLDFAST_S3_ACCESS_KEY": bucket.access_key,
        "HOLDFAST_S3_SECRET_KEY": bucket.secret_key,
        "HOLDFAST_S3_BUCKET": bucket.bucket,
        "HOLDFAST_S3_REGION": bucket.region,
    }
