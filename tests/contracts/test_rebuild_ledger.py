"""The contract of `RebuildLedger`, over every adapter: what was found gets its rows, in whatever order it is found."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from protocol.states import ChunkState, FindingKind, RecordingState
from server.storage.collect_ledger import CollectLedger
from server.storage.ledger import Ledger, NewChunk
from server.storage.rebuild_ledger import FoundObject, RebuildLedger
from tests.contracts.ledger_values import (
    chunk_of,
    complete,
    loose_chunk_of,
    object_of,
    recording_id_of,
    register,
    row_of,
    store,
)

# The rows of these tests are either older than the rebuild, or all its own.
LATER = datetime.now(UTC) + timedelta(days=1)


def found(number: int, *chunks: NewChunk, entry_count: int | None = None) -> FoundObject:
    """The object of that number, as it was read back."""
    return FoundObject(object_of(number), len(chunks) if entry_count is None else entry_count, chunks)


def copy(number: int, version: int = 0, index: int = 0) -> FoundObject:
    """An object that holds one version of that chunk of recording 1."""
    return found(number, chunk_of(index, object_of(number), version=version))


async def place(rebuilt: RebuildLedger, *objects: FoundObject, before: datetime | None = None) -> int:
    return await rebuilt.place(objects, before)


async def copies_of(ledger: Ledger, index: int = 0) -> set[UUID]:
    return {held.chunk.object_id for held in await ledger.find_disputed(recording_id_of(1), [index])}


async def test_what_was_found_gets_a_verified_object_and_its_rows(ledger: Ledger, rebuilt: RebuildLedger) -> None:
    await register(ledger)
    one = object_of(1)
    loose = loose_chunk_of("a-chunk", one)
    assert await place(rebuilt, found(1, chunk_of(0, one), loose)) == 2
    located = (await ledger.find_chunks(recording_id_of(1), [0]))[0]
    assert (located.chunk.object_id, located.chunk.state) == (one.object_id, ChunkState.STORED)
    assert (located.object.key, located.object.size, located.object.etag) == (one.key, one.size, one.etag)
    assert located.object.verified_at is not None
    row = (await ledger.find_rows([(loose.recording_id, 0)]))[(loose.recording_id, 0)]
    assert (row.chunk_id, row.object_id) == ("a-chunk", one.object_id)


async def test_the_same_call_again_changes_nothing(ledger: Ledger, rebuilt: RebuildLedger) -> None:
    await register(ledger)
    await place(rebuilt, copy(1))
    before = await row_of(ledger)
    assert await place(rebuilt, copy(1)) == 0
    assert await row_of(ledger) == before


async def test_chunks_of_unknown_and_of_deleted_recordings_get_no_row(ledger: Ledger, rebuilt: RebuildLedger) -> None:
    await register(ledger, 2)
    await ledger.delete_recording(recording_id_of(2), b"{}")
    one = object_of(1)
    assert await place(rebuilt, found(1, chunk_of(0, one), chunk_of(0, one, recording=2))) == 0
    assert await ledger.find_rows([(recording_id_of(1), 0), (recording_id_of(2), 0)]) == {}


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
async def test_of_equal_contents_the_newest_copy_counts(
    ledger: Ledger, rebuilt: RebuildLedger, order: tuple[int, int]
) -> None:
    await register(ledger)
    for number in order:
        await place(rebuilt, copy(number))
    assert (await row_of(ledger)).object_id == object_of(2).object_id
    assert await rebuilt.list_disputed(after=None, limit=10) == []


async def test_copies_in_one_batch_are_placed_one_after_another(ledger: Ledger, rebuilt: RebuildLedger) -> None:
    await register(ledger)
    assert await place(rebuilt, copy(2), copy(1), copy(3)) == 1
    assert (await row_of(ledger)).object_id == object_of(3).object_id


async def test_an_acknowledged_row_says_itself_where_its_bytes_are(ledger: Ledger, rebuilt: RebuildLedger) -> None:
    await register(ledger)
    await store(ledger, 1)
    before = await row_of(ledger)
    assert await place(rebuilt, copy(2), copy(3, version=1), before=LATER) == 0
    assert await row_of(ledger) == before


async def test_a_wanted_row_is_filled_by_a_copy_and_not_by_another_content(
    ledger: Ledger, rebuilt: RebuildLedger
) -> None:
    await register(ledger)
    await store(ledger, 1, object_number=5)
    row = await row_of(ledger)
    await ledger.mark_wanted(row.object_id, [row], FindingKind.MISSING)
    await place(rebuilt, copy(2, version=1), before=LATER)
    assert (await row_of(ledger)).state is ChunkState.WANTED
    await place(rebuilt, copy(1), before=LATER)
    filled = await row_of(ledger)
    assert (filled.state, filled.object_id) == (ChunkState.STORED, object_of(1).object_id)
    assert filled.acknowledged_at == row.acknowledged_at


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1)])
async def test_of_two_contents_neither_counts_and_the_newest_copy_of_each_is_kept(
    ledger: Ledger, rebuilt: RebuildLedger, order: tuple[int, int, int]
) -> None:
    await register(ledger)
    for number in order:  # 1 and 3 hold one content, 2 the other
        await place(rebuilt, copy(number, version=number % 2))
    assert (await row_of(ledger)).state is ChunkState.DISPUTED
    assert await copies_of(ledger) == {object_of(2).object_id, object_of(3).object_id}


async def test_disputes_are_listed_in_pages_however_often_they_were_placed(
    ledger: Ledger, rebuilt: RebuildLedger
) -> None:
    await register(ledger)
    for _ in range(2):
        for index in (1, 2, 3):
            await place(rebuilt, copy(index, index=index), copy(index + 3, version=1, index=index))
    await place(rebuilt, copy(7, index=7))
    page = await rebuilt.list_disputed(after=None, limit=2)
    rest = await rebuilt.list_disputed(after=(page[-1].recording_id, page[-1].chunk_index), limit=2)
    assert [row.chunk_index for row in page] == [1, 2]
    assert [(row.chunk_index, row.state) for row in rest] == [(3, ChunkState.DISPUTED)]


async def test_an_object_on_its_way_out_gets_no_rows(
    ledger: Ledger, rebuilt: RebuildLedger, collected: CollectLedger
) -> None:
    await register(ledger)
    await collected.note_garbage([object_of(1)])
    assert await place(rebuilt, copy(1)) == 0
    assert await ledger.find_rows([(recording_id_of(1), 0)]) == {}


async def test_an_entry_without_a_row_is_waste_and_the_pages_reach_every_object(
    ledger: Ledger, rebuilt: RebuildLedger, collected: CollectLedger
) -> None:
    await register(ledger)
    await place(rebuilt, copy(1, index=1), found(2, chunk_of(2, object_of(2)), entry_count=3), copy(3, index=3))
    after = await rebuilt.settle_objects(after=None, limit=2)
    assert after == object_of(2).object_id
    assert await rebuilt.settle_objects(after=after, limit=2) is None
    wasted = await collected.list_waste(after=None, limit=10)
    assert [held.object_id for held in wasted] == [object_of(2).object_id]


async def test_a_damaged_recording_is_complete_again_when_its_manifest_is_whole(
    ledger: Ledger, rebuilt: RebuildLedger
) -> None:
    await complete(ledger, 2)
    rows = [await row_of(ledger, index) for index in (0, 1)]
    await ledger.mark_wanted(object_of(1).object_id, rows, FindingKind.MISSING)

    async def settled() -> RecordingState:
        assert await rebuilt.settle_recordings(after=None, limit=10) is None
        recording = await ledger.find_recording(recording_id_of(1))
        assert recording is not None
        return recording.state

    assert await settled() is RecordingState.DAMAGED
    await place(rebuilt, copy(2, index=0), before=LATER)
    assert await settled() is RecordingState.DAMAGED, "one chunk is still wanted"
    await place(rebuilt, copy(3, index=1), before=LATER)
    assert await settled() is RecordingState.COMPLETE
