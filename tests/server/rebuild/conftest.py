"""A bucket with a ledger, and a second, empty ledger to rebuild into; in memory and real."""

from collections.abc import AsyncIterator

import pytest

from server.embedded import EmbeddedServices
from server.storage.memory_blob_store import MemoryBlobStore
from server.storage.memory_ledger import MemoryLedger
from server.storage.minio_blob_store import MinioBlobStore
from server.storage.postgres_ledger import PostgresLedger
from tests.conftest import fresh_database
from tests.server.collect.house import House
from tests.server.rebuild.burnt import Burnt


@pytest.fixture(params=["memory", "real"])
async def burnt(request: pytest.FixtureRequest) -> AsyncIterator[Burnt]:
    """The house as it stands, and the one that is rebuilt."""
    if request.param == "memory":
        store = MemoryBlobStore()
        yield Burnt(House(MemoryLedger(), store), House(MemoryLedger(), store))
        return
    services: EmbeddedServices = request.getfixturevalue("embedded_database")
    bucket = MinioBlobStore(request.getfixturevalue("bucket_settings"), threads=4)
    with fresh_database(services) as empty_url:
        before = await PostgresLedger.open(request.getfixturevalue("database_url"), pool_size=3)
        after = await PostgresLedger.open(empty_url, pool_size=3)
        yield Burnt(House(before, bucket), House(after, bucket))
        await before.close()
        await after.close()
    await bucket.close()


@pytest.fixture
def memory() -> Burnt:
    """In memory alone, for what no real store can be made to do."""
    store = MemoryBlobStore()
    return Burnt(House(MemoryLedger(), store), House(MemoryLedger(), store))
