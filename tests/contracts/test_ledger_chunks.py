"""The contract of `Ledger`, over every adapter: acknowledgement (I2, I3), listing, and repair of chunks."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs

from protocol.errors import ErrorCode
from protocol.limits import VERIFY_CHUNKS_MAX
from protocol.states import ChunkState, FindingKind, ObjectState
from server.storage.blob_store import BlobStoreUnavailableError
from server.storage.ledger import (
    FIND_ROWS_MAX,
    Acknowledged,
    Ledger,
    LookedUp,
    NewChunk,
    NewObject,
    Outcome,
    Refused,
)
from server.storage.memory_ledger import MemoryLedger
from server.storage.postgres_ledger import PostgresLedger
from tests.contracts.ledger_values import (
    CHUNK_BYTES,
    accepted,
    chunk_of,
    loose_chunk_of,
    object_of,
    recording_id_of,
    refused,
    register,
    row_of,
    store,
)


class ComingLedger(PostgresLedger):
    """Acknowledges as if each object were still on its way when its rows are written."""

    async def acknowledge(self, objects: Sequence[NewObject], chunks: Sequence[NewChunk]) -> list[Outcome]:
        if len(objects) != 1 or not chunks:
            return await super().acknowledge(objects, chunks)
        (stored,) = objects
        etag = asyncio.get_running_loop().create_future()
        acknowledging = asyncio.create_task(self.acknowledge_coming(structs.replace(stored, etag=""), etag, chunks))
        await self.find_rows([(chunk.recording_id, chunk.chunk_index) for chunk in chunks])
        etag.set_result(stored.etag)
        return await acknowledging


@pytest.fixture(params=["memory", "postgres", "postgres, objects on their way"])
async def ledger(request: pytest.FixtureRequest) -> AsyncIterator[Ledger]:
    """An empty ledger of each kind, PostgreSQL's in both of its ways to acknowledge."""
    if request.param == "memory":
        yield MemoryLedger()
        return
    kind = PostgresLedger if request.param == "postgres" else ComingLedger
    opened = await kind.open(request.getfixturevalue("database_url"), pool_size=3)
    yield opened
    await opened.close()


async def test_fresh_chunks_are_acknowledged_in_order(ledger: Ledger) -> None:
    await register(ledger)
    stored = object_of(1)
    chunks = [chunk_of(index, stored) for index in (2, 0, 1)]
    outcomes = [accepted(outcome) for outcome in await ledger.acknowledge([stored], chunks)]
    assert all(outcome.is_new for outcome in outcomes)
    for chunk, outcome in zip(chunks, outcomes, strict=True):
        row = outcome.chunk
        assert (row.recording_id, row.chunk_index, row.run) == (chunk.recording_id, chunk.chunk_index, chunk.run)
        assert (row.object_id, row.offset, row.size) == (chunk.object_id, chunk.offset, chunk.size)
        assert (row.sha256, row.state, row.chunk_id) == (chunk.sha256, ChunkState.STORED, None)
        assert abs(row.acknowledged_at - datetime.now(UTC)) < timedelta(minutes=5)
    assert [outcome.chunk for outcome in outcomes] == [await row_of(ledger, index) for index in (2, 0, 1)]


async def test_nothing_of_an_object_stands_before_it_has_arrived(ledger: Ledger) -> None:
    await register(ledger)
    coming = object_of(1)
    etag = asyncio.get_running_loop().create_future()
    acknowledging = asyncio.create_task(
        ledger.acknowledge_coming(structs.replace(coming, etag=""), etag, [chunk_of(0, coming)])
    )
    for _ in range(20):
        assert await ledger.find_chunks(recording_id_of(1), [0]) == {}
    assert not acknowledging.done()

    etag.set_result("told by the bucket")

    (outcome,) = await acknowledging
    located = (await ledger.find_chunks(recording_id_of(1), [0]))[0]
    assert (accepted(outcome).chunk, accepted(outcome).is_new) == (located.chunk, True)
    assert (located.object.object_id, located.object.etag) == (coming.object_id, "told by the bucket")


