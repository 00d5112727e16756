"""The contract of `Ledger`, over every adapter: installation and recordings. Chunks and completion stand beside it."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from protocol.errors import ErrorCode
from protocol.states import ChunkState, FindingKind, ObjectState, RecordingState
from protocol.wire import IndexGap
from server.storage.ledger import LIST_ROWS_MAX, Ledger, RecordingFilter, Refused
from tests.contracts.ledger_values import (
    CHUNK_BYTES,
    STARTED_AT,
    chunk_of,
    complete,
    loose_chunk_of,
    object_of,
    recording_id_of,
    refused,
    register,
    row_of,
    store,
)

_AT_FOUR = STARTED_AT + timedelta(hours=4)

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


@pytest.mark.parametrize(
    ("sought", "numbers"),
    [
        ("talk", [4, 2, 1]),
        ("100%", [3]),
        ("%", [3]),
        ("_", []),
        ("\\", [5]),
        ("élan", [2]),
        (str(recording_id_of(3))[4:], [3]),
        (str(recording_id_of(3)).upper(), [3]),
        ("no such", []),
    ],
)
async def test_recordings_are_sought_by_a_part_of_title_or_id_whatever_its_case_and_its_signs(
    ledger: Ledger, sought: str, numbers: list[int]
) -> None:
    titles = {1: "A talk", 2: "Élan: Talk of the town", 3: "100% true", 4: "TALK", 5: "back\\slash", 6: "talk"}
    for number, title in titles.items():
        await register(ledger, number)
        await ledger.rename_recording(recording_id_of(number), title)
    await ledger.delete_recording(recording_id_of(6), b"tombstone")
    found, before = [], None
    while page := await ledger.list_recordings(before=before, limit=2, which=RecordingFilter(part=sought)):
        found += [recording.recording_id for recording in page]
        before = found[-1]
    assert found == [recording_id_of(number) for number in numbers]


@pytest.mark.parametrize(
    ("which", "numbers"),
    [
        (RecordingFilter(states=frozenset({RecordingState.COMPLETE})), [2]),
        (RecordingFilter(states=frozenset({RecordingState.COMPLETE, RecordingState.OPEN})), [4, 3, 2, 1]),
        (RecordingFilter(states=frozenset({RecordingState.STALLED})), []),
        (RecordingFilter(states=frozenset({RecordingState.DELETED})), []),
        (RecordingFilter(started_from=STARTED_AT + timedelta(hours=2)), [4, 3, 2]),
        (RecordingFilter(started_before=STARTED_AT + timedelta(hours=2)), [1]),
        (RecordingFilter(started_from=STARTED_AT + timedelta(hours=2), started_before=_AT_FOUR), [3, 2]),
        (RecordingFilter(part="take", states=frozenset({RecordingState.OPEN}), started_before=_AT_FOUR), [3, 1]),
        (RecordingFilter(part="take 2", states=frozenset({RecordingState.OPEN})), []),
    ],
)
async def test_recordings_are_filtered_by_state_and_by_when_they_began_and_all_of_it_counts(
    ledger: Ledger, which: RecordingFilter, numbers: list[int]
) -> None:
    for number in range(1, 6):
        await register(ledger, number, STARTED_AT + timedelta(hours=number))
    await complete(ledger, 2, recording=2)
    await ledger.delete_recording(recording_id_of(5), b"tombstone")
    found, before = [], None
    while page := await ledger.list_recordings(before=before, limit=1, which=which):
        found += [recording.recording_id for recording in page]
        before = found[-1]
    assert found == [recording_id_of(number) for number in numbers]


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
