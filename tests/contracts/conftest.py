"""The adapters over which each contract suite runs, as parametrised fixtures."""

from collections.abc import AsyncIterator, Iterator

import pytest

from server.storage.blob_store import BlobStore
from server.storage.bucket_settings import BucketSettings
from server.storage.collect_ledger import CollectLedger
from server.storage.ledger import Ledger
from server.storage.memory_blob_store import MemoryBlobStore
from server.storage.memory_collect_ledger import MemoryCollectLedger
from server.storage.memory_ledger import MemoryLedger
from server.storage.memory_rebuild_ledger import MemoryRebuildLedger
from server.storage.minio_blob_store import MinioBlobStore
from server.storage.postgres_collect_ledger import PostgresCollectLedger
from server.storage.postgres_ledger import PostgresLedger
from server.storage.postgres_rebuild_ledger import PostgresRebuildLedger
from server.storage.rebuild_ledger import RebuildLedger
from tests.conftest import fresh_bucket
from tests.contracts.minio_process import MinioProcess, find_minio


@pytest.fixture(scope="session")
def minio_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BucketSettings]:
    """A real MinIO for the session; skips without a binary, fails where one is required."""
    program = find_minio()
    with MinioProcess(program, tmp_path_factory.mktemp("minio")) as process:
        yield process.settings


@pytest.fixture(params=["memory", "seaweedfs", "minio"])
async def blob_store(request: pytest.FixtureRequest) -> AsyncIterator[BlobStore]:
    """An empty bucket of each kind."""
    if request.param == "memory":
        yield MemoryBlobStore()
        return
    if request.param == "seaweedfs":
        settings = request.getfixturevalue("bucket_settings")
    else:
        settings = fresh_bucket(request.getfixturevalue("minio_settings"))
    store = MinioBlobStore(settings, threads=4)
    yield store
    await store.close()


@pytest.fixture(params=["memory", "postgres"])
async def ledger(request: pytest.FixtureRequest) -> AsyncIterator[Ledger]:
    """An empty ledger of each kind."""
    if request.param == "memory":
        yield MemoryLedger()
        return
    opened = await PostgresLedger.open(request.getfixturevalue("database_url"), pool_size=3)
    yield opened
    await opened.close()


@pytest.fixture
def collected(ledger: Ledger) -> CollectLedger:
    """What collect needs beside, over the same ledger."""
    if isinstance(ledger, MemoryLedger):
        return MemoryCollectLedger(ledger)
    assert isinstance(ledger, PostgresLedger)
    return PostgresCollectLedger(ledger.connections)


@pytest.fixture
def rebuilt(ledger: Ledger) -> RebuildLedger:
    """What a rebuild needs beside, over the same ledger."""
    if isinstance(ledger, MemoryLedger):
        return MemoryRebuildLedger(ledger)
    assert isinstance(ledger, PostgresLedger)
    return PostgresRebuildLedger(ledger.connections)
