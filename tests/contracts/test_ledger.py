"""The contract of `Ledger`, over every adapter: recordings, acknowledgement, repair. Completion stands beside it."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from protocol.errors import ErrorCode
from protocol.limits import VERIFY_CHUNKS_MAX
from protocol.states import ChunkState, FindingKind, ObjectState, RecordingState
from protocol.wire import IndexGap
from server.storage.ledger import LIST_ROWS_MAX, Acknowledged, Ledger, Outcome, Refused, StoredChunk
from tests.contracts.ledger_values import (
    CHUNK_BYTES,
    STARTED_AT,
    chunk_of,
    loose_chunk_of,
    object_of,
    recording_id_of,
    register,
    store,
)


def accepted(outcome: Outcome) -> Acknowledged:
    assert isinstance(outcome, Acknowledged), outcome
    return outcome


def refused(outcome: Outcome) -> Refused:
    assert isinstance(outcome, Refused), outcome
    return outcome


async def row_of(ledger: Ledger, index: int = 0, recording: int = 1) -> StoredChunk:
    return (await ledger.find_chunks(recording_id_of(recording), [index]))[index].chunk


# -- installation


async def test_an_empty_ledger_has_no_installation(ledger: Ledger) -> None:
    installation = await ledger.read_installation()
    assert installation.installation_id is None
    assert installation.is_empty


async def test_the_first_installation_id_stands_for_ever(ledger: Ledger) -> None:
    first, second = UUID(int=1), UUID(int=2)
    assert await ledger.write_installation(first) == first
    assert await ledger.write_installation(second) == first
    installation = await ledger.read_installation()
    assert installation.installation_id == first
    assert installation.is_empty


async def test_a_ledger_with_a_recording_is_not_empty(ledger: Ledger) -> None:
    await register(ledger)
    assert not (await ledger.read_installation()).is_empty


async def test_a_ledger_with_a_loose_chunk_is_not_empty(ledger: Ledger) -> None:
    await ledger.acknowledge([object_of(1)], [loose_chunk_of("a", object_of(1))])
    assert not (await ledger.read_installation()).is_empty


async def test_check_is_content_with_a_ledger_that_can_be_written(ledger: Ledger) -> None:
    await ledger.check()


# -- recordings


async def test_a_registered_recording_is_found_as_registered(ledger: Ledger) -> None:
    recording_id = await register(ledger)
    found = await ledger.find_recording(recording_id)
    assert found is not None
    assert (found.recording_id, found.mime_type, found.title) == (recording_id, "audio/webm;codecs=opus", "take 1")
    assert (found.started_at, found.state, found.certified_at) == (STARTED_AT, RecordingState.OPEN, None)
    assert (found.chunk_count, found.byte_count, found.wanted_count) == (0, 0, 0)
    assert abs(found.registered_at - datetime.now(UTC)) < timedelta(minutes=5)
    assert await ledger.find_recording_document(recording_id) == b"document 1"


async def test_registering_again_changes_nothing(ledger: Ledger) -> None:
    recording_id = await register(ledger)
    assert not await ledger.register_recording(
        recording_id=recording_id, mime_type="video/mp4", title=None, started_at=STARTED_AT, document=b"other"
    )
    found = await ledger.find_recording(recording_id)
    assert found is not None and found.mime_type == "audio/webm;codecs=opus"
    assert await ledger.find_recording_document(recording_id) == b"document 1"


async def test_an_unknown_recording_is_none_everywhere(ledger: Ledger) -> None:
    recording_id = recording_id_of(1)
    assert await ledger.find_recording(recording_id) is None
    assert await ledger.find_recording_document(recording_id) is None
    assert await ledger.find_certificate(recording_id) is None
    assert await ledger.find_chunks(recording_id, [0]) == {}
    assert await ledger.list_chunks(recording_id, after_index=-1, limit=10) == []
    assert await ledger.list_gaps(recording_id, 10) == []
    assert not await ledger.rename_recording(recording_id, "x")


async def test_a_time_with_another_offset_is_the_same_moment(ledger: Ledger) -> None:
    started_at = datetime.fromisoformat("2026-11-23T11:30:00.123456+02:00")
    await ledger.register_recording(
        recording_id=recording_id_of(1), mime_type="audio/webm", title=None, started_at=started_at, document=b"d"
    )
    found = await ledger.find_recording(recording_id_of(1))
    assert found is not None and found.started_at == started_at
    assert found.started_at.utcoffset() == timedelta(0)


async def test_a_recording_can_be_renamed(ledger: Ledger) -> None:
    recording_id = await register(ledger)
    assert await ledger.rename_recording(recording_id, "a better title")
    found = await ledger.find_recording(recording_id)
    assert found is not None and found.title == "a better title"


async def test_recordings_are_listed_newest_first_by_pages_without_deleted_ones(ledger: Ledger) -> None:
    for number in (3, 1, 5, 2, 4):
        await register(ledger, number)
    await ledger.delete_recording(recording_id_of(3), b"tombstone")
    first = await ledger.list_recordings(before=None, limit=3)
    second = await ledger.list_recordings(before=first[-1].recording_id, limit=3)
    listed = [recording.recording_id for recording in (*first, *second)]
    assert listed == [recording_id_of(number) for number in (5, 4, 2, 1)]
    assert len(first) == 3


async def test_loose_chunks_are_never_listed_as_recordings(ledger: Ledger) -> None:
    await ledger.acknowledge([object_of(1)], [loose_chunk_of("a", object_of(1))])
    assert await ledger.list_recordings(before=None, limit=10) == []


@pytest.mark.parametrize("limit", [0, LIST_ROWS_MAX + 1])
async def test_listings_are_bounded(ledger: Ledger, limit: int) -> None:
    with pytest.raises(ValueError, match="rows at once"):
        await ledger.list_recordings(before=None, limit=limit)
    with pytest.raises(ValueError, match="rows at once"):
        await ledger.list_chunks(recording_id_of(1), after_index=-1, limit=limit)
    with pytest.raises(ValueError, match="rows at once"):
        await ledger.list_gaps(recording_id_of(1), limit)


async def test_the_counts_are_those_of_the_rows(ledger: Ledger) -> None:
    await register(ledger)
    await store(ledger, 3)
    await ledger.mark_wanted(object_of(1).object_id, [await row_of(ledger, 1)], FindingKind.MISSING)
    found = await ledger.find_recording(recording_id_of(1))
    assert found is not None
    assert (found.chunk_count, found.byte_count, found.wanted_count) == (3, 3 * CHUNK_BYTES, 1)
    (listed,) = await ledger.list_recordings(before=None, limit=1)
    assert listed == found


async def test_gaps_are_the_ranges_below_the_highest_row(ledger: Ledger) -> None:
    await register(ledger)
    stored = object_of(1)
    await ledger.acknowledge([stored], [chunk_of(index, stored) for index in (2, 3, 7, 9)])
    gaps = [IndexGap(0, 1), IndexGap(4, 6), IndexGap(8, 8)]
    assert await ledger.list_gaps(recording_id_of(1), 10) == gaps
    assert await ledger.list_gaps(recording_id_of(1), 2) == gaps[:2]


# -- acknowledgement, which keeps I2 and I3


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
    (outcome,) = await ledger.acknowledge([other], [chunk_of(0, other, **change)])  # type: ignore[arg-type]
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


# -- deletion


async def test_a_deleted_recording_keeps_its_first_tombstone_and_nothing_else(ledger: Ledger) -> None:
    recording_id = await register(ledger)
    await store(ledger, 2)
    assert await ledger.delete_recording(recording_id, b"first") == b"first"
    assert await ledger.delete_recording(recording_id, b"second") == b"first"
    found = await ledger.find_recording(recording_id)
    assert found is not None
    assert (found.state, found.title, found.chunk_count) == (RecordingState.DELETED, None, 0)
    assert await ledger.find_recording_document(recording_id) is None
    assert await ledger.list_chunks(recording_id, after_index=-1, limit=10) == []
    assert not await ledger.rename_recording(recording_id, "back?")
    assert not await ledger.register_recording(
        recording_id=recording_id, mime_type="audio/webm", title=None, started_at=STARTED_AT, document=b"d"
    )


async def test_a_late_chunk_of_a_deleted_recording_is_refused(ledger: Ledger) -> None:
    recording_id = await register(ledger)
    await store(ledger, 1)
    await ledger.delete_recording(recording_id, b"tombstone")
    for outcome in await store(ledger, 2, object_number=2):
        assert outcome == Refused(ErrorCode.RECORDING_DELETED)
    assert await ledger.find_chunks(recording_id, [0, 1]) == {}


async def test_an_unknown_recording_can_be_deleted_so_that_it_never_comes(ledger: Ledger) -> None:
    recording_id = recording_id_of(1)
    assert await ledger.delete_recording(recording_id, b"tombstone") == b"tombstone"
    found = await ledger.find_recording(recording_id)
    assert found is not None and found.state is RecordingState.DELETED
    await register(ledger)
    (outcome,) = await store(ledger, 1)
    assert refused(outcome).code is ErrorCode.RECORDING_DELETED


async def test_deleting_one_recording_leaves_its_neighbours_in_the_pack(ledger: Ledger) -> None:
    stored = object_of(1)
    for number in (1, 2):
        await register(ledger, number)
    await ledger.acknowledge([stored], [chunk_of(0, stored, recording=1), chunk_of(1, stored, recording=2)])
    await ledger.delete_recording(recording_id_of(1), b"tombstone")
    located = (await ledger.find_chunks(recording_id_of(2), [1]))[1]
    assert (located.chunk.state, located.object.state) == (ChunkState.STORED, ObjectState.STORED)
