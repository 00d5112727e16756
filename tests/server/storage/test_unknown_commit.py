"""A COMMIT without an answer is settled by the transaction's own id, against a real PostgreSQL behind a proxy."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from server.embedded import EmbeddedServices
from server.storage import postgres_connection
from server.storage.ledger import Acknowledged, LedgerUnavailableError, LedgerUnsettledError, Outcome
from server.storage.migrations import apply_migrations
from server.storage.postgres_ledger import PostgresLedger
from tests.contracts.ledger_values import chunk_of, object_of, recording_id_of, register, store, store_coming
from tests.server.storage.postgres_proxy import Fate, PostgresProxy, proxy_before

Store = Callable[[PostgresLedger, int], Coroutine[Any, Any, list[Outcome]]]


@pytest.fixture(params=[store, store_coming])
def store_somehow(request: pytest.FixtureRequest) -> Store:
    """Once when the object is there, once while it is on its way: the COMMIT travels alone, or behind a statement."""
    way: Store = request.param
    return way


@pytest.fixture
async def proxy(database_url: str) -> AsyncIterator[PostgresProxy]:
    async with proxy_before(database_url) as started:
        yield started


@pytest.fixture
async def ledger(proxy: PostgresProxy) -> AsyncIterator[PostgresLedger]:
    """A ledger through the proxy, with a registered recording."""
    opened = await PostgresLedger.open(proxy.url, pool_size=2)
    await register(opened)
    yield opened
    await opened.close()


async def held_indexes(database_url: str) -> set[int]:
    """What really stands, asked directly."""
    direct = await PostgresLedger.open(database_url, pool_size=1)
    try:
        return set(await direct.find_chunks(recording_id_of(1), range(10)))
    finally:
        await direct.close()


async def test_a_commit_whose_answer_was_lost_is_found_committed(
    ledger: PostgresLedger, proxy: PostgresProxy, database_url: str, store_somehow: Store
) -> None:
    proxy.fate = Fate.CUT_AFTER
    (outcome,) = await store_somehow(ledger, 1)
    assert isinstance(outcome, Acknowledged) and outcome.is_new
    assert await held_indexes(database_url) == {0}


async def test_a_commit_that_never_arrived_is_found_rolled_back(
    ledger: PostgresLedger, proxy: PostgresProxy, database_url: str, store_somehow: Store
) -> None:
    proxy.fate = Fate.LOSE
    with pytest.raises(LedgerUnavailableError, match="rolled back") as caught:
        await store_somehow(ledger, 1)
    assert not isinstance(caught.value, LedgerUnsettledError)
    assert await held_indexes(database_url) == set()
    (outcome,) = await store_somehow(ledger, 1)
    assert isinstance(outcome, Acknowledged) and outcome.is_new


async def test_a_silent_commit_is_cut_at_its_deadline_and_settled(
    ledger: PostgresLedger,
    proxy: PostgresProxy,
    database_url: str,
    store_somehow: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(postgres_connection, "COMMIT_S", 0.2)
    proxy.fate = Fate.SILENCE
    (outcome,) = await store_somehow(ledger, 1)
    assert isinstance(outcome, Acknowledged) and outcome.is_new
    assert await held_indexes(database_url) == {0}


async def test_a_commit_still_in_progress_is_waited_for(
    ledger: PostgresLedger, proxy: PostgresProxy, database_url: str, store_somehow: Store
) -> None:
    proxy.fate = Fate.HOLD
    acknowledging = asyncio.create_task(store_somehow(ledger, 1))
    await proxy.held.wait()
    # The transaction is open at the server, so its status is `in progress` and nothing stands yet.
    assert await held_indexes(database_url) == set()
    assert not acknowledging.done()
    proxy.release.set()
    (outcome,) = await acknowledging
    assert isinstance(outcome, Acknowledged) and outcome.is_new
    assert await held_indexes(database_url) == {0}


async def test_a_commit_that_nobody_can_ask_about_is_unsettled_and_the_same_call_again_is_right(
    ledger: PostgresLedger,
    proxy: PostgresProxy,
    database_url: str,
    store_somehow: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(postgres_connection, "SETTLE_S", 0.3)
    proxy.fate = Fate.VANISH
    with pytest.raises(LedgerUnsettledError, match="the same call again settles it"):
        await store_somehow(ledger, 1)
    proxy.is_gone = False
    (outcome,) = await store_somehow(ledger, 1)
    assert isinstance(outcome, Acknowledged)
    assert await held_indexes(database_url) == {0}


async def test_the_transaction_that_was_settled_is_the_one_with_refused_neighbours_too(
    ledger: PostgresLedger, proxy: PostgresProxy, database_url: str
) -> None:
    await store(ledger, 1)
    other = object_of(2)
    proxy.fate = Fate.CUT_AFTER
    outcomes = await ledger.acknowledge([other], [chunk_of(0, other, version=1), chunk_of(1, other)])
    assert [isinstance(outcome, Acknowledged) for outcome in outcomes] == [False, True]
    assert await held_indexes(database_url) == {0, 1}


@pytest.mark.parametrize(("fate", "is_gone"), [(Fate.CUT_AFTER, True), (Fate.LOSE, False)])
async def test_every_writing_call_is_settled(
    ledger: PostgresLedger, proxy: PostgresProxy, fate: Fate, is_gone: bool
) -> None:
    recording_id = recording_id_of(1)
    proxy.fate = fate
    if is_gone:
        assert await ledger.delete_recording(recording_id, b"tombstone") == b"tombstone"
    else:
        with pytest.raises(LedgerUnavailableError):
            await ledger.delete_recording(recording_id, b"tombstone")
    found = await ledger.find_recording(recording_id)
    assert found is not None and (found.state == "deleted") is is_gone


@pytest.fixture
def lazy_database(tmp_path: Path) -> Iterator[EmbeddedServices]:
    """A PostgreSQL of its own that leaves what nobody waits for unflushed as long as it can, and is left alone."""
    with EmbeddedServices(tmp_path, wants_bucket=False, on_progress=lambda _: None) as services:
        apply_migrations(services.database_url)
        with psycopg.connect(services.superuser_url, autocommit=True) as direct:
            direct.execute("alter system set wal_writer_delay = '10s'")
            direct.execute("alter system set bgwriter_lru_maxpages = 0")
            direct.execute("alter system set autovacuum = off")
            direct.execute("select pg_reload_conf()")
        yield services


async def test_a_transaction_that_a_crash_took_is_not_taken_for_the_one_that_got_its_number(
    lazy_database: EmbeddedServices,
) -> None:
    url = lazy_database.database_url
    async with proxy_before(url) as proxy:
        ledger = await PostgresLedger.open(proxy.url, pool_size=1)
        await register(ledger)
        # Given a transaction that has written its rows and not yet heard of its COMMIT, while nobody flushes them
        with psycopg.connect(lazy_database.superuser_url, autocommit=True) as direct:
            ((writer,),) = direct.execute(
                "select pid from pg_stat_activity where backend_type = 'walwriter'"
            ).fetchall()
        os.kill(writer, signal.SIGSTOP)
        proxy.fate = Fate.HOLD
        acknowledging = asyncio.create_task(store(ledger, 1))
        await proxy.held.wait()
        with psycopg.connect(lazy_database.superuser_url, autocommit=True) as direct:
            (pid, number) = direct.execute(
                "select pid, backend_xid::text from pg_stat_activity where backend_xid is not null"
            ).fetchall()[0]

        # When the database crashes, and the next transaction gets its number and commits
        os.kill(pid, signal.SIGKILL)
        os.kill(writer, signal.SIGKILL)
        taken = await asyncio.to_thread(take_a_number, lazy_database.superuser_url)
        assert taken == number, "the crash must have lost every record of the first"

        # Then nothing is acknowledged, and the same call again is right
        with pytest.raises(LedgerUnsettledError, match="the same call again settles it"):
            await acknowledging
        assert await held_indexes(url) == set()
        (outcome,) = await store(ledger, 1)
        assert isinstance(outcome, Acknowledged) and outcome.is_new
        assert await held_indexes(url) == {0}
        proxy.release.set()
        await ledger.close()


def take_a_number(url: str) -> str:
    """The number of a transaction that commits as soon as the database is back."""
    while True:
        try:
            with psycopg.connect(url, autocommit=True) as direct:
                row = direct.execute("select pg_current_xact_id()::text").fetchone()
                assert row is not None
                return str(row[0])
        except psycopg.OperationalError:
            continue
