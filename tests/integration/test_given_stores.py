"""Stores given by environment: no embedded one starts, and a wrong one is noticed before it can do harm."""

import io
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
import urllib3
from minio.error import S3Error
from psycopg import sql

from protocol.decoding import decode_json
from protocol.wire import Health
from server.embedded import EmbeddedServices
from server.storage.bucket_settings import BucketSettings
from server.storage.s3_client import create_bucket, make_client
from tests.integration.processes import wait_until
from tests.integration.sender import Sender, make_chunk, open_client
from tests.integration.server_process import ServerProcess
from tests.integration.server_stores import environ_of, open_stores


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServices]:
    """Somebody's PostgreSQL and S3."""
    with EmbeddedServices(tmp_path_factory.mktemp("given")) as services:
        client, pool = make_client(services.bucket, 1)

        def takes_a_write() -> bool:
            try:
                client.put_object(services.bucket.bucket, "first", io.BytesIO(b"write"), 5)
            except (S3Error, urllib3.exceptions.HTTPError):
                return False
            return True

        # SeaweedFS answers a moment before it can store anything.
        wait_until(takes_a_write, "the bucket service to store an object")
        pool.clear()
        yield services


def make_database(services: EmbeddedServices, name: str) -> str:
    """The address of a new, empty database."""
    with psycopg.connect(services.superuser_url, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {} owner holdfast").format(sql.Identifier(name)))
    return urlsplit(services.database_url)._replace(path=f"/{name}").geturl()


def make_bucket(services: EmbeddedServices, name: str) -> BucketSettings:
    """A new, empty bucket."""
    bucket = replace(services.bucket, bucket=name)
    create_bucket(bucket)
    return bucket


def wait_for_mismatch(server: ServerProcess) -> str:
    """What readiness says, once the server answers and is not ready."""
    wait_until(lambda: server.health() == 503, "the server to answer that it is not ready")
    with open_client() as client:
        answer = client.get(f"{server.base_url}/api/health/ready")
    return decode_json(answer.content, Health).checks["installation"]


def test_with_stores_given_no_embedded_one_starts(services: EmbeddedServices, tmp_path: Path) -> None:
    environ = environ_of(make_database(services, "alone"), make_bucket(services, "alone"))
    with ServerProcess(tmp_path / "data", environ=environ) as server:
        assert server.descendants() == server.worker_pids()
        # Only finished files are made there, for a while.
        assert {path.name for path in server.data_dir.iterdir()} <= {"media"}
        sender = Sender(server.base_url)
        assert sender.register().status_code == 201
        assert sender.send(0, make_chunk(0)).status_code == 201
        with open_stores(server) as stores:
            sender.check_kept(stores)
        assert server.terminate() == 0


@pytest.mark.parametrize("changed", ["bucket", "ledger"])
def test_an_emptied_store_stops_ingest_until_somebody_adopts_the_bucket(
    services: EmbeddedServices, tmp_path: Path, changed: str
) -> None:
    # Given an installation with an acknowledged chunk
    database_url, bucket = make_database(services, f"of_{changed}"), make_bucket(services, f"of-{changed}")
    with ServerProcess(tmp_path / "data", environ=environ_of(database_url, bucket)) as server:
        sender = Sender(server.base_url)
        assert sender.register().status_code == 201
        assert sender.send(0, make_chunk(0)).status_code == 201

    # When the server meets another bucket, or an emptied ledger
    if changed == "bucket":
        bucket = make_bucket(services, "another")
    else:
        database_url = make_database(services, "emptied")
    server = ServerProcess(tmp_path / "data", environ=environ_of(database_url, bucket))
    server.launch()
    try:
        said = wait_for_mismatch(server)

        # Then it takes nothing, and says what to run
        sender = Sender(server.base_url)
        refusal = sender.register()
        assert (refusal.status_code, refusal.json()["code"]) == (503, "store-mismatch")
        refusal = sender.send(1, make_chunk(1))
        assert (refusal.status_code, refusal.json()["code"]) == (503, "store-mismatch")
        for words in (said, refusal.json()["next_step"], server.log):
            assert "holdfast serve --adopt-bucket" in words
        assert ("HOLDFAST_S3_BUCKET" if changed == "bucket" else "rebuild-ledger") in refusal.json()["next_step"]

        # When somebody says that this is meant, then it works, and needs no word at the next start
        server.terminate()
        server.start("--adopt-bucket")
        server.restart()
        assert sender.register().status_code == 201
        assert sender.send(1, make_chunk(1)).status_code == 201
        with open_stores(server) as stores:
            sender.check_kept(stores)
    finally:
        server.kill()


def test_a_store_that_is_away_ends_the_start_with_what_to_check(services: EmbeddedServices, tmp_path: Path) -> None:
    environ = environ_of(services.database_url, services.bucket)
    for variable, value, words in (
        ("HOLDFAST_DATABASE_URL", "postgresql://holdfast:secret-word@127.0.0.1:1/holdfast", "HOLDFAST_DATABASE_URL"),
        ("HOLDFAST_S3_ENDPOINT", "http://127.0.0.1:1", "HOLDFAST_S3_"),
    ):
        server = ServerProcess(tmp_path / variable, environ={**environ, variable: value})
        server.launch()
        assert server.exit_code() == 1
        assert words in server.log
        assert "Traceback" not in server.log
        assert "secret-word" not in server.log


class Persistent(threading.Thread):
    """Sends every fourth chunk of a recording, each to either server until one of them gives a receipt for it."""

    def __init__(self, senders: list[Sender], first: int) -> None:
        super().__init__(daemon=True)
        self._senders = senders
        self._first = first
        self.is_over = threading.Event()
        self.sent = 0

    def run(self) -> None:
        index = self._first
        while not self.is_over.is_set():
            body = make_chunk(index, size=3_000 if index % 2 else 90_000)  # some share packs, some go alone
            attempt = index
            while not self._try(self._senders[attempt % len(self._senders)], index, body):
                attempt += 1
            self.sent += 1
            index += 4

    @staticmethod
    def _try(sender: Sender, index: int, body: bytes) -> bool:
        try:
            return sender.send(index, body).is_success
        except httpx.TransportError:
            return False


def test_two_servers_on_one_bucket_and_ledger_lose_nothing_when_they_are_killed_in_turn(
    services: EmbeddedServices, tmp_path: Path
) -> None:
    environ = environ_of(make_database(services, "shared"), make_bucket(services, "shared"))
    with (
        ServerProcess(tmp_path / "one", environ=environ) as one,
        ServerProcess(tmp_path / "two", environ=environ) as two,
    ):
        first, second = Sender(one.base_url), Sender(two.base_url)
        second.recording_id, second.receipts = first.recording_id, first.receipts
        assert first.register().status_code == 201
        streams = [Persistent([first, second], number) for number in range(4)]
        for stream in streams:
            stream.start()

        def wait_for_more(why: str) -> None:
            goal = len(first.receipts) + 12
            wait_until(lambda: len(first.receipts) >= goal, why)

        # When one is killed under load, the other goes on, and the first comes back; and the other way round, twice
        for victim in (one, two, one, two):
            wait_for_more("both servers to acknowledge")
            victim.kill()
            wait_for_more("the server that is left to acknowledge")
            victim.start()
        for stream in streams:
            stream.is_over.set()
        for stream in streams:
            stream.join()

        # Then every chunk has its receipt, stands once in the ledger, and its bytes in the bucket
        assert len(first.receipts) == sum(stream.sent for stream in streams)
        with open_stores(one) as stores:
            first.check_kept(stores)
