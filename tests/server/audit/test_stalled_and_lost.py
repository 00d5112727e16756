"""Clients that never return: `stalled` after a named time, and `unrecoverable` said of what nobody sends any more."""

import asyncio

from protocol.states import ChunkState, FindingKind, RecordingState
from server.audit.sightings import Sightings
from tests.server.audit.scene import Scene, repairs
from tests.server.recordings.watched import Watched

NOW = {"stalled_after_s": -1.0}  # everything was silent for longer than that
LOST_NOW = {"unrecoverable_after_s": -1.0}


async def state_of(scene: Scene) -> RecordingState:
    found = await scene.ledger.find_recording(scene.recording_id)
    assert found is not None
    return found.state


async def test_a_recording_whose_client_never_returns_becomes_stalled_after_a_named_time(scene: Scene) -> None:
    await scene.register()
    await scene.store_own(0)
    assert repairs(await scene.audit(stalled_after_s=3_600.0)) == {}
    assert repairs(await scene.audit(**NOW)) == {"stalled": 1}
    assert await state_of(scene) is RecordingState.STALLED
    (finding,) = await scene.findings()
    assert (finding.kind, finding.recording_id, finding.resolved_at) == (FindingKind.STALLED, scene.recording_id, None)
    assert repairs(await scene.audit(**NOW)) == {}


async def test_a_stalled_recording_is_served_as_far_as_it_came_and_is_never_complete(scene: Scene) -> None:
    await scene.register()
    await scene.store_own(0)
    await scene.audit(**NOW)
    assert await scene.states(1) == [ChunkState.STORED]
    found = await scene.ledger.find_recording(scene.recording_id)
    assert found is not None and (found.chunk_count, found.certified_at) == (1, None)


async def test_a_stalled_recording_is_open_again_when_its_client_is_heard_of(scene: Scene) -> None:
    await scene.register()
    await scene.audit(**NOW)
    await Sightings(scene.audit_ledger).note(scene.recording_id)
    assert await state_of(scene) is RecordingState.OPEN
    assert repairs(await scene.audit()) == {"resolved": 1}


async def test_a_stalled_recording_takes_chunks_and_is_open_again_at_the_next_audit(scene: Scene) -> None:
    await scene.register()
    await scene.audit(**NOW)
    await scene.store_own(0)
    assert repairs(await scene.audit()) == {"returned": 1, "resolved": 1}
    assert await state_of(scene) is RecordingState.OPEN


async def test_a_stalled_recording_can_be_completed(scene: Scene) -> None:
    await scene.register()
    await scene.store_own(0)
    await scene.audit(**NOW)
    await scene.complete()
    assert await state_of(scene) is RecordingState.COMPLETE
    assert repairs(await scene.audit(**NOW)) == {"resolved": 1}


async def test_lost_chunks_that_nobody_sends_are_called_unrecoverable_after_a_named_time(scene: Scene) -> None:
    await scene.register()
    pack = await scene.store_pack([0, 1])
    await scene.complete()
    await scene.store.delete(pack.key)
    assert repairs(await scene.audit()) == {"missing": 1, "rerequested": 2}
    assert repairs(await scene.audit(**LOST_NOW)) == {"unrecoverable": 2}
    (finding,) = await scene.findings(FindingKind.UNRECOVERABLE)
    assert (finding.recording_id, finding.chunk_count, finding.object_key) == (scene.recording_id, 2, pack.key)
    assert repairs(await scene.audit(**LOST_NOW)) == {}


async def test_what_is_called_unrecoverable_is_still_taken_and_the_finding_resolved(scene: Scene) -> None:
    await scene.register()
    await scene.store.delete((await scene.store_own(0)).key)
    await scene.audit(**NOW)
    await scene.audit(**LOST_NOW, **NOW)
    assert [finding.kind for finding in await scene.findings(FindingKind.UNRECOVERABLE)]
    await scene.store_own(0)
    assert (await scene.audit()).resolved == 3  # stalled, missing, unrecoverable
    assert await scene.findings(is_resolved=False) == []


async def test_an_open_recordings_lost_chunks_wait_for_its_client(scene: Scene) -> None:
    await scene.register()
    await scene.store.delete((await scene.store_own(0)).key)
    await scene.audit()
    assert repairs(await scene.audit(**LOST_NOW)) == {}
    assert await scene.findings(FindingKind.UNRECOVERABLE) == []


async def test_loose_chunks_have_no_client_to_wait_for(scene: Scene) -> None:
    await scene.store.delete((await scene.store_loose(["a", "b"])).key)
    await scene.audit()
    assert (await scene.audit(**LOST_NOW)).unrecoverable == 2


async def test_a_client_is_noted_at_most_once_in_a_while(memory: Scene) -> None:
    await memory.register()
    clock = [0.0]
    watched = Watched(memory.audit_ledger)
    sightings = Sightings(watched.port, lambda: clock[0])
    counts = []
    for clock[0] in (0.0, 1.0, 299.0, 301.0, 302.0):
        await sightings.note(memory.recording_id)
        counts.append(watched.count("note_sighting"))
    assert counts == [1, 1, 1, 2, 2]


async def test_two_audits_at_once_do_no_harm(scene: Scene) -> None:
    await scene.register()
    lost = await scene.store_pack(range(3))
    dropped = await scene.store_own(3)
    await scene.put_own_orphan(4)
    await scene.store.delete(lost.key)
    await scene.drop_object_row(dropped)
    first, second = await asyncio.gather(scene.audit(), scene.audit())
    assert first.rerequested + second.rerequested == 3
    assert await scene.states(5) == [*[ChunkState.WANTED] * 3, ChunkState.STORED, ChunkState.STORED]
    assert repairs(await scene.audit()) == {}
