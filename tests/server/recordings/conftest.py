"""The recording that tests look at: in memory, and in a real bucket and database."""

from collections.abc import AsyncIterator

import pytest

from server.storage.memory_blob_store import MemoryBlobStore
from server.storage.memory_ledger import MemoryLedger
from server.storage.minio_blob_store import MinioBlobStore
from server.storage.postgres_ledger import PostgresLedger
from tests.server.recordings.held import Held


@pytest.fixture(params=["memory", "real"])
async def held(request: pytest.FixtureRequest) -> AsyncIterator[Held]:
    """Empty stores of each kind."""
    if request.param == "memory":
        yield Held(MemoryLedger(), MemoryBlobStore())
        return
    ledger = await PostgresLedger.open(request.getfixturevalue("database_url"), pool_size=3)
    store = MinioBlobStore(request.getfixturevalue("bucket_settings"), threads=4)
    yield Held(ledger, store)
    await store.close()
    await ledger.close()


@pytest.fixture
def memory() -> Held:
    """Empty stores in memory, for what no real store can be made to do."""
    return Held(MemoryLedger(), MemoryBlobStore())
