"""The scrub's rules: everything is read back, damage is per chunk, it keeps its rate and goes on where it stopped."""

import asyncio
from typing import Any

import pytest

from protocol.states import ChunkState, FindingKind, Verification
from server.audit.scrubber import Scrubber, ScrubTally, read_scrub_tally
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
