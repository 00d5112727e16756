"""Erasure: what a user deleted leaves the bucket, in two passes at least, and its neighbours keep every byte."""

import asyncio

import pytest

from protocol.errors import ErrorCode
from server.refusal import Refusal
from server.storage.keys import TombstoneKey, chunks_prefix, recording_prefix
from server.storage.memory_blob_store import MemoryBlobStore
from server.storage.memory_ledger import MemoryLedger
from tests.server.collect.house import Clock, House, bytes_of
from tests.server.recordings.watched import Watched, let_others_go


async def test_a_deleted_recording_leaves_the_bucket_and_live_neighbours_keep_every_byte(house: House) -> None:
    # Given a recording in packs that others share, and in an object of its own
    gone, stays = await house.register(), await house.register()
    shared = await house.pack((gone, 0), (stays, 0), (gone, 1), ("loose", 0))
    await house.pack((gone, 2), (gone, 3))
    await house.own((gone, 4))
    await house.own((stays, 1))
    await house.delete(gone)
    # When it is collected twice
    first = await house.collect()
    assert (first.rewritten, first.chunks_moved, first.deleted) == (1, 2, 2)
    await house.check_all_is_served()
    assert (await house.collect()).erased == 1
    # Then no object holds a byte of it, the pack was replaced, and the tombstone is all that is left
    for index in range(5):
        assert await house.where_is(bytes_of((gone, index))) == []
    assert shared.key not in await house.keys()
    assert await house.keys(recording_prefix(gone)) == [TombstoneKey(gone).text]
    await house.check_all_is_served()
    # And further passes find nothing to do
    idle = await house.collect()
    assert (idle.examined, idle.deleted, idle.erased) == (0, 0, 0)


async def test_i11_no_object_is_deleted_in_the_pass_that_unlinked_it(memory: House, clock: Clock) -> None:
    gone = await memory.register()
    await memory.own((gone, 0))
    wasted = await memory.pack((gone, 1), ("loose", 0))
    await memory.delete(gone)
    assert (await memory.collect(grace_s=900)).deleted == 0, "the delete unlinked one of them just now"
    assert (await memory.collect(grace_s=900)).deleted == 0
    clock.advance(899)
    assert (await memory.collect(grace_s=900)).deleted == 0
    assert wasted.key in await memory.keys()
    clock.advance(1)
    assert (await memory.collect(grace_s=900)).deleted == 2
    assert await memory.where_is(bytes_of((gone, 1))) == []


async def test_a_late_put_of_a_deleted_recording_is_found_by_its_prefix_and_deleted_a_pass_later(house: House) -> None:
    gone = await house.register()
    await house.delete(gone)
    # Given a PUT that lands after everything, which no row knows
    late = await house.put_own((gone, 0))
    first = await house.collect()
    assert (first.late_objects, first.deleted, first.erased) == (1, 0, 0)
    assert late.key in await house.keys()
    second = await house.collect()
    assert (second.deleted, second.erased) == (1, 1)
    assert await house.keys(chunks_prefix(gone)) == []


async def test_a_foreign_object_under_a_deleted_prefix_is_never_touched(house: House) -> None:
    gone = await house.register()
    await house.delete(gone)
    foreign = [f"{chunks_prefix(gone)}notes.txt", f"{recording_prefix(gone)}mine.json"]
    for key in foreign:
        await house.store.put(key, b"somebody's")
    for _ in range(3):
        await house.collect()
    assert set(foreign) <= set(await house.keys())


async def test_documents_and_titles_of_a_deleted_recording_stay_for_the_grace_period(
    memory: House, clock: Clock
) -> None:
    gone = await memory.register()
    await memory.delete(gone)
    assert (await memory.collect(grace_s=900)).documents_deleted == 0
    clock.advance(900)
    assert (await memory.collect(grace_s=900)).documents_deleted == 1
    assert await memory.keys() == [TombstoneKey(gone).text]


async def test_a_wrong_bucket_is_refused_before_anything_is_touched(clock: Clock) -> None:
    ledger = MemoryLedger(clock)
    right, wrong = House(ledger, MemoryBlobStore(clock)), House(ledger, MemoryBlobStore(clock))
    await right.own((await right.register(), 0))

    async def refuse() -> None:
        raise Refusal(ErrorCode.STORE_MISMATCH, "another bucket", next_step="Look.")

    with pytest.raises(Refusal):
        await wrong.collect(confirm_installation=refuse)
    await right.check_all_is_served()


async def test_a_deletion_that_ended_between_bucket_and_row_is_finished(memory: House) -> None:
    gone = await memory.register()
    await memory.own((gone, 0))
    await memory.delete(gone)
    (claimed,) = await memory.collected.claim_deletions(grace_s=0, after=None, limit=10)
    await memory.store.delete(claimed.key)  # and here the collector was killed
    assert (await memory.collect(grace_s=900)).deleted == 1
    assert isinstance(memory.ledger, MemoryLedger) and not memory.ledger.objects


async def test_a_chunk_of_a_deleted_recording_is_never_copied_into_a_new_pack(house: House) -> None:
    gone, stays = await house.register(), await house.register()
    await house.pack((gone, 0), (stays, 0), (stays, 1))
    before = set(await house.keys("packs/"))
    await house.delete(gone)
    await house.collect()
    (new,) = set(await house.keys("packs/")) - before
    assert bytes_of((gone, 0)) not in await house.store.get(new)
    assert bytes_of((stays, 1)) in await house.store.get(new)


async def test_two_collects_at_once_end_as_one(memory: House) -> None:
    gone, stays = await memory.register(), await memory.register()
    for index in range(3):
        await memory.pack((gone, index), (stays, index))
    await memory.delete(gone)
    memory.store = Watched(memory.store, let_others_go, let_others_go).port
    for _ in range(2):
        reports = await asyncio.gather(memory.collect(), memory.collect())
    await memory.collect()
    assert reports[0].held_back == reports[1].held_back == {}
    assert len(await memory.keys("packs/")) == 1, "the pack of the one that came second has gone"
    await memory.check_all_is_served()
    assert await memory.where_is(bytes_of((gone, 0))) == []
