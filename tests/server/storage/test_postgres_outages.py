"""Outages, deadlines and refusals of a real PostgreSQL, as the ledger's callers meet them."""

import asyncio
import select
from collections.abc import AsyncIterator

import psycopg
import pytest

from server.storage import postgres_connection
from server.storage.ledger import Acknowledged, LedgerRefusedError, LedgerUnavailableError
from server.storage.postgres_ledger import PostgresLedger
from tests.contracts.ledger_values import recording_id_of, register, store
from tests.server.storage.direct_sql import execute
from tests.server.storage.postgres_proxy import proxy_before


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[PostgresLedger]:
    opened = await PostgresLedger.open(database_url, pool_size=6)
    yield opened
    await opened.close()


async def test_a_database_that_is_away_is_unavailable_within_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_connection, "_POOL_WAIT_S", 0.2)
    away = await PostgresLedger.open("postgresql://nobody@127.0.0.1:1/nothing", pool_size=1)
    with pytest.raises(LedgerUnavailableError, match="came free in time"):
        await away.check()
    await away.close()


async def test_a_restarted_database_costs_one_call_and_not_every_connection(
    ledger: PostgresLedger, database_url: str
) -> None:
    await asyncio.gather(*(ledger.check() for _ in range(6)))
    await execute(
        database_url,
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() "
        "and pid <> pg_backend_pid()",
    )
    failures = 0
    for _ in range(12):
        try:
            await ledger.check()
        except LedgerUnavailableError:
            failures += 1
    assert failures <= 1


async def test_a_statement_that_waits_for_a_lock_too_long_is_unavailable(
    ledger: PostgresLedger, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorter = postgres_connection._SESSION_OPTIONS.replace("lock_timeout=4000", "lock_timeout=100")
    monkeypatch.setattr(postgres_connection, "_SESSION_OPTIONS", shorter)
    waiting = await PostgresLedger.open(database_url, pool_size=1)
    await register(ledger)
    async with await psycopg.AsyncConnection.connect(database_url) as holder:
        await holder.execute("select from recordings for update")
        with pytest.raises(LedgerUnavailableError, match="55P03"):
            await store(waiting, 1)
    for outcome in await store(waiting, 1):
        assert isinstance(outcome, Acknowledged)
    await waiting.close()


async def test_a_silent_database_is_cut_off_at_the_deadline(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with proxy_before(database_url) as proxy:
        ledger = await PostgresLedger.open(proxy.url, pool_size=1)
        await ledger.check()
        monkeypatch.setattr(postgres_connection, "_STATEMENT_CUT_S", 0.2)
        proxy.hush()
        with pytest.raises(LedgerUnavailableError):
            await ledger.read_installation()
        proxy.speak()
        monkeypatch.undo()
        await ledger.check()
        await ledger.close()


async def test_a_database_without_a_schema_is_refused_with_what_to_run(empty_database_url: str) -> None:
    ledger = await PostgresLedger.open(empty_database_url, pool_size=1)
    with pytest.raises(LedgerRefusedError, match="holdfast migrate"):
        await ledger.check()
    await ledger.close()


async def test_a_read_only_database_is_refused(database_url: str) -> None:
    ledger = await PostgresLedger.open(f"{database_url}?options=-c%20default_transaction_read_only%3Don", pool_size=1)
    with pytest.raises(LedgerRefusedError, match="read-only"):
        await register(ledger)
    with pytest.raises(LedgerRefusedError, match="read-only"):
        await ledger.check()
    await ledger.close()


async def test_synchronous_commit_is_on_whatever_the_database_says(database_url: str, ledger: PostgresLedger) -> None:
    name = database_url.rsplit("/", 1)[1]
    await execute(database_url, f'alter database "{name}" set synchronous_commit = off')
    fresh = await PostgresLedger.open(database_url, pool_size=1)
    ((value,),) = await fresh._connections.fetch("select current_setting('synchronous_commit')")
    await fresh.close()
    assert value == "on"


async def test_a_schema_changed_under_a_running_server_costs_one_call(
    ledger: PostgresLedger, database_url: str
) -> None:
    await register(ledger)
    for _ in range(3):
        await ledger.find_recording(recording_id_of(1))
    await execute(database_url, "alter table recordings alter column title type varchar(500)")
    failures = 0
    for _ in range(6):
        try:
            assert await ledger.find_recording(recording_id_of(1)) is not None
        except LedgerUnavailableError:
            failures += 1
    assert failures <= 1


async def test_a_transaction_that_is_cut_off_in_the_middle_of_a_packet_lets_its_locks_go(
    ledger: PostgresLedger, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_connection, "_TRANSACTION_S", 0.5)
    cut_off = await PostgresLedger.open(database_url, pool_size=1)
    await register(ledger)
    # Given a row that is locked by a packet whose end never arrived
    async with cut_off.connections._take() as connection:
        link = connection.pgconn
        link.enter_pipeline_mode()
        for message in (b"begin", b"select from recordings for update"):
            link.send_query_params(message, None)
        link.send_flush_request()
        link.flush()
        # Then the database ends the transaction, which neither runs a statement nor is idle, by itself
        try:
            with pytest.raises(psycopg.OperationalError):
                while select.select([link.socket], [], [], 20)[0]:
                    link.consume_input()
        finally:
            link.finish()
    async with asyncio.timeout(20):
        await execute(database_url, "select from recordings for update")
    await cut_off.close()


async def test_a_lock_ends_with_its_block_and_not_when_the_server_notices_a_closed_connection(
    ledger: PostgresLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_open: list[psycopg.AsyncConnection] = []

    async def close_later(connection: psycopg.AsyncConnection) -> None:
        left_open.append(connection)

    with monkeypatch.context() as patched:
        patched.setattr(psycopg.AsyncConnection, "close", close_later)
        for _ in range(2):
            async with ledger.connections.session_lock("one at a time") as is_ours:
                assert is_ours
    assert len(left_open) == 2
    for connection in left_open:
        await connection.close()
