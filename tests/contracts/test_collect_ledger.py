"""The contract of `CollectLedger`, over every adapter: rows that move, and the three steps by which objects leave."""

from uuid import UUID

from protocol.states import FindingKind, ObjectState, RecordingState
from server.storage.collect_ledger import CollectLedger, Move
from server.storage.ledger import Ledger, NewObject, StoredChunk
from tests.contracts.ledger_values import (
    CHUNK_BYTES,
    chunk_of,
    loose_chunk_of,
    object_of,
    recording_id_of,
    register,
    row_of,
    store,
)

NOW_S = 0.0  # a grace period of nothing, so that a test need not wait
LATER_S = 3_600.0


async def moves_of(ledger: Ledger, *indexes: int, recording: int = 1) -> list[Move]:
    """These rows, each to an offset of its own in the new object."""
    located = await ledger.find_chunks(recording_id_of(recording), indexes)
    return [Move(located[index].chunk, 12 + at * CHUNK_BYTES) for at, index in enumerate(indexes)]


async def ids_of_waste(collected: CollectLedger) -> list[UUID]:
    return [held.object_id for held in await collected.list_waste(after=None, limit=100)]


async def claim(collected: CollectLedger, grace_s: float = NOW_S) -> list[UUID]:
    claimed = await collected.claim_deletions(grace_s=grace_s, after=None, limit=100)
    assert all(held.state is ObjectState.DELETING for held in claimed)
    return [held.object_id for held in claimed]


async def test_moved_rows_point_to_the_new_object_and_the_old_one_is_unlinked(
    ledger: Ledger, collected: CollectLedger
) -> None:
    await register(ledger)
    await store(ledger, 2)
    before = await row_of(ledger, 1)
    new = object_of(9)
    assert await collected.move_chunks(new, await moves_of(ledger, 0, 1)) == 2
    after = await row_of(ledger, 1)
    assert (after.object_id, after.offset) == (new.object_id, 12 + CHUNK_BYTES)
    assert (after.sha256, after.acknowledged_at, after.state) == (before.sha256, before.acknowledged_at, before.state)
    assert await claim(collected) == [object_of(1).object_id]


async def test_a_move_that_is_sent_again_moves_nothing_and_unlinks_nothing(
    ledger: Ledger, collected: CollectLedger
) -> None:
    await register(ledger)
    await store(ledger, 2)
    moves = await moves_of(ledger, 0, 1)
    await collected.move_chunks(object_of(9), moves)
    assert await collected.move_chunks(object_of(9), moves) == 0
    assert (await row_of(ledger, 0)).object_id == object_of(9).object_id
    assert await claim(collected) == [object_of(1).object_id]


async def test_a_row_that_changed_since_it_was_read_does_not_move(ledger: Ledger, collected: CollectLedger) -> None:
    await register(ledger)
    await store(ledger, 3)
    moves = await moves_of(ledger, 0, 1, 2)
    await ledger.mark_wanted(object_of(1).object_id, [moves[1].chunk], FindingKind.MISMATCHED)
    assert await collected.move_chunks(object_of(9), moves) == 2
    assert (await row_of(ledger, 1)).object_id == object_of(1).object_id
    assert await claim(collected) == [], "a row still points to the old object"
    assert await ids_of_waste(collected) == [object_of(1).object_id, object_of(9).object_id]


async def test_two_collects_of_one_pack_move_each_row_once(ledger: Ledger, collected: CollectLedger) -> None:
    await register(ledger)
    await store(ledger, 2)
    moves = await moves_of(ledger, 0, 1)
    assert await collected.move_chunks(object_of(8), moves) == 2
    assert await collected.move_chunks(object_of(9), moves) == 0
    assert (await row_of(ledger, 0)).object_id == object_of(8).object_id
    assert await claim(collected) == [object_of(1).object_id, object_of(9).object_id]


async def test_chunks_of_a_recording_deleted_meanwhile_do_not_move(ledger: Ledger, collected: CollectLedger) -> None:
    await register(ledger)
    await store(ledger, 2)
    moves = await moves_of(ledger, 0, 1)
    await ledger.delete_recording(recording_id_of(1), b"{}")
    assert await collected.move_chunks(object_of(9), moves) == 0
    assert await ledger.find_rows([(recording_id_of(1), 0)]) == {}
    assert await claim(collected) == [object_of(1).object_id, object_of(9).object_id]


async def test_loose_chunks_move_too(ledger: Ledger, collected: CollectLedger) -> None:
    stored = object_of(1)
    chunk = loose_chunk_of("a-chunk", stored)
    await ledger.acknowledge([stored], [chunk])
    key = (chunk.recording_id, 0)
    row = (await ledger.find_rows([key]))[key]
    assert await collected.move_chunks(object_of(9), [Move(row, 12)]) == 1
    moved: StoredChunk = (await ledger.find_rows([key]))[key]
    assert (moved.object_id, moved.chunk_id) == (object_of(9).object_id, "a-chunk")


async def test_an_object_that_a_row_points_to_is_not_unlinked(ledger: Ledger, collected: CollectLedger) -> None:
    await register(ledger)
    await store(ledger, 1)
    await ledger.mark_wanted(object_of(1).object_id, [await row_of(ledger)], FindingKind.MISSING)
    assert not await collected.unlink(object_of(1).object_id), "a wanted row is a promise too (I5)"
    again = object_of(2)
    await ledger.acknowledge([again], [chunk_of(0, again)])
    assert await collected.unlink(object_of(1).object_id)
    assert not await collected.unlink(object_of(1).object_id), "a repeat changes nothing"
    assert not await collected.unlink(object_of(77).object_id)


