"""The recording that audits look at: in memory, and in a real bucket and database."""

from collections.abc import AsyncIterator

import pytest

from server.storage.memory_audit_ledger import MemoryAuditLedger
from server.storage.memory_blob_store import MemoryBlobStore
from server.storage.memory_ledger import MemoryLedger
from server.storage.minio_blob_store import MinioBlobStore
from server.storage.postgres_audit_ledger import PostgresAuditLedger
from server.storage.postgres_ledger import PostgresLedger
from tests.server.audit.scene import Scene


@pytest.fixture(params=["memory", "real"])
async def scene(request: pytest.FixtureRequest) -> AsyncIterator[Scene]:
    """Empty stores of each kind."""
    if request.param == "memory":
        yield memory_scene()
        return
    url = request.getfixturevalue("database_url")
    ledger = await PostgresLedger.open(url, pool_size=3)
    store = MinioBlobStore(request.getfixturevalue("bucket_settings"), threads=6)
    yield Scene(ledger, store, audit_ledger=PostgresAuditLedger(ledger.connections), database_url=url)
    await store.close()
    await ledger.close()


@pytest.fixture
def memory() -> Scene:
    """Empty stores in memory, for what no real store can be made to do."""
    return memory_scene()


def memory_scene() -> Scene:
    ledger = MemoryLedger()
    return Scene(ledger, MemoryBlobStore(), audit_ledger=MemoryAuditLedger(ledger=ledger))
