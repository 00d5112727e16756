"""The whole application for tests, over whichever stores, and what a test asks of it and of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx

from server.app import create_litestar
from server.envelope import Envelope
from server.metrics import Metrics
from server.parts import Parts, build_parts
from server.settings import Settings
from server.storage.audit_ledger import AuditLedger
from server.storage.blob_store import BlobStore
from server.storage.collect_ledger import CollectLedger
from server.storage.keys import new_uuid7
from server.storage.ledger import Ledger, StoredChunk
from server.storage.media_ledger import MediaLedger
from server.storage.memory_audit_ledger import MemoryAuditLedger
from server.storage.memory_collect_ledger import MemoryCollectLedger
from server.storage.memory_ledger import MemoryLedger
from server.storage.memory_media_ledger import MemoryMediaLedger
from server.storage.memory_ops_ledger import MemoryOpsLedger
from server.storage.ops_ledger import OpsLedger
from server.storage.postgres_audit_ledger import PostgresAuditLedger
from server.storage.postgres_collect_ledger import PostgresCollectLedger
from server.storage.postgres_ledger import PostgresLedger
from server.storage.postgres_media_ledger import PostgresMediaLedger
from server.storage.postgres_ops_ledger import PostgresOpsLedger

ORIGIN = "http://localhost:3000"


@dataclass
class Stack:
    """The application, a client of it, and its two stores."""

    ledger: Ledger
    store: BlobStore
    parts: Parts
    app: Envelope
    client: httpx.AsyncClient
    recording_id: UUID = field(default_factory=new_uuid7)

    @property
    def path(self) -> str:
        """The address of this test's own recording."""
        return f"/api/recordings/{self.recording_id}"

    async def register(self, **changes: Any) -> httpx.Response:
        """Register this test's own recording."""
        body = {
            "recording_id": str(self.recording_id),
            "mime_type": "audio/webm",
            "started_at": "2026-01-01T00:00:00Z",
            **changes,
        }
        return await self.client.post("/api/recordings", json=body)

    async def keys(self) -> list[str]:
        """Every key of the bucket."""
        found: list[str] = []
        while page := await self.store.list_page("", found[-1] if found else "", 1_000):
            found.extend(blob.key for blob in page)
        return found

    async def rows(self, recording_id: UUID | None = None) -> list[StoredChunk]:
        """The rows of this test's recording, or of another."""
        return await self.ledger.list_chunks(recording_id or self.recording_id, after_index=-1, limit=1_000)


def media_ledger_of(ledger: Ledger) -> MediaLedger:
    """The media ledger of the same database, or of the same memory."""
    if isinstance(ledger, MemoryLedger):
        return MemoryMediaLedger(ledger)
    assert isinstance(ledger, PostgresLedger)
    return PostgresMediaLedger(ledger.connections)


def ops_ledger_of(ledger: Ledger) -> OpsLedger:
    """The operator's ledger of the same database, or of the same memory."""
    if isinstance(ledger, MemoryLedger):
        return MemoryOpsLedger(ledger)
    assert isinstance(ledger, PostgresLedger)
    return PostgresOpsLedger(ledger.connections)


def audit_ledger_of(ledger: Ledger) -> AuditLedger:
    """The audit's ledger of the same database, or of the same memory."""
    if isinstance(ledger, MemoryLedger):
        return MemoryAuditLedger(ledger=ledger)
    assert isinstance(ledger, PostgresLedger)
    return PostgresAuditLedger(ledger.connections)


def collect_ledger_of(ledger: Ledger) -> CollectLedger:
    """The collect's ledger of the same database, or of the same memory."""
    if isinstance(ledger, MemoryLedger):
        return MemoryCollectLedger(ledger)
    assert isinstance(ledger, PostgresLedger)
    return PostgresCollectLedger(ledger.connections)


class _Application:
    """The routes for one stack after another: to build them takes longer than most tests."""

    def __init__(self) -> None:
        self.parts: Parts | None = None
        self.litestar = create_litestar(self._open_parts)

    @asynccontextmanager
    async def _open_parts(self) -> AsyncIterator[Parts]:
        assert self.parts is not None
        yield self.parts


_unused: list[_Application] = []


@asynccontextmanager
async def running_stack(settings: Settings, ledger: Ledger, store: BlobStore) -> AsyncIterator[Stack]:
    """The application with its lifespan over these stores, which already belong together."""
    others = (media_ledger_of(ledger), ops_ledger_of(ledger), audit_ledger_of(ledger), collect_ledger_of(ledger))
    parts = build_parts(settings, ledger, *others, store, Metrics(), flush_ledger=ledger, stop_worker=lambda: None)
    application = _unused.pop() if _unused else _Application()
    application.parts = parts
    app = Envelope(application.litestar, parts.metrics)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)  # type: ignore[arg-type]
    async with _running(app), httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
        yield Stack(ledger, store, parts, app, client)
    _unused.append(application)


@asynccontextmanager
async def _running(app: Envelope) -> AsyncIterator[None]:
    """The application's lifespan in one task, as a server runs it; a fixture's two halves may be two tasks."""
    started, stopping = asyncio.Event(), asyncio.Event()

    async def live() -> None:
        async with app.litestar.lifespan():
            started.set()
            await stopping.wait()

    life = asyncio.create_task(live())
    await asyncio.wait([life, asyncio.create_task(started.wait())], return_when=asyncio.FIRST_COMPLETED)
    try:
        yield
    finally:
        stopping.set()
        await life
