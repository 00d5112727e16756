"""What PostgreSQL holds while an object is on its way, and for how long: rows that nobody sees, locks, a connection."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from protocol.errors import ErrorCode
from server.storage import postgres_acknowledge
from server.storage.blob_store import BlobStoreUnavailableError
from server.storage.ledger import Acknowledged, LedgerUnavailableError, Outcome, Refused
from server.storage.postgres_ledger import WAITING_FOR_OBJECTS_MAX, PostgresLedger
from tests.contracts.ledger_values import chunk_of, object_of, recording_id_of, register, store
from tests.server.storage.direct_sql import ask, execute

_LIMIT_S = 20
_WAITING = "select pid from pg_stat_activity where datname = current_database() and state = 'idle in transaction'"
_BLOCKED = "select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[PostgresLedger]:
    opened = await PostgresLedger.open(database_url, pool_size=WAITING_FOR_OBJECTS_MAX + 1)
    for number in range(1, 10):
        await register(opened, number)
    yield opened
    await opened.close()


class Coming:
    """An object on its way, with chunk 0 of the recording of that number."""

    def __init__(self, ledger: PostgresLedger, number: int) -> None:
        coming = object_of(number)
        self.etag: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.acknowledging = asyncio.create_task(
            ledger.acknowledge_coming(coming, self.etag, [chunk_of(0, coming, recording=number)])
        )

    async def arrive(self) -> Outcome:
        self.etag.set_result("etag")
        (outcome,) = await self.acknowledging
        return outcome


async def wait_for_waiting(database_url: str, count: int) -> list[int]:
    """Until so many transactions have written their rows and wait; their processes."""
    async with asyncio.timeout(_LIMIT_S):
        while len(found := await ask(database_url, _WAITING)) != count:
            pass
    return [int(str(row[0])) for row in found]


async def wait_for_blocked(database_url: str, waiting: "asyncio.Task[object]") -> None:
    """Until somebody waits for a lock, before `waiting` is done."""
    async with asyncio.timeout(_LIMIT_S):
        while not await ask(database_url, _BLOCKED):
            assert not waiting.done()


async def test_the_rows_are_written_while_the_object_is_on_its_way(ledger: PostgresLedger, database_url: str) -> None:
    coming = Coming(ledger, 1)

    await wait_for_waiting(database_url, 1)

    assert await ask(database_url, "select count(*) from chunks") == [(0,)]
    assert isinstance(await coming.arrive(), Acknowledged)
    assert await ask(database_url, "select count(*), min(etag) from objects") == [(1, "etag")]


async def test_rows_of_an_object_that_is_late_hold_up_nobody(
    ledger: PostgresLedger, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_acknowledge, "ROWS_WAIT_S", 2.0)
    # Given objects that take longer than their rows wait
    coming, other = Coming(ledger, 1), Coming(ledger, 2)
    await wait_for_waiting(database_url, 2)

    # When somebody deletes one of the recordings meanwhile
    assert await ledger.delete_recording(recording_id_of(1), b"tombstone") == b"tombstone"

    # Then each chunk gets the answer that is right when its object is there
    assert not coming.acknowledging.done()
    assert await coming.arrive() == Refused(ErrorCode.RECORDING_DELETED)
    assert isinstance(await other.arrive(), Acknowledged)


async def test_a_deletion_waits_for_the_rows_of_an_object_that_comes_in_time(
    ledger: PostgresLedger, database_url: str
) -> None:
    coming = Coming(ledger, 1)
    await wait_for_waiting(database_url, 1)
    deleting = asyncio.create_task(ledger.delete_recording(recording_id_of(1), b"tombstone"))
    await wait_for_blocked(database_url, deleting)

    assert isinstance(await coming.arrive(), Acknowledged)

    assert await deleting == b"tombstone"
    assert await ask(database_url, "select count(*) from chunks") == [(0,)]


async def test_however_many_objects_are_on_their_way_a_connection_is_left(
    ledger: PostgresLedger, database_url: str
) -> None:
    coming = [Coming(ledger, number) for number in range(1, 8)]
    await wait_for_waiting(database_url, WAITING_FOR_OBJECTS_MAX)

    assert await ledger.find_rows([(recording_id_of(1), 0)]) == {}
    assert isinstance((await store(ledger, 1, recording=9, object_number=9))[0], Acknowledged)

    outcomes = await asyncio.gather(*(each.arrive() for each in coming))
    assert all(isinstance(outcome, Acknowledged) for outcome in outcomes)
    assert await ask(database_url, "select count(*) from chunks") == [(8,)]


async def test_a_place_is_free_again_whatever_became_of_the_object(ledger: PostgresLedger, database_url: str) -> None:
    for number in range(1, 8):
        coming = Coming(ledger, number)
        await wait_for_waiting(database_url, 1)
        coming.etag.set_exception(BlobStoreUnavailableError("away"))
        with pytest.raises(BlobStoreUnavailableError):
            await coming.acknowledging
    assert await ask(database_url, "select count(*) from chunks") == [(0,)]


async def test_a_database_that_ends_the_transaction_meanwhile_acknowledges_nothing(
    ledger: PostgresLedger, database_url: str
) -> None:
    coming = Coming(ledger, 1)
    (pid,) = await wait_for_waiting(database_url, 1)
    await execute(database_url, f"select pg_terminate_backend({pid}, 5000)")

    with pytest.raises(LedgerUnavailableError):
        await coming.arrive()

    assert await ask(database_url, "select count(*) from chunks") == [(0,)]
    (outcome,) = await store(ledger, 1)
    assert isinstance(outcome, Acknowledged) and outcome.is_new


async def test_chunks_that_another_process_stored_meanwhile_are_judged_by_what_stands(
    ledger: PostgresLedger, database_url: str
) -> None:
    # Given another process that has written the same chunk, and not committed it
    first = Coming(ledger, 1)
    await wait_for_waiting(database_url, 1)
    rival = object_of(2)
    etag: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    etag.set_result("etag")
    chunks = [chunk_of(0, rival, version=1), chunk_of(1, rival)]
    acknowledging = asyncio.create_task(ledger.acknowledge_coming(rival, etag, chunks))
    await wait_for_blocked(database_url, acknowledging)

    # When the first one commits
    stands = await first.arrive()

    # Then the other's is refused, and its neighbour is not
    assert isinstance(stands, Acknowledged)
    differs, neighbour = await acknowledging
    assert differs == Refused(ErrorCode.CHUNK_DIFFERS, stands.chunk)
    assert isinstance(neighbour, Acknowledged)
    assert await ask(database_url, "select etag, has_waste from objects order by object_id") == [
        ("etag", False),
        ("etag", True),
    ]