async def test_an_object_is_deleted_only_the_grace_period_after_it_was_unlinked(
    ledger: Ledger, collected: CollectLedger
) -> None:
    await register(ledger)
    await store(ledger, 1)
    await ledger.delete_recording(recording_id_of(1), b"{}")
    assert await claim(collected, LATER_S) == []
    assert not await collected.remove_object(object_of(1).object_id), "nobody has decided it"
    assert await claim(collected, NOW_S) == [object_of(1).object_id]
    assert await claim(collected, LATER_S) == [object_of(1).object_id], "what was decided is finished by whoever comes"
    assert await collected.remove_object(object_of(1).object_id)
    assert not await collected.remove_object(object_of(1).object_id)
    assert await claim(collected) == []


async def test_claims_come_a_page_at_a_time(ledger: Ledger, collected: CollectLedger) -> None:
    for number in (1, 2, 3):
        await collected.note_garbage([object_of(number)])
    first = await collected.claim_deletions(grace_s=NOW_S, after=None, limit=2)
    rest = await collected.claim_deletions(grace_s=NOW_S, after=first[-1].object_id, limit=2)
    assert [held.object_id for held in first + rest] == [object_of(number).object_id for number in (1, 2, 3)]


async def test_garbage_gets_a_row_only_where_there_is_none(ledger: Ledger, collected: CollectLedger) -> None:
    await register(ledger)
    await store(ledger, 1)
    assert await collected.note_garbage([object_of(1), object_of(2)]) == 1
    assert await collected.note_garbage([object_of(1), object_of(2)]) == 0
    assert await claim(collected) == [object_of(2).object_id], "what rows point to stays as it is"


async def test_waste_is_cleared_only_while_as_many_stored_rows_point_to_the_object(
    ledger: Ledger, collected: CollectLedger
) -> None:
    await register(ledger)
    await store(ledger, 2)
    await ledger.mark_wanted(object_of(1).object_id, [await row_of(ledger)], FindingKind.MISMATCHED)
    assert await ids_of_waste(collected) == [object_of(1).object_id]
    assert not await collected.clear_waste(object_of(1).object_id, 2)
    again = object_of(2)
    await ledger.acknowledge([again], [chunk_of(0, again)])
    assert not await collected.clear_waste(object_of(1).object_id, 2)
    assert await collected.clear_waste(object_of(1).object_id, 1)
    assert await ids_of_waste(collected) == []


async def test_small_packs_of_days_that_are_over_are_listed_in_order(ledger: Ledger, collected: CollectLedger) -> None:
    def pack(day: str, number: int, size: int) -> NewObject:
        made = object_of(number, size)
        return NewObject(made.object_id, f"packs/{day}/{made.object_id}.pack", size, made.etag)

    await register(ledger)
    packs = [
        pack("2026/01/02", 1, 10),
        pack("2026/01/01", 2, 10),
        pack("2026/01/01", 3, 5_000),
        pack("9999/01/01", 4, 10),
    ]
    for index, stored in enumerate(packs):
        await ledger.acknowledge([stored], [chunk_of(index, stored)])
    of_many = pack("2026/01/03", 5, 10)
    await ledger.acknowledge([of_many], [chunk_of(index, of_many) for index in (4, 5, 6)])
    await ledger.mark_wanted(packs[0].object_id, [await row_of(ledger, 0)], FindingKind.MISMATCHED)

    async def small(after_key: str = "", before_key: str = "packs/9", entries_below: int = 3) -> list[UUID]:
        listed = await collected.list_small_packs(
            after_key=after_key, before_key=before_key, size_below=1_000, entries_below=entries_below, limit=10
        )
        return [held.object_id for held in listed]

    one = packs[1]
    assert await small() == [one.object_id], "neither large, nor of many chunks, nor wasted, nor of today"
    assert await small(entries_below=4) == [one.object_id, of_many.object_id]
    assert await small(before_key="packs/99991", entries_below=4) == [one.object_id, of_many.object_id], "nor of today"
    assert await small(before_key=one.key) == await small(after_key=one.key) == []


async def test_deleted_recordings_are_listed_until_their_prefixes_were_found_empty(
    ledger: Ledger, collected: CollectLedger
) -> None:
    for number in (1, 2):
        await register(ledger, number)
        await ledger.delete_recording(recording_id_of(number), b"{}")
    await register(ledger, 3)
    ids = [recording_id_of(1), recording_id_of(2)]
    assert await collected.list_unerased(grace_s=LATER_S, after=None, limit=10) == []
    assert await collected.list_unerased(grace_s=NOW_S, after=None, limit=10) == ids
    assert await collected.list_unerased(grace_s=NOW_S, after=ids[0], limit=10) == ids[1:]
    await collected.mark_erased(ids[0])
    assert await collected.list_unerased(grace_s=NOW_S, after=None, limit=10) == ids[1:]
    assert await collected.find_states([*ids, recording_id_of(3), recording_id_of(4)]) == {
        ids[0]: RecordingState.DELETED,
        ids[1]: RecordingState.DELETED,
        recording_id_of(3): RecordingState.OPEN,
    }