async def test_an_object_that_does_not_arrive_leaves_nothing_and_the_same_chunks_come_in_another(
    ledger: Ledger,
) -> None:
    await register(ledger)
    coming = object_of(1)
    etag = asyncio.get_running_loop().create_future()
    acknowledging = asyncio.create_task(ledger.acknowledge_coming(coming, etag, [chunk_of(0, coming)]))
    assert await ledger.find_chunks(recording_id_of(1), [0]) == {}
    error = BlobStoreUnavailableError("away")
    etag.set_exception(error)

    with pytest.raises(BlobStoreUnavailableError) as caught:
        await acknowledging

    assert caught.value is error
    assert await ledger.find_chunks(recording_id_of(1), [0]) == {}
    (outcome,) = await store(ledger, 1, object_number=2)
    assert accepted(outcome).is_new
    assert await ledger.list_chunks_of_object(coming.object_id) == []


async def test_nothing_to_acknowledge_is_a_success(ledger: Ledger) -> None:
    assert await ledger.acknowledge([], []) == []


async def test_the_same_chunk_again_gets_the_same_receipt(ledger: Ledger) -> None:
    await register(ledger)
    (first,) = await store(ledger, 1, object_number=1)
    (again,) = await store(ledger, 1, object_number=2)
    assert accepted(again).chunk == accepted(first).chunk
    assert not accepted(again).is_new
    assert await ledger.list_chunks_of_object(object_of(2).object_id) == []


async def test_the_same_call_again_finds_its_own_object(ledger: Ledger) -> None:
    await register(ledger)
    (first,) = await store(ledger, 1)
    (again,) = await store(ledger, 1)
    assert again == first


@pytest.mark.parametrize("change", [{"version": 1}, {"run": 1}, {"size": CHUNK_BYTES + 1}])
async def test_another_content_under_the_same_key_is_refused_and_the_stored_one_stays(
    ledger: Ledger, change: dict[str, int]
) -> None:
    await register(ledger)
    (first,) = await store(ledger, 1)
    other = object_of(2)
    (outcome,) = await ledger.acknowledge([other], [chunk_of(0, other, **change)])
    assert refused(outcome) == Refused(ErrorCode.CHUNK_DIFFERS, accepted(first).chunk)
    assert await row_of(ledger) == accepted(first).chunk


async def test_one_bad_chunk_never_fails_its_neighbours(ledger: Ledger) -> None:
    await register(ledger)
    await store(ledger, 1)
    stored = object_of(2)
    outcomes = await ledger.acknowledge(
        [stored],
        [
            chunk_of(1, stored),
            chunk_of(0, stored, version=1),
            chunk_of(0, stored, recording=9),
            chunk_of(2, stored),
            loose_chunk_of("loose", stored),
        ],
    )
    assert [type(outcome) for outcome in outcomes] == [Acknowledged, Refused, Refused, Acknowledged, Acknowledged]
    assert refused(outcomes[1]).code is ErrorCode.CHUNK_DIFFERS
    assert refused(outcomes[2]).code is ErrorCode.RECORDING_UNKNOWN
    assert set(await ledger.find_chunks(recording_id_of(1), range(5))) == {0, 1, 2}


async def test_chunks_of_many_recordings_share_an_object(ledger: Ledger) -> None:
    stored = object_of(1)
    for number in (1, 2, 3):
        await register(ledger, number)
    chunks = [chunk_of(number, stored, recording=number) for number in (3, 1, 2)]
    for outcome in await ledger.acknowledge([stored], chunks):
        accepted(outcome)
    rows = await ledger.list_chunks_of_object(stored.object_id)
    assert [row.recording_id for row in rows] == [recording_id_of(number) for number in (1, 2, 3)]


async def test_rows_of_many_recordings_are_found_at_once(ledger: Ledger) -> None:
    stored = object_of(1)
    for number in (1, 2):
        await register(ledger, number)
    chunks = [chunk_of(0, stored, recording=1), chunk_of(1, stored, recording=2), loose_chunk_of("loose", stored)]
    outcomes = await ledger.acknowledge([stored], chunks)
    keys = [(chunk.recording_id, chunk.chunk_index) for chunk in chunks]
    assert await ledger.find_rows([*keys, (recording_id_of(1), 1), (recording_id_of(9), 0)]) == {
        key: accepted(outcome).chunk for key, outcome in zip(keys, outcomes, strict=True)
    }
    assert await ledger.find_rows([]) == {}


