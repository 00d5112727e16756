"""A bucket and a ledger to collect, in memory and real."""

from collections.abc import AsyncIterator

import pytest

from server.storage.memory_blob_store import MemoryBlobStore
from server.storage.memory_ledger import MemoryLedger
from server.storage.minio_blob_store import MinioBlobStore
from server.storage.postgres_ledger import PostgresLedger
from tests.server.collect.house import Clock, House


@pytest.fixture(params=["memory", "real"])
async def house(request: pytest.FixtureRequest) -> AsyncIterator[House]:
    """Empty stores of each kind."""
    if request.param == "memory":
        yield House(MemoryLedger(), MemoryBlobStore())
        return
    ledger = await PostgresLedger.open(request.getfixturevalue("database_url"), pool_size=3)
    store = MinioBlobStore(request.getfixturevalue("bucket_settings"), threads=4)
    yield House(ledger, store)
    await store.close()
    await ledger.close()


@pytest.fixture
def clock() -> Clock:
    """The time of the stores in memory."""
    return Clock()


@pytest.fixture
def memory(clock: Clock) -> House:
    """Empty stores in memory, whose time a test moves."""
    return House(MemoryLedger(clock), MemoryBlobStore(clock))
