"""The stores that a word of the command line works on: given ones, those of the running server, or started for it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TypeVar

from server.audit.wiring import AuditParts, build_audit_parts
from server.embedded import find_running_services
from server.installation_watch import InstallationWatch
from server.logging_setup import set_up_logging
from server.preparation import embedded_services, migrate, needs_embedded, with_services
from server.services.errors import DataDirectoryBusyError
from server.settings import Settings
from server.storage.minio_blob_store import MinioBlobStore
from server.storage.postgres_audit_ledger import PostgresAuditLedger
from server.storage.postgres_collect_ledger import PostgresCollectLedger
from server.storage.postgres_ledger import PostgresLedger

T = TypeVar("T")


@asynccontextmanager
async def with_audit_parts(settings: Settings) -> AsyncIterator[AuditParts]:
    """Audit, scrub and collect over the stores, which must belong together.

    Raises `Refusal` where they do not, `LedgerError`, `BlobStoreError`.
    """
    if settings.database_url is None or settings.bucket is None:
        raise ValueError("both stores are needed: `run_on_stores` finds or starts them")
    async with AsyncExitStack() as stack:
        ledger = await PostgresLedger.open(settings.database_url)
        stack.push_async_callback(ledger.close)
        store = MinioBlobStore(settings.bucket)
        stack.push_async_callback(store.close)
        installation = InstallationWatch(ledger, store)
        await installation.confirm()
        audit_ledger = PostgresAuditLedger(ledger.connections)
        collected = PostgresCollectLedger(ledger.connections)
        yield build_audit_parts(settings, ledger, audit_ledger, collected, store, installation.confirm)


def with_stores(settings: Settings, act: Callable[[PostgresLedger, MinioBlobStore], Coroutine[None, None, T]]) -> T:
    """What `act` answers, over a ledger whose schema is up to date and a bucket that exists."""
    answers: list[T] = []

    async def run(found: Settings) -> None:
        assert found.database_url is not None and found.bucket is not None
        await asyncio.to_thread(migrate, found.database_url)
        async with AsyncExitStack() as stack:
            ledger = await PostgresLedger.open(found.database_url)
            stack.push_async_callback(ledger.close)
            store = MinioBlobStore(found.bucket)
            stack.push_async_callback(store.close)
            await store.ensure_bucket()
            answers.append(await act(ledger, store))

    run_on_stores(settings, run)
    return answers[0]


def run_on_stores(settings: Settings, run: Callable[[Settings], Coroutine[None, None, None]]) -> None:
    """Run it with the settings of stores that answer; embedded ones that do not run are started meanwhile."""
    # The word shows its own progress and outcome; at the level of a server each finding would be a line as well.
    set_up_logging(replace(settings, log_level="error" if settings.log_level == "info" else settings.log_level))
    if not needs_embedded(settings):
        asyncio.run(run(settings))
        return
    services = embedded_services(settings)
    try:
        services.start()
    except DataDirectoryBusyError:
        # The server runs: its stores are ours, too.
        database_url, bucket = find_running_services(settings.data_dir)
        found = replace(settings, database_url=settings.database_url or database_url, bucket=settings.bucket or bucket)
        asyncio.run(run(found))
        return
    try:
        found = with_services(settings, services)
        assert found.database_url is not None
        migrate(found.database_url)
        asyncio.run(run(found))
    finally:
        services.stop()
