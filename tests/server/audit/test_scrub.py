"""The scrub's rules: everything is read back, damage is per chunk, it keeps its rate and goes on where it stopped."""

import asyncio
from typing import Any

import pytest

from protocol.states import ChunkState, FindingKind, Verification
from server.audit.scrubber import READS_AT_ONCE, Scrubber, ScrubTally, read_scrub_tally
from server.audit.tally import write_tally
from tests.server.audit.scene import Scene, trust
from tests.server.recordings.held import ask, body_of
from tests.server.recordings.watched import Watched


async def scrub(scene: Scene, tally: ScrubTally | None = None, **changes: Any) -> ScrubTally:
    """A whole scrub, as fast as it goes."""
    done = tally or ScrubTally()
    scrubber = Scrubber(scene.ledger, scene.audit_ledger, scene.store, trust, **changes)
    await scrubber.run(done, _go_on, bytes_per_s=0)
    return done


async def _go_on(_: ScrubTally) -> None:
    pass


async def test_a_scrub_reads_everything_back_and_checks_every_digest(scene: Scene) -> None:
    await scene.register()
    pack, own = await scene.store_pack(range(3)), await scene.store_own(3)
    tally = await scrub(scene)
    assert (tally.objects, tally.bytes, tally.mismatched) == (2, pack.size + own.size, 0)
    assert (await scene.locate(0)).object.verified_at is not None


async def test_damage_is_per_chunk_and_its_neighbours_go_on_being_served(scene: Scene) -> None:
    await scene.register()
    pack = await scene.store_pack(range(3))
    await scene.store_own(3)
    await scene.flip(pack.key, body_of(1))
    tally = await scrub(scene)
    assert (tally.mismatched, tally.rerequested) == (1, 1)
    assert await scene.states(4) == [ChunkState.STORED, ChunkState.WANTED, ChunkState.STORED, ChunkState.STORED]
    assert (await ask(scene, 0, 1))[1] is Verification.MISSING
    assert [finding.kind for finding in await scene.findings()] == [FindingKind.MISMATCHED]


async def test_damage_that_no_listing_shows_is_found(memory: Scene) -> None:
    await memory.register()
    own = await memory.store_own(0)
    blob = memory.store._blobs[own.key]  # type: ignore[attr-defined]
    spoiled = b"X" + blob.body[1:]
    memory.store._blobs[own.key] = type(blob)(spoiled, blob.info)  # type: ignore[attr-defined]
    assert (await memory.audit()).mismatched == 0
    assert (await scrub(memory)).mismatched == 1


async def test_an_object_that_is_gone_is_missing(scene: Scene) -> None:
    await scene.register()
    await scene.store.delete((await scene.store_own(0)).key)
    tally = await scrub(scene)
    assert (tally.missing, tally.rerequested) == (1, 1)


async def test_a_second_scrub_changes_nothing(scene: Scene) -> None:
    await scene.register()
    pack = await scene.store_pack(range(2))
    await scene.flip(pack.key, body_of(0))
    await scrub(scene)
    found = await scene.findings()
    tally = await scrub(scene)
    assert (tally.mismatched, tally.missing, tally.rerequested, tally.adopted) == (0, 0, 0, 0)
    assert await scene.findings() == found


async def test_a_scrub_goes_on_where_it_stopped(memory: Scene) -> None:
    await memory.register()
    keys = sorted([(await memory.store_own(index)).key for index in range(4)])
    saved: list[str] = []

    async def stop_after_two(tally: ScrubTally) -> None:
        saved.append(write_tally(tally))
        if tally.objects == 2:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        scrubber = Scrubber(memory.ledger, memory.audit_ledger, memory.store, trust)
        await scrubber.run(ScrubTally(), stop_after_two, bytes_per_s=0)
    store = Watched(memory.store)
    memory.store = store.port
    tally = await scrub(memory, read_scrub_tally(saved[-1]))
    assert tally.objects == 4
    assert [key for name, key in store.calls if name == "get_range"] == keys[2:]


async def test_a_scrub_keeps_its_rate(memory: Scene) -> None:
    await memory.register()
    own = await memory.store_own(0)
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    scrubber = Scrubber(memory.ledger, memory.audit_ledger, memory.store, trust, pause)
    await scrubber.run(ScrubTally(), _go_on, bytes_per_s=1)
    assert len(pauses) == 1 and own.size - 60 < pauses[0] <= own.size  # less what the reading took


async def test_objects_that_are_read_at_once_keep_one_rate_together(memory: Scene) -> None:
    await memory.register()
    size = sum([(await memory.store_own(index)).size for index in range(3 * READS_AT_ONCE)])
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    scrubber = Scrubber(memory.ledger, memory.audit_ledger, memory.store, trust, pause)
    await scrubber.run(ScrubTally(), _go_on, bytes_per_s=1)
    assert len(pauses) == 3 * READS_AT_ONCE
    assert size - 60 < pauses[-1] <= size  # no earlier than its bytes have had their time


async def test_so_many_objects_are_read_at_once_and_no_more(memory: Scene) -> None:
    await memory.register()
    for index in range(3 * READS_AT_ONCE):
        await memory.store_own(index)
    under_way, most = 0, 0

    async def begin(name: str, _: Any) -> None:
        nonlocal under_way, most
        under_way += name == "get_range"
        most = max(most, under_way)
        for _turn in range(50):
            await asyncio.sleep(0)

    async def end(name: str, _: Any) -> None:
        nonlocal under_way
        under_way -= name == "get_range"

    memory.store = Watched(memory.store, begin, end).port
    assert (await scrub(memory)).objects == 3 * READS_AT_ONCE
    assert most == READS_AT_ONCE


async def test_a_scrub_never_says_that_it_passed_what_is_still_being_read(memory: Scene) -> None:
    await memory.register()
    keys = sorted([(await memory.store_own(index)).key for index in range(2 * READS_AT_ONCE)])
    slow = keys[2]
    is_held, may_end = asyncio.Event(), asyncio.Event()

    async def hold(name: str, key: Any) -> None:
        if (name, key) == ("get_range", slow):
            is_held.set()
            await may_end.wait()

    memory.store = Watched(memory.store, hold).port
    tally = ScrubTally()
    scrubber = Scrubber(memory.ledger, memory.audit_ledger, memory.store, trust)
    running = asyncio.create_task(scrubber.run(tally, _go_on, bytes_per_s=0))
    await is_held.wait()
    for _turn in range(1_000):  # all others come as far as they can
        await asyncio.sleep(0)
    assert (tally.after, tally.objects) == (keys[1], 2)
    # Killed here, another process goes on with everything that was not told
    saved = write_tally(tally)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    may_end.set()
    assert (await scrub(memory, read_scrub_tally(saved))).objects == len(keys)


async def test_a_sound_object_costs_one_get_and_no_head(memory: Scene) -> None:
    await memory.register()
    await memory.store_pack(range(3))
    await memory.store_own(3)
    await scrub(memory)  # notes that they were read back
    store, ledger = Watched(memory.store), Watched(memory.ledger)
    memory.store, memory.ledger = store.port, ledger.port
    await scrub(memory)
    assert (store.count("get_range"), store.count("get"), store.count("head")) == (2, 0, 0)
    assert [name for name, _ in ledger.calls] == ["list_chunks_of_object"] * 2


async def test_an_entry_that_lost_its_row_is_adopted_by_the_scrub_too(scene: Scene) -> None:
    await scene.register()
    await scene.store_pack(range(3))
    await scene.drop_row(scene.recording_id, 1)
    assert (await scrub(scene)).adopted == 1
    assert await scene.states(3) == [ChunkState.STORED] * 3
