"""What the routes work with, put together once: the stores and everything that stands on them."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from server.audit.schedule import Schedule
from server.audit.sightings import Sightings
from server.audit.vitals import Vitals
from server.audit.wiring import build_audit_parts
from server.ingest.flush import Flusher
from server.ingest.group_ingest import GroupIngest
from server.ingest.ingest import Ingest
from server.ingest.waiting import Waiting
from server.installation_watch import InstallationWatch
from server.media.maker import Maker
from server.media.making_loop import MakingLoop
from server.media.mp4_copies import Mp4Copies
from server.media.shelf import Shelf
from server.metrics import SHARED_FOLDER_VARIABLE, Metrics
from server.ops.browsing import Browser
from server.ops.history import HistoryKeeper
from server.ops.overview import Overviewer
from server.readiness import Readiness
from server.recordings.completion import Completer
from server.recordings.erasure import Eraser
from server.recordings.reading import Reader
from server.recordings.registration import Registrar
from server.recordings.verification import Verifier
from server.settings import Settings
from server.shared_core import shared_core
from server.storage.audit_ledger import AuditLedger
from server.storage.blob_store import BlobStore
from server.storage.collect_ledger import CollectLedger
from server.storage.ledger import Ledger
from server.storage.measured_blob_store import MeasuredBlobStore
from server.storage.measured_ledger import MeasuredLedger
from server.storage.media_ledger import MediaLedger
from server.storage.minio_blob_store import MinioBlobStore
from server.storage.ops_ledger import OpsLedger
from server.storage.postgres_audit_ledger import PostgresAuditLedger
from server.storage.postgres_collect_ledger import PostgresCollectLedger
from server.storage.postgres_connection import COMMIT_S
from server.storage.postgres_ledger import PostgresLedger
from server.storage.postgres_media_ledger import PostgresMediaLedger
from server.storage.postgres_ops_ledger import PostgresOpsLedger
from server.storage.s3_client import PUT_S
from server.version import SERVER_VERSION

# PUTs need none; reads and verifications wait for one another beyond this.
_READING_THREADS: Final = 8
# Of their own, so that no listing waits for a flush nor a flush for a listing; and few, because they take turns: what
# a flush needs of its connection is still in the processor's caches when there are three, and no longer with eight.
_FLUSH_CONNECTIONS: Final = 3
_OTHER_CONNECTIONS: Final = 5


@dataclass(frozen=True, slots=True)
class Parts:
    """One worker's parts."""

    settings: Settings
    metrics: Metrics
    installation: InstallationWatch
    readiness: Readiness
    waiting: Waiting
    ingest: Ingest
    registrar: Registrar
    verifier: Verifier
    completer: Completer
    eraser: Eraser
    reader: Reader
    shelf: Shelf
    mp4_copies: Mp4Copies
    making: MakingLoop
    history: HistoryKeeper
    audit_ledger: AuditLedger
    schedule: Schedule
    vitals: Vitals
    overviewer: Overviewer
    browser: Browser


def stop_worker() -> None:
    """Drain and end; the supervisor starts another."""
    signal.raise_signal(signal.SIGTERM)


def build_parts(
    settings: Settings,
    ledger: Ledger,
    media_ledger: MediaLedger,
    ops_ledger: OpsLedger,
    audit_ledger: AuditLedger,
    collect_ledger: CollectLedger,
    store: BlobStore,
    metrics: Metrics,
    *,
    flush_ledger: Ledger,
    stop_worker: Callable[[], None] = stop_worker,
) -> Parts:
    """Everything over these two stores; nothing is opened or asked yet.

    `flush_ledger` is the same ledger, by connections of its own.
    """
    installation = InstallationWatch(ledger, store)
    waiting = Waiting(bytes_max=settings.bytes_waiting_max, chunks_max=settings.chunks_waiting_max)
    sightings = Sightings(audit_ledger)
    verifier = Verifier(ledger, store, confirm_installation=installation.confirm, note_sighting=sightings.note)
    audit = build_audit_parts(settings, ledger, audit_ledger, collect_ledger, store, installation.confirm)
    reader = Reader(ledger, store, confirm_installation=installation.confirm)
    shelf = Shelf(ledger, media_ledger, store, reader, confirm_installation=installation.confirm)
    # By the connections of the flushes: what is ready is what the first chunk will find.
    readiness = Readiness(flush_ledger, store, installation, waiting, settings.data_dir)
    shared = os.environ.get(SHARED_FOLDER_VARIABLE)
    history = HistoryKeeper(metrics, Path(shared) if shared else None)
    media_folder = settings.data_dir / "media"
    return Parts(
        settings=settings,
        metrics=metrics,
        installation=installation,
        readiness=readiness,
        waiting=waiting,
        ingest=GroupIngest(
            Flusher(MeasuredLedger.over(flush_ledger, metrics.observe_flush), store, put_and_commit_s=PUT_S + COMMIT_S),
            pack_chunk_bytes_max=settings.pack_chunk_max_bytes,
            flushes_in_flight_max=settings.flushes_in_flight_max,
            puts_in_flight_max=settings.puts_in_flight_max,
            timeout_s=settings.ingest_timeout_s,
            put_and_commit_s=PUT_S + COMMIT_S,
            stop_worker=stop_worker,
        ),
        registrar=Registrar(ledger, store, confirm_installation=installation.confirm),
        verifier=verifier,
        completer=Completer(ledger, store, verifier, server_version=SERVER_VERSION),
        eraser=Eraser(ledger, store),
        reader=reader,
        shelf=shelf,
        mp4_copies=Mp4Copies(shelf, media_folder),
        making=MakingLoop(
            media_ledger,
            media_folder,
            lambda folder: Maker(media_ledger, store, reader, folder),
            slots=settings.media_makers,
        ),
        history=history,
        audit_ledger=audit_ledger,
        schedule=audit.schedule,
        vitals=Vitals(audit_ledger, metrics, unrecoverable_after_s=settings.unrecoverable_after_s),
        overviewer=Overviewer(ops_ledger, readiness, history),
        browser=Browser(ledger, ops_ledger, store),
    )


@asynccontextmanager
async def open_parts(settings: Settings, metrics: Metrics) -> AsyncIterator[Parts]:
    """The parts over the real stores that the settings name; both are closed at the end."""
    if settings.database_url is None or settings.bucket is None:
        raise ValueError("HOLDFAST_DATABASE_URL and HOLDFAST_S3_ENDPOINT are needed here: `holdfast serve` sets them")
    threads = ThreadPoolExecutor(thread_name_prefix="beside", initializer=shared_core.leave)
    asyncio.get_running_loop().set_default_executor(threads)
    async with AsyncExitStack() as stack:
        flush_ledger = await PostgresLedger.open(settings.database_url, _FLUSH_CONNECTIONS, is_for_flushes=True)
        stack.push_async_callback(flush_ledger.close)
        ledger = await PostgresLedger.open(settings.database_url, _OTHER_CONNECTIONS)
        stack.push_async_callback(ledger.close)
        store = MeasuredBlobStore(MinioBlobStore(settings.bucket, threads=_READING_THREADS), metrics.observe_bucket)
        stack.push_async_callback(store.close)
        yield build_parts(
            settings,
            ledger,
            PostgresMediaLedger(ledger.connections),
            PostgresOpsLedger(ledger.connections),
            PostgresAuditLedger(ledger.connections),
            PostgresCollectLedger(ledger.connections),
            store,
            metrics,
            flush_ledger=flush_ledger,
        )
