"""Words of the command line as real processes on real stores, of which each can be killed and comes back."""

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import psycopg

from server.embedded import EmbeddedServices
from server.storage.bucket_settings import BucketSettings
from server.storage.migrations import apply_migrations
from server.storage.minio_blob_store import MinioBlobStore
from server.storage.postgres_ledger import PostgresLedger
from tests.conftest import fresh_bucket, fresh_database
from tests.contracts.minio_process import MinioProcess
from tests.integration.processes import kill_process
from tests.integration.server_process import own_environ
from tests.integration.server_stores import environ_of
from tests.server.collect.house import House
from tests.stack.halting import Halt
from tests.stack.halting_cli import MODULE
from tests.stack.standing_still import StandingStill, go_on

_ROOT: Final = Path(__file__).resolve().parents[2]
_WORD_LIMIT_S: Final = 120


class Victim(StrEnum):
    """Who is killed with SIGKILL."""

    WORD = "the word itself"
    POSTGRES = "PostgreSQL"
    SEAWEEDFS = "SeaweedFS"
    MINIO = "MinIO"


@dataclass
class Services:
    """A PostgreSQL and a SeaweedFS of the test process, and a MinIO where that is killed too."""

    postgres: EmbeddedServices
    seaweedfs: EmbeddedServices
    minio: MinioProcess | None
    still: StandingStill

    @contextmanager
    def database(self) -> Iterator[str]:
        """A fresh one with the newest schema."""
        with fresh_database(self.postgres, template="template0") as url:
            apply_migrations(url)
            yield url

    def bucket(self, victim: Victim) -> BucketSettings:
        """A fresh one, in MinIO where that is the one to be killed."""
        if victim is Victim.MINIO:
            assert self.minio is not None
            return fresh_bucket(self.minio.settings)
        return fresh_bucket(self.seaweedfs.bucket)

    def kill(self, victim: Victim, word_pid: int) -> None:
        """SIGKILL."""
        if victim is Victim.MINIO:
            assert self.minio is not None
            self.minio.kill()
        elif victim is Victim.WORD:
            kill_process(word_pid)
        else:
            services, name = self._service(victim)
            kill_process(services.pids[name])

    def bring_back(self, victim: Victim) -> None:
        """Start the service again, at the same address."""
        if victim is Victim.MINIO:
            assert self.minio is not None
            self.minio.__enter__()
        elif victim is not Victim.WORD:
            services, name = self._service(victim)
            services.restart(name)

    def _service(self, victim: Victim) -> tuple[EmbeddedServices, str]:
        return (self.postgres, "postgres") if victim is Victim.POSTGRES else (self.seaweedfs, "seaweedfs")

    def start(self, word: str, database_url: str, bucket: BucketSettings) -> "subprocess.Popen[str]":
        """Begin `holdfast WORD --json`."""
        return subprocess.Popen(
            [sys.executable, "-m", MODULE, word, "--json"],
            cwd=_ROOT,
            env={**own_environ(), **environ_of(database_url, bucket), **self.still.environ},
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run_and_kill(self, word: str, halt: Halt, victim: Victim, database_url: str, bucket: BucketSettings) -> "Ended":
        """Begin the word, kill the victim when it stands still there, let the word go on, bring the victim back."""
        self.still.order(halt)
        process = self.start(word, database_url, bucket)
        try:
            pid = self.still.wait(f"holdfast {word} to stand still at {halt}")
            assert pid == process.pid
            self.kill(victim, pid)
            go_on(pid)
            ended = _end_of(process)
        finally:
            process.kill()
            self.still.withdraw()
        self.bring_back(victim)
        return ended

    def run(self, word: str, database_url: str, bucket: BucketSettings) -> "Ended":
        """The word to its end."""
        return _end_of(self.start(word, database_url, bucket))


@dataclass(frozen=True)
class Ended:
    """How a word ended; what it told is the sentence for a person."""

    code: int
    told: str

    @property
    def words(self) -> str:
        """For the table."""
        if self.code < 0:
            return "-"
        subject = next((each for each in ("the ledger", "the bucket") if f"holdfast: {each}: " in self.told), "")
        return f"exit {self.code}" + (f", names {subject}" if subject else "")


def _end_of(process: "subprocess.Popen[str]") -> Ended:
    _, told = process.communicate(timeout=_WORD_LIMIT_S)
    assert "Traceback" not in told, told
    return Ended(process.returncode, told)


@asynccontextmanager
async def open_house(database_url: str, bucket: BucketSettings) -> AsyncIterator[House]:
    """The stores as the test fills and checks them; opened anew after a death."""
    ledger = await PostgresLedger.open(database_url, pool_size=2)
    store = MinioBlobStore(bucket, threads=4)
    try:
        yield House(ledger, store)
    finally:
        await store.close()
        await ledger.close()


def let_leases_end(database_url: str) -> None:
    """Whoever died in a pass is not waited for any more."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("update passes set held_until = now()")


def let_the_grace_period_pass(database_url: str) -> None:
    """Everything that is on its way out was so a day ago."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("update objects set unlinked_at = unlinked_at - interval '1 day'")
        connection.execute("update recordings set deleted_at = deleted_at - interval '1 day'")
