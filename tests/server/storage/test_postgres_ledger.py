"""What only the real PostgreSQL can show: waste and findings in the tables, races."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import timedelta

import psycopg
import pytest

from protocol.errors import ErrorCode
from protocol.states import FindingKind
from server.storage.ledger import Acknowledged, LedgerError, Outcome, RecordingFilter, Refused
from server.storage.postgres_ledger import PostgresLedger
from server.storage.postgres_recordings import LIST_SOUGHT, sought_values
from tests.contracts.ledger_values import (
    STARTED_AT,
    certificate_of,
    chunk_of,
    complete,
    entry_of,
    loose_chunk_of,
    object_of,
    recording_id_of,
    register,
    row_of,
    store,
)
from tests.server.storage.direct_sql import ask, execute


@pytest.fixture
async def narrow_ledger(database_url: str) -> AsyncIterator[PostgresLedger]:
    """Over one connection, so that what a session keeps is the same for all calls."""
    opened = await PostgresLedger.open(database_url, pool_size=1, is_for_flushes=True)
    yield opened
    await opened.close()


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[PostgresLedger]:
    opened = await PostgresLedger.open(database_url, pool_size=6)
    yield opened
    await opened.close()


async def waste_of(database_url: str) -> list[bool]:
    return [bool(row[0]) for row in await ask(database_url, "select has_waste from objects order by object_id")]


async def states_of(database_url: str) -> list[object]:
    return [row[0] for row in await ask(database_url, "select state from objects order by object_id")]


# -- plans: the statements of a flush go by keys


async def test_a_flush_reads_no_table_though_its_plans_were_made_while_the_ledger_was_empty(
    narrow_ledger: PostgresLedger, database_url: str
) -> None:
    # Given a connection on which the statements of a flush have their lasting plans
    for number in range(10):
        await _flush(narrow_ledger, number, 3)
    # When the ledger has grown, and nobody has analysed it
    for number in range(10, 20):
        await _flush(narrow_ledger, number, 1_000)
    await _publish_statistics(narrow_ledger)
    before = await _rows_read_by_scan(database_url)
    await _flush(narrow_ledger, 20, 100)
    await _publish_statistics(narrow_ledger)

    # Then another flush reads what it asks for
    assert await _rows_read_by_scan(database_url) == before


async def test_the_rehearsal_on_a_new_connection_leaves_nothing(
    narrow_ledger: PostgresLedger, database_url: str
) -> None:
    await _publish_statistics(narrow_ledger)
    counts = "select sum(n_tup_ins)::int, sum(n_tup_upd)::int from pg_stat_user_tables where relname in "
    # A chunk, its object, and that one's ETag
    assert await ask(database_url, counts + "('chunks', 'objects')") == [(2, 1)]
    assert await ask(database_url, "select count(*) from chunks") == [(0,)]
    assert await ask(database_url, "select count(*) from objects") == [(0,)]


async def test_a_rehearsal_waits_for_no_lock_and_leaves_the_connection_its_own_patience(database_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(database_url) as holder:
        await holder.execute("lock table chunks in share row exclusive mode")
        ledger = await PostgresLedger.open(database_url, pool_size=1, is_for_flushes=True)
        try:
            assert await ledger.find_rows([(recording_id_of(1), 0)]) == {}
            assert await ledger.connections.fetch("show lock_timeout") == [("4s",)]
        finally:
            await ledger.close()


async def test_a_ledger_without_its_schema_says_so(empty_database_url: str) -> None:
    ledger = await PostgresLedger.open(empty_database_url, pool_size=1)
    try:
        with pytest.raises(LedgerError, match="chunks"):
            await ledger.check()
    finally:
        await ledger.close()


async def _flush(ledger: PostgresLedger, number: int, count: int) -> None:
    stored = object_of(number)
    chunks = [loose_chunk_of(f"{number}-{n}", stored) for n in range(count)]
    assert not (await ledger.look_up([(chunk.recording_id, chunk.chunk_index) for chunk in chunks])).rows
    assert all(isinstance(outcome, Acknowledged) for outcome in await ledger.acknowledge([stored], chunks))


async def _publish_statistics(ledger: PostgresLedger) -> None:
    # A session hands its counts over at the end of a transaction, and at most once a second unless it is told to.
    await ledger.connections.fetch("select pg_stat_force_next_flush()")


async def _rows_read_by_scan(database_url: str) -> int:
    query = "select sum(seq_tup_read)::int from pg_stat_user_tables where relname in ('chunks', 'objects')"
    ((count,),) = await ask(database_url, query)
    return int(str(count))


# -- waste: an entry that no row points to


async def test_an_object_whose_every_chunk_is_acknowledged_has_no_waste(
    ledger: PostgresLedger, database_url: str
) -> None:
    await register(ledger)
    await store(ledger, 3)
    await store(ledger, 3)
    assert await waste_of(database_url) == [False]


@pytest.mark.parametrize("change", [{}, {"version": 1}, {"recording": 9}])
async def test_an_object_with_a_duplicate_or_a_refused_chunk_has_waste(
    ledger: PostgresLedger, database_url: str, change: dict[str, int]
) -> None:
    await register(ledger)
    await store(ledger, 1)
    stored = object_of(2)
    await ledger.acknowledge([stored], [chunk_of(5, stored), chunk_of(0, stored, **change)])
    assert await waste_of(database_url) == [False, True]


async def test_the_object_of_a_wanted_chunk_has_waste_and_the_new_one_has_none(
    ledger: PostgresLedger, database_url: str
) -> None:
    await register(ledger)
    await store(ledger, 2)
    await ledger.mark_wanted(object_of(1).object_id, [await row_of(ledger, 1)], FindingKind.MISMATCHED)
    stored = object_of(2)
    await ledger.acknowledge([stored], [chunk_of(1, stored)])
    assert await waste_of(database_url) == [True, False]
    assert await states_of(database_url) == ["stored", "stored"]


async def test_deletion_unlinks_objects_without_a_row_and_marks_waste_in_the_others(
    ledger: PostgresLedger, database_url: str
) -> None:
    for number in (1, 2):
        await register(ledger, number)
    alone, shared, foreign = object_of(1), object_of(2), object_of(3)
    await ledger.acknowledge([alone], [chunk_of(0, alone)])
    await ledger.acknowledge([shared], [chunk_of(1, shared), chunk_of(0, shared, recording=2)])
    await ledger.acknowledge([foreign], [chunk_of(1, foreign, recording=2)])
    await ledger.delete_recording(recording_id_of(1), b"tombstone")
    assert await states_of(database_url) == ["unlinked", "stored", "stored"]
    assert await waste_of(database_url) == [True, True, False]


async def test_two_deletions_that_share_a_pack_leave_it_unlinked(ledger: PostgresLedger, database_url: str) -> None:
    stored = object_of(1)
    for number in (1, 2):
        await register(ledger, number)
    await ledger.acknowledge([stored], [chunk_of(number, stored, recording=number) for number in (1, 2)])
    async with await psycopg.AsyncConnection.connect(database_url) as holder:
        # Both deletions get as far as they can before either may touch the object.
        await holder.execute("select from objects for update")
        deletions = [asyncio.create_task(ledger.delete_recording(recording_id_of(number), b"t")) for number in (1, 2)]
        waiting = (
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        )
        while await ask(database_url, waiting) != [(2,)]:
            await asyncio.sleep(0)
    await asyncio.gather(*deletions)
    assert await states_of(database_url) == ["unlinked"]


# -- findings


async def test_mark_wanted_writes_one_finding_with_range_and_key(ledger: PostgresLedger, database_url: str) -> None:
    await register(ledger)
    await store(ledger, 5)
    rows = [await row_of(ledger, index) for index in (1, 3)]
    await ledger.mark_wanted(object_of(1).object_id, rows, FindingKind.MISSING)
    await ledger.mark_wanted(object_of(1).object_id, rows, FindingKind.MISSING)
    found = await ask(
        database_url,
        "select kind, recording_id, first_chunk_index, last_chunk_index, chunk_count, object_key, resolved_at "
        "from findings",
    )
    assert found == [("missing", recording_id_of(1), 1, 3, 2, object_of(1).key, None)]


async def test_a_finding_over_several_recordings_names_the_object_alone(
    ledger: PostgresLedger, database_url: str
) -> None:
    stored = object_of(1)
    chunks = [loose_chunk_of(name, stored) for name in ("a", "b", "c")]
    await ledger.acknowledge([stored], chunks)
    rows = await ledger.list_chunks_of_object(stored.object_id)
    await ledger.mark_wanted(stored.object_id, rows, FindingKind.MISSING)
    found = await ask(database_url, "select recording_id, first_chunk_index, chunk_count, object_id from findings")
    assert found == [(None, None, 3, stored.object_id)]


# -- disputed rows, which only an audit makes


async def test_a_disputed_row_is_neither_acknowledged_nor_certified(ledger: PostgresLedger, database_url: str) -> None:
    await register(ledger)
    await store(ledger, 1)
    await ledger.mark_verified(object_of(1).object_id, "etag-1")
    await execute(database_url, "update chunks set state = 'disputed'")
    (outcome,) = await store(ledger, 1, object_number=2)
    assert isinstance(outcome, Refused) and outcome.code is ErrorCode.CHUNK_DISPUTED
    assert (await ledger.compare_manifest(recording_id_of(1), [entry_of(0)])).differing == [0]


async def test_a_complete_recording_whose_row_vanished_takes_the_chunk_of_its_manifest_again(
    ledger: PostgresLedger, database_url: str
) -> None:
    await complete(ledger, 3)
    await execute(database_url, "delete from chunks where chunk_index = 1")
    stored = object_of(2)
    same, outside = await ledger.acknowledge([stored], [chunk_of(1, stored), chunk_of(3, stored)])
    assert isinstance(same, Acknowledged) and same.is_new
    assert outside == Refused(ErrorCode.RECORDING_COMPLETE)
    (wrong,) = await ledger.acknowledge([object_of(3)], [chunk_of(1, object_of(3), version=1)])
    assert isinstance(wrong, Refused) and wrong.code is ErrorCode.CHUNK_DIFFERS


# -- races


async def test_of_two_contents_at_once_exactly_one_is_acknowledged(ledger: PostgresLedger) -> None:
    await register(ledger)

    async def send(number: int) -> list[Outcome]:
        stored = object_of(number)
        return await ledger.acknowledge([stored], [chunk_of(index, stored, version=number) for index in range(20)])

    results = await asyncio.gather(*(send(number) for number in range(1, 6)))
    for index in range(20):
        outcomes = [result[index] for result in results]
        winners = [outcome for outcome in outcomes if isinstance(outcome, Acknowledged)]
        assert len(winners) == 1
        for loser in outcomes:
            if isinstance(loser, Refused):
                assert loser == Refused(ErrorCode.CHUNK_DIFFERS, winners[0].chunk)


async def test_batches_with_the_same_keys_in_any_order_do_not_deadlock(ledger: PostgresLedger) -> None:
    for number in range(1, 5):
        await register(ledger, number)
    orders = itertools.islice(itertools.permutations(range(1, 5)), 0, 24, 2)

    async def send(number: int, order: tuple[int, ...]) -> None:
        stored = object_of(number)
        chunks = [chunk_of(index, stored, recording=recording) for recording in order for index in (3, 1, 2)]
        for outcome in await ledger.acknowledge([stored], chunks):
            assert isinstance(outcome, Acknowledged)

    await asyncio.gather(*(send(number, order) for number, order in enumerate(orders, start=1)))


async def test_a_chunk_that_races_with_a_deletion_leaves_no_row_behind(ledger: PostgresLedger) -> None:
    for number in range(1, 16):
        await register(ledger, number)
        stored = object_of(number)
        (outcome,), _ = await asyncio.gather(
            ledger.acknowledge([stored], [chunk_of(0, stored, recording=number)]),
            ledger.delete_recording(recording_id_of(number), b"tombstone"),
        )
        assert isinstance(outcome, Acknowledged) or outcome == Refused(ErrorCode.RECORDING_DELETED)
        assert await ledger.find_chunks(recording_id_of(number), [0]) == {}


async def test_a_chunk_that_races_with_completion_is_in_the_manifest_or_refused(ledger: PostgresLedger) -> None:
    for number in range(1, 16):
        await register(ledger, number)
        first, second = object_of(2 * number), object_of(2 * number + 1)
        await ledger.acknowledge([first], [chunk_of(0, first, recording=number)])
        await ledger.mark_verified(first.object_id, first.etag)
        entries = [entry_of(0)]
        (outcome,), decided = await asyncio.gather(
            ledger.acknowledge([second], [chunk_of(1, second, recording=number)]),
            ledger.decide_certificate(recording_id_of(number), entries, certificate_of(entries, number)),
        )
        found = await ledger.find_recording(recording_id_of(number))
        assert found is not None
        if isinstance(outcome, Acknowledged):
            assert found.state == "open" and getattr(decided, "surplus", None) == [1]
        else:
            assert outcome == Refused(ErrorCode.RECORDING_COMPLETE) and found.state == "complete"


async def test_two_certificates_at_once_are_decided_once(ledger: PostgresLedger) -> None:
    await register(ledger)
    await store(ledger, 1)
    await ledger.mark_verified(object_of(1).object_id, "etag-1")
    entries = [entry_of(0)]
    decided = await asyncio.gather(
        *(
            ledger.decide_certificate(recording_id_of(1), entries, certificate_of(entries, server_version=str(number)))
            for number in range(6)
        )
    )
    assert len({getattr(answer, "certificate", None) for answer in decided}) == 1
    assert decided[0] == await ledger.find_certificate(recording_id_of(1))


# -- listings

# A recording an hour, the newest last, each with an id that is as old as it.
_MANY_RECORDINGS = """
    insert into recordings (recording_id, mime_type, started_at, document)
    select (lpad(to_hex(n), 12, '0') || '70008' || lpad(to_hex(n), 15, '0'))::uuid,
        'audio/webm', %s::timestamptz + n * interval '1 hour', '{}'
    from generate_series(1, 20000) n
"""


@pytest.mark.parametrize("is_open_ended", [False, True])
def test_a_listing_of_days_looks_at_those_days_alone(database_url: str, *, is_open_ended: bool) -> None:
    with psycopg.connect(database_url, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        connection.execute(_MANY_RECORDINGS, (STARTED_AT,))
        connection.execute("analyze recordings")
        # The oldest, which a look from the newest on reaches last.
        first = None if is_open_ended else STARTED_AT + timedelta(days=2)
        which = RecordingFilter(started_from=first, started_before=STARTED_AT + timedelta(days=3))
        plan = connection.execute("explain " + LIST_SOUGHT, sought_values(None, which, 50)).fetchall()
        lines = [str(line) for (line,) in plan]
        assert any("recordings_by_start" in line for line in lines), lines
        assert not any("Seq Scan" in line or "recordings_listed" in line for line in lines), lines