async def test_more_rows_than_one_flush_needs_are_refused(ledger: Ledger) -> None:
    keys = [(recording_id_of(1), index) for index in range(FIND_ROWS_MAX + 1)]
    with pytest.raises(ValueError, match="at most"):
        await ledger.find_rows(keys)
    with pytest.raises(ValueError, match="at most"):
        await ledger.look_up(keys)


async def test_a_look_up_finds_the_rows_and_the_recordings_that_take_nothing(ledger: Ledger) -> None:
    stored = object_of(1)
    for number in (1, 2, 3):
        await register(ledger, number)
    chunks = [chunk_of(0, stored, recording=1), chunk_of(7, stored, recording=2), loose_chunk_of("loose", stored)]
    outcomes = [accepted(outcome).chunk for outcome in await ledger.acknowledge([stored], chunks)]
    await ledger.delete_recording(recording_id_of(3), b"tombstone")
    fresh = [(recording_id_of(1), 1), (recording_id_of(3), 0), (recording_id_of(9), 0), (recording_id_of(9), 1)]
    fresh.append((loose_chunk_of("another", stored).recording_id, 0))

    found = await ledger.look_up([*((row.recording_id, row.chunk_index) for row in outcomes), *fresh])

    assert found.rows == {(row.recording_id, row.chunk_index): row for row in outcomes}
    assert (set(found.unknown), set(found.deleted)) == ({recording_id_of(9)}, {recording_id_of(3)})
    assert await ledger.look_up([]) == LookedUp({}, frozenset(), frozenset())


async def test_a_chunk_of_an_unknown_recording_is_refused(ledger: Ledger) -> None:
    (outcome,) = await store(ledger, 1)
    assert outcome == Refused(ErrorCode.RECORDING_UNKNOWN)
    assert await ledger.find_chunks(recording_id_of(1), [0]) == {}


async def test_a_loose_chunk_needs_no_recording_and_keeps_its_name(ledger: Ledger) -> None:
    stored = object_of(1)
    chunk = loose_chunk_of("player-7/!~", stored)
    (outcome,) = await ledger.acknowledge([stored], [chunk])
    assert accepted(outcome).chunk.chunk_id == "player-7/!~"
    located = (await ledger.find_chunks(chunk.recording_id, [0]))[0]
    assert located.chunk == accepted(outcome).chunk
    (again,) = await ledger.acknowledge([object_of(2)], [loose_chunk_of("player-7/!~", object_of(2))])
    assert accepted(again).chunk == located.chunk
    (other,) = await ledger.acknowledge([object_of(3)], [loose_chunk_of("player-7/!~", object_of(3), version=1)])
    assert refused(other).code is ErrorCode.CHUNK_DIFFERS


async def test_a_wanted_row_with_the_same_content_points_to_the_new_object(ledger: Ledger) -> None:
    await register(ledger)
    (first,) = await store(ledger, 1)
    await ledger.mark_wanted(object_of(1).object_id, [accepted(first).chunk], FindingKind.MISSING)
    stored = object_of(2)
    (outcome,) = await ledger.acknowledge([stored], [chunk_of(0, stored, offset=777)])
    row = accepted(outcome).chunk
    assert accepted(outcome).is_new
    assert (row.object_id, row.offset, row.state) == (stored.object_id, 777, ChunkState.STORED)
    assert row.acknowledged_at == accepted(first).chunk.acknowledged_at, "a receipt stays the same for ever"
    assert await row_of(ledger) == row


async def test_a_wanted_row_refuses_another_content(ledger: Ledger) -> None:
    await register(ledger)
    (first,) = await store(ledger, 1)
    await ledger.mark_wanted(object_of(1).object_id, [accepted(first).chunk], FindingKind.MISSING)
    other = object_of(2)
    (outcome,) = await ledger.acknowledge([other], [chunk_of(0, other, version=1)])
    assert refused(outcome).code is ErrorCode.CHUNK_DIFFERS
    assert (await row_of(ledger)).state is ChunkState.WANTED


