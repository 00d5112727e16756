"""What collect copies, drops and leaves alone: the last copy of something acknowledged is never taken for waste."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from msgspec import structs

from protocol.states import ChunkState, FindingKind
from server.audit import collect
from server.ingest.voids import store_void
from server.storage.blob_store import BlobStoreUnavailableError
from server.storage.keys import PackKey, new_uuid7
from server.storage.ledger import NewChunk
from server.storage.memory_ledger import MemoryLedger
from tests.server.collect.house import OBJECTS_AGE_S, Clock, House, LyingStore, bytes_of, next_id


def ledger_of(house: House) -> MemoryLedger:
    assert isinstance(house.ledger, MemoryLedger)
    return house.ledger


async def test_a_pack_without_waste_is_only_unmarked(house: House) -> None:
    recording_id = await house.register()
    await house.pack((recording_id, 0), (recording_id, 1))
    row = await house.row((recording_id, 0))
    # Given a mark that a repair left: the chunk was asked for again and came, in another object
    await house.ledger.mark_wanted(row.object_id, [row], FindingKind.MISMATCHED)
    await house.own((recording_id, 0))
    await house.collect()
    report = await house.collect()
    assert (report.rewritten, report.held_back) == (0, {})
    await house.check_all_is_served()


async def test_a_duplicate_goes_where_the_rows_own_copy_was_read(house: House) -> None:
    recording_id = await house.register()
    first = await house.own((recording_id, 0))
    spare = await house.own((recording_id, 0))
    assert (await house.collect()).unlinked == 1
    await house.collect()
    assert spare.key not in await house.keys() and first.key in await house.keys()
    await house.check_all_is_served()


@pytest.mark.parametrize("harm", ["gone", "flipped"])
async def test_the_last_good_copy_is_never_dropped_as_a_duplicate(house: House, harm: str) -> None:
    """The row still says that its own object is fine: nobody has looked since it was lost."""
    recording_id = await house.register()
    first = await house.own((recording_id, 0))
    spare = await house.own((recording_id, 0))
    if harm == "gone":
        await house.store.delete(first.key)
    else:
        await house.overwrite(first.key, b"x" * first.size)
    for _ in range(3):
        report = await house.collect()
        assert report.held_back == {"undecided": 1}
    assert spare.key in await house.keys()


async def test_an_entry_whose_row_was_lost_holds_its_pack_back(memory: House) -> None:
    recording_id, gone = await memory.register(), await memory.register()
    pack = await memory.pack((recording_id, 0), (recording_id, 1), (gone, 0))
    await memory.delete(gone)
    ledger_of(memory).chunks.remove((recording_id, 1))
    assert (await memory.collect()).held_back == {"undecided": 1}
    # When its row is there again, the pack is collected
    body = bytes_of((recording_id, 1))
    offset = (await memory.store.get(pack.key)).index(body)
    row = NewChunk(recording_id, 1, 0, pack.object_id, offset, len(body), sha256(body).digest())
    await memory.acknowledge(pack, [row], [])
    assert (await memory.collect()).rewritten == 1
    await memory.check_all_is_served()


async def test_a_loose_chunk_whose_row_was_lost_holds_its_pack_back(memory: House) -> None:
    gone = await memory.register()
    await memory.pack(("loose", 0), (gone, 0))
    await memory.delete(gone)
    row = await memory.row(("loose", 0))
    ledger_of(memory).chunks.remove((row.recording_id, 0))
    assert (await memory.collect()).held_back == {"undecided": 1}


async def test_a_chunk_of_an_unknown_recording_holds_its_object_back(memory: House) -> None:
    """Its registration may have been lost, and its client may register it again."""
    stranger = new_uuid7()
    stored = await memory.put_own((stranger, 0))
    await memory.ledger.acknowledge([stored], [])
    ledger_of(memory).objects[stored.object_id].has_waste = True
    assert (await memory.collect()).held_back == {"undecided": 1}


async def test_a_wanted_chunk_pins_its_object(house: House) -> None:
    recording_id = await house.register()
    await house.pack((recording_id, 0), (recording_id, 1))
    row = await house.row((recording_id, 0))
    await house.ledger.mark_wanted(row.object_id, [row], FindingKind.MISMATCHED)
    assert (await house.collect()).held_back == {"pinned": 1}


async def test_bytes_that_fail_their_digest_are_asked_for_again_and_not_copied(house: House) -> None:
    recording_id, gone = await house.register(), await house.register()
    pack = await house.pack((recording_id, 0), (gone, 0), (recording_id, 1))
    await house.delete(gone)
    content = await house.store.get(pack.key)
    await house.overwrite(
        pack.key, content.replace(bytes_of((recording_id, 1)), b"x" * len(bytes_of((recording_id, 1))))
    )
    assert (await house.collect()).held_back == {"damaged": 1}
    assert (await house.row((recording_id, 1))).state is ChunkState.WANTED
    # When its client has sent it again, the rest is rewritten
    await house.own((recording_id, 1))
    assert (await house.collect()).rewritten == 1
    await house.check_all_is_served()


async def test_a_loser_goes(house: House) -> None:
    recording_id = await house.register()
    await house.own((recording_id, 0))
    loser = await house.own((recording_id, 0), version=1)
    await house.collect()
    await house.collect()
    assert loser.key not in await house.keys()
    await house.check_all_is_served()


async def test_a_voided_entry_goes_even_where_no_row_stands(memory: House) -> None:
    recording_id = await memory.register()
    loser = await memory.put_own((recording_id, 0))
    await memory.ledger.acknowledge([loser], [])
    ledger_of(memory).objects[loser.object_id].has_waste = True
    assert (await memory.collect()).held_back == {"undecided": 1}
    body = bytes_of((recording_id, 0))
    void = NewChunk(recording_id, 0, 0, loser.object_id, 0, len(body), sha256(body).digest())
    await store_void(memory.store, loser.object_id, [void], new_uuid7())
    assert (await memory.collect()).unlinked == 1


async def test_a_chunk_that_a_certificate_leaves_no_room_for_goes(memory: House) -> None:
    recording_id = await memory.register()
    await memory.own((recording_id, 0))
    await memory.complete(recording_id, 1)
    for part, version in (((recording_id, 1), 0), ((recording_id, 0), 1)):
        surplus = await memory.put_own(part, version)
        await memory.ledger.acknowledge([surplus], [])
        ledger_of(memory).objects[surplus.object_id].has_waste = True
    assert (await memory.collect()).unlinked == 2
    # But one that the certificate names, and that has lost its row, is kept
    ledger_of(memory).chunks.remove((recording_id, 0))
    lost = await memory.put_own((recording_id, 0))
    await memory.ledger.acknowledge([lost], [])
    ledger_of(memory).objects[lost.object_id].has_waste = True
    assert (await memory.collect()).held_back == {"undecided": 1}


async def test_a_pack_that_nothing_points_to_and_nobody_can_read_is_kept(memory: House) -> None:
    recording_id = await memory.register()
    pack = await memory.pack((recording_id, 0))
    row = await memory.row((recording_id, 0))
    await memory.overwrite(pack.key, (await memory.store.get(pack.key))[:-1] + b"?")
    await memory.ledger.mark_wanted(pack.object_id, [row], FindingKind.MISMATCHED)
    await memory.own((recording_id, 0))
    assert (await memory.collect()).held_back == {"unreadable": 1}


async def test_an_object_that_is_gone_and_that_nobody_misses_leaves_the_ledger(memory: House) -> None:
    recording_id = await memory.register()
    first = await memory.own((recording_id, 0))
    row = await memory.row((recording_id, 0))
    await memory.store.delete(first.key)
    await memory.ledger.mark_wanted(first.object_id, [row], FindingKind.MISSING)
    await memory.own((recording_id, 0))
    assert (await memory.collect()).unlinked == 1
    await memory.collect()
    assert first.object_id not in ledger_of(memory).objects


async def test_a_new_pack_that_does_not_read_back_moves_no_row(memory: House, clock: Clock) -> None:
    recording_id, gone = await memory.register(), await memory.register()
    pack = await memory.pack((recording_id, 0), (gone, 0))
    await memory.delete(gone)
    liar = LyingStore(clock, memory.store)
    memory.store = liar
    with pytest.raises(BlobStoreUnavailableError, match="does not read back"):
        await memory.collect()
    assert (await memory.row((recording_id, 0))).object_id == pack.object_id
    liar.is_lying = False
    await memory.collect()
    await memory.collect()
    await memory.check_all_is_served()
    assert len(await memory.keys("packs/")) == 1, "the one that nobody trusts has gone"


async def test_small_packs_of_a_day_become_one(memory: House, clock: Clock) -> None:
    recording_id = await memory.register()
    for index in range(5):
        await memory.pack((recording_id, index), (f"loose-{index}", 0))
    clock.now = datetime.now(UTC) + timedelta(days=1)
    report = await memory.collect()
    assert (report.rewritten, report.packs_written, report.chunks_moved) == (5, 1, 10)
    clock.advance(900)
    assert (await memory.collect(grace_s=900)).deleted == 5
    assert len(await memory.keys("packs/")) == 1
    await memory.check_all_is_served()
    assert (await memory.collect()).packs_written == 0, "one alone is not written again"


async def test_packs_full_of_tiny_chunks_are_merged_once(memory: House, clock: Clock) -> None:
    for pack in range(9):
        await memory.pack(*((f"{pack}-{number}", 0) for number in range(500)))
    clock.now = datetime.now(UTC) + timedelta(days=1)
    first = await memory.collect()
    assert (first.rewritten, first.packs_written) == (9, 2), "eight make a full pack, though few bytes; one is left"
    for _day in range(2):
        clock.advance(86_400)
        assert (await memory.collect()).packs_written == 0
    await memory.check_all_is_served()


async def test_a_collect_keeps_its_rate_over_all_that_it_moves(memory: House, clock: Clock) -> None:
    recording_id = await memory.register()
    sizes = [(await memory.pack((recording_id, index), (f"loose-{index}", 0))).size for index in range(5)]
    clock.now = datetime.now(UTC) + timedelta(days=1)
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    assert (await memory.collect(bytes_per_s=1, pause=pause)).rewritten == 5
    merged = PackKey((await memory.row((recording_id, 0))).object_id).text
    moved = sum(sizes) + 2 * len(await memory.store.get(merged))  # read; written and read back
    assert moved - 60 < pauses[-1] <= moved
    await memory.check_all_is_served()


async def test_a_pass_that_keeps_a_rate_merges_for_a_time_and_the_next_one_goes_on(
    memory: House, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "MERGE_S_MAX", 1)
    for day in (1, 2, 3):
        for number in range(2):
            await memory.pack((f"{day}-{number}", 0), made_before_s=day * 86_400)
    clock.now = datetime.now(UTC) + timedelta(days=1)

    async def go_on(_: float) -> None:
        pass

    async def collect_once() -> int:
        # Ids that grow: a pass leaves alone what may be its own, which within a millisecond chance decides.
        return (await memory.collect(bytes_per_s=1, pause=go_on, new_object_id=next_id)).packs_written

    # When a pass may merge one byte, it ends after the first group of packs: a day each, then the three that came of it
    assert [await collect_once() for _pass in range(5)] == [1, 1, 1, 1, 0]
    await memory.check_all_is_served()


async def test_packs_of_today_are_not_merged(memory: House, clock: Clock) -> None:
    recording_id = await memory.register()
    clock.now = datetime.now(UTC) - timedelta(seconds=OBJECTS_AGE_S)  # the packs' own day, at any hour
    for index in range(3):
        await memory.pack((recording_id, index))
    assert (await memory.collect()).packs_written == 0


async def test_receipts_stay_the_same_when_a_chunk_moves(house: House) -> None:
    recording_id, gone = await house.register(), await house.register()
    await house.pack((recording_id, 0), (gone, 0))
    before = await house.row((recording_id, 0))
    await house.delete(gone)
    await house.collect()
    after = await house.row((recording_id, 0))
    assert after.object_id != before.object_id
    assert structs.replace(after, object_id=before.object_id, offset=before.offset) == before
