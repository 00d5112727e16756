"""The audit on a real bucket and a real database, filled through the server's own upload route and then damaged."""

import io
from collections.abc import Callable
from pathlib import Path

import minio
import psycopg
import pytest

from loadtest.bucket_contents import Bucket
from loadtest.check_bytes import LedgerRow, Verdict, audit, describe, read_rows
from loadtest.embedded_stores import StoresUnknownError, find_bucket, find_database_url
from loadtest.workload import Run, expected_body
from server.embedded import EmbeddedServices
from server.installation import establish_installation, write_probe
from server.settings import read_settings
from server.storage.bucket_settings import BucketSettings
from server.storage.minio_blob_store import MinioBlobStore
from server.storage.postgres_ledger import PostgresLedger
from server.storage.s3_client import make_client
from tests.server.stack import running_stack

RUN = Run("r", 12, {})


class FilledStores:
    """A database and a bucket that hold the run, and the means to damage them."""

    def __init__(self, database_url: str, settings: BucketSettings) -> None:
        self.database_url = database_url
        self.settings = settings

    def audit(self) -> Verdict:
        bucket = Bucket(
            endpoint=self.settings.endpoint,
            access_key=self.settings.access_key,
            secret_key=self.settings.secret_key,
            bucket=self.settings.bucket,
        )
        try:
            return audit(RUN, read_rows(self.database_url), bucket.read_all())
        finally:
            bucket.close()

    def row(self, n: int) -> LedgerRow:
        return next(row for row in read_rows(self.database_url) if row.chunk_id == RUN.chunk_id(n))

    def execute(self, statement: str, *parameters: object) -> None:
        with psycopg.connect(self.database_url) as connection:
            assert connection.execute(statement, parameters).rowcount == 1

    def touch(self, action: Callable[[minio.Minio, str], object]) -> None:
        client, pool = make_client(self.settings, 1)
        try:
            action(client, self.settings.bucket)
        finally:
            pool.clear()


@pytest.fixture
async def filled(database_url: str, bucket_settings: BucketSettings, tmp_path: Path) -> FilledStores:
    """Every chunk of the run was uploaded and answered 200."""
    settings = read_settings({"HOLDFAST_WEB_DIR": str(tmp_path), "HOLDFAST_DATA_DIR": str(tmp_path / "data")})
    ledger, store = await PostgresLedger.open(database_url, pool_size=2), MinioBlobStore(bucket_settings, threads=2)
    try:
        assert (await establish_installation(ledger, store)).is_matched
        await write_probe(ledger, store)
        async with running_stack(settings, ledger, store) as stack:
            for n in range(RUN.sent):
                body = {"chunkId": RUN.chunk_id(n), "data": expected_body(RUN.name, n).decode()}
                assert (await stack.client.post("/api/chunks/upload", json=body)).status_code == 200
    finally:
        await store.close()
        await ledger.close()
    return FilledStores(database_url, bucket_settings)


def test_a_run_that_the_server_kept_is_clean(filled: FilledStores) -> None:
    verdict = filled.audit()
    assert verdict.is_clean, describe(verdict)
    assert (verdict.ledger_rows, verdict.chunks_in_bucket, verdict.bytes_equal) == (12, 12, 12)


def test_a_planted_loss_is_found(filled: FilledStores) -> None:
    key = filled.row(3).key
    filled.touch(lambda client, bucket: client.remove_object(bucket, key))
    verdict = filled.audit()
    assert verdict.harm["acknowledged, not in the bucket"] == 1
    assert any("r-3" in example for example in verdict.examples)


def test_a_flipped_byte_is_found(filled: FilledStores) -> None:
    row = filled.row(4)

    def flip(client: minio.Minio, bucket: str) -> None:
        with client.get_object(bucket, row.key) as response:
            content = bytearray(response.read())
        content[row.offset + 100] ^= 1
        client.put_object(bucket, row.key, io.BytesIO(content), len(content))

    filled.touch(flip)
    assert filled.audit().harm == {"bytes differ": 1, "digest differs": 1}


def test_a_missing_row_is_found(filled: FilledStores) -> None:
    filled.execute("delete from chunks where chunk_id = %s", "r-5")
    assert filled.audit().harm == {"in the bucket without a row": 1, "acknowledged, no row": 1}


def test_the_embedded_stores_of_a_data_directory_are_found(
    embedded_database: EmbeddedServices, embedded_bucket: EmbeddedServices, tmp_path: Path
) -> None:
    assert find_database_url(embedded_database._directory.path) == embedded_database.database_url
    found, expected = find_bucket(embedded_bucket._directory.path), embedded_bucket.bucket
    assert (found.endpoint, found.access_key, found.secret_key, found.name) == (
        expected.endpoint,
        expected.access_key,
        expected.secret_key,
        expected.bucket,
    )
    with pytest.raises(StoresUnknownError, match="names no embedded postgres"):
        find_database_url(tmp_path)