async def test_a_batch_of_the_largest_size_is_one_call(ledger: Ledger) -> None:
    await register(ledger)
    outcomes = await store(ledger, 512)
    assert [accepted(outcome).chunk.chunk_index for outcome in outcomes] == list(range(512))


# -- finding and listing chunks


async def test_found_chunks_come_with_their_object(ledger: Ledger) -> None:
    await register(ledger)
    await store(ledger, 3)
    located = await ledger.find_chunks(recording_id_of(1), [2, 0, 8])
    assert set(located) == {0, 2}
    stored = located[2].object
    new = object_of(1)
    assert (stored.object_id, stored.key, stored.size, stored.etag) == (new.object_id, new.key, new.size, new.etag)
    assert (stored.state, stored.verified_at) == (ObjectState.STORED, None)


async def test_find_chunks_is_bounded(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="at most 1000"):
        await ledger.find_chunks(recording_id_of(1), range(VERIFY_CHUNKS_MAX + 1))
    assert await ledger.find_chunks(recording_id_of(1), []) == {}


async def test_chunks_are_listed_in_order_by_pages(ledger: Ledger) -> None:
    await register(ledger)
    await store(ledger, 7)
    first = await ledger.list_chunks(recording_id_of(1), after_index=-1, limit=4)
    second = await ledger.list_chunks(recording_id_of(1), after_index=first[-1].chunk_index, limit=4)
    assert [row.chunk_index for row in (*first, *second)] == list(range(7))


# -- verification and repair


async def test_a_verified_object_says_when_and_under_which_etag(ledger: Ledger) -> None:
    await register(ledger)
    await store(ledger, 1)
    await ledger.mark_verified(object_of(1).object_id, "another-etag")
    stored = (await ledger.find_chunks(recording_id_of(1), [0]))[0].object
    assert stored.verified_at is not None and stored.etag == "another-etag"


async def test_mark_wanted_takes_exactly_the_chunks_named_and_unverifies_the_object(ledger: Ledger) -> None:
    await register(ledger)
    await store(ledger, 3)
    await ledger.mark_verified(object_of(1).object_id, "etag-1")
    assert await ledger.mark_wanted(object_of(1).object_id, [await row_of(ledger, 1)], FindingKind.MISMATCHED) == 1
    located = await ledger.find_chunks(recording_id_of(1), range(3))
    states = [located[index].chunk.state for index in range(3)]
    assert states == [ChunkState.STORED, ChunkState.WANTED, ChunkState.STORED]
    assert located[0].object.verified_at is None


async def test_mark_wanted_twice_changes_nothing_the_second_time(ledger: Ledger) -> None:
    await register(ledger)
    await store(ledger, 2)
    rows = [await row_of(ledger, index) for index in (0, 1)]
    assert await ledger.mark_wanted(object_of(1).object_id, rows, FindingKind.MISSING) == 2
    assert await ledger.mark_wanted(object_of(1).object_id, rows, FindingKind.MISSING) == 0
    assert await ledger.mark_wanted(object_of(1).object_id, [], FindingKind.MISSING) == 0


async def test_mark_wanted_spares_a_row_that_points_elsewhere_since(ledger: Ledger) -> None:
    await register(ledger)
    (outcome,) = await store(ledger, 1)
    seen = accepted(outcome).chunk
    await ledger.mark_wanted(object_of(1).object_id, [seen], FindingKind.MISSING)
    await store(ledger, 1, object_number=2)
    assert await ledger.mark_wanted(object_of(1).object_id, [seen], FindingKind.MISSING) == 0
    row = await row_of(ledger)
    assert (row.state, row.object_id) == (ChunkState.STORED, object_of(2).object_id)


async def test_mark_wanted_reaches_chunks_of_several_recordings(ledger: Ledger) -> None:
    stored = object_of(1)
    for number in (1, 2):
        await register(ledger, number)
    chunks = [chunk_of(number, stored, recording=number) for number in (1, 2)]
    await ledger.acknowledge([stored], [*chunks, loose_chunk_of("l", stored)])
    rows = await ledger.list_chunks_of_object(stored.object_id)
    assert await ledger.mark_wanted(stored.object_id, rows, FindingKind.MISSING) == 3
    assert {row.state for row in await ledger.list_chunks_of_object(stored.object_id)} == {ChunkState.WANTED}
