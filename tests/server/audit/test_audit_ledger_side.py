"""Rows and documents that one side lost, in memory and over PostgreSQL and SeaweedFS: written again from the other."""

import msgspec

from protocol.states import ChunkState, FindingKind, RecordingState, Verification
from protocol.wire import Tombstone
from server.recordings.registration import Registrar
from server.storage.keys import ProbeKey, RecordingKey, TombstoneKey, VoidKey, new_uuid7
from tests.server.audit.scene import Scene, repairs
from tests.server.recordings.held import STARTED_AT, ask, body_of, registration_of

# -- rows lost behind the ledger's back


async def test_a_lost_row_of_a_pack_is_found_and_adopted_again(scene: Scene) -> None:
    await scene.register()
    await scene.store_pack(range(3))
    loose = await scene.store_loose(["a", "b"])
    await scene.drop_row(scene.recording_id, 1)
    rows = await scene.ledger.list_chunks_of_object(loose.object_id)
    await scene.drop_row(rows[0].recording_id, 0)
    assert repairs(await scene.audit()) == {"orphans": 2, "adopted": 2}
    assert await scene.states(3) == [ChunkState.STORED] * 3
    assert len(await scene.ledger.list_chunks_of_object(loose.object_id)) == 2
    assert repairs(await scene.audit()) == {}


async def test_a_lost_row_is_found_also_in_an_object_with_waste(scene: Scene) -> None:
    await scene.register()
    pack = await scene.store_pack(range(3))
    await scene.flip(pack.key, body_of(0))
    await scene.audit()
    await scene.store_own(0)
    await scene.audit()
    await scene.drop_row(scene.recording_id, 1)
    assert (await scene.audit()).adopted == 1
    assert await scene.states(3) == [ChunkState.STORED] * 3


async def test_a_lost_object_row_with_its_chunks_is_adopted_again(scene: Scene) -> None:
    await scene.register()
    pack = await scene.store_pack(range(3))
    await scene.drop_object_row(pack)
    assert repairs(await scene.audit()) == {"orphans": 1, "adopted": 3}
    assert await ask(scene, 0, 1, 2) == [Verification.VERIFIED] * 3


async def test_a_lost_recording_row_is_registered_again_under_its_newest_title(scene: Scene) -> None:
    await Registrar(scene.ledger, scene.store).register(registration_of(scene.recording_id))
    await Registrar(scene.ledger, scene.store).rename(scene.recording_id, "the better name")
    await scene.store_pack([0])
    await scene.drop_recording_row()
    assert repairs(await scene.audit()) == {"restored": 1}
    found = await scene.ledger.find_recording(scene.recording_id)
    assert found is not None
    assert (found.title, found.started_at, found.chunk_count) == ("the better name", STARTED_AT, 1)
    assert repairs(await scene.audit()) == {}


async def test_a_title_that_cannot_be_read_keeps_nothing_else_from_coming_back(scene: Scene) -> None:
    await Registrar(scene.ledger, scene.store).register(registration_of(scene.recording_id))
    await Registrar(scene.ledger, scene.store).rename(scene.recording_id, "the better name")
    (title,) = [key for key in await scene.keys() if "/titles/" in key]
    await scene.store.delete(title)
    await scene.store.put(title, b"not a title")
    await scene.drop_recording_row()
    assert repairs(await scene.audit())["restored"] == 1
    found = await scene.ledger.find_recording(scene.recording_id)
    assert found is not None and found.title == "a take"
    (finding,) = await scene.findings(FindingKind.MISMATCHED)
    assert title in finding.detail


# -- documents


async def test_every_document_that_the_bucket_lost_is_written_again(scene: Scene) -> None:
    await scene.register()
    await scene.store_pack([0])
    await scene.complete()
    held = {key: await scene.store.get(key) for key in await scene.keys("recordings/")}
    assert len(held) == 2
    for key in held:
        await scene.store.delete(key)
    assert repairs(await scene.audit()) == {"restored": 2}
    assert {key: await scene.store.get(key) for key in await scene.keys("recordings/")} == held
    assert repairs(await scene.audit()) == {}


async def test_a_certificate_that_the_ledger_lost_is_restored_and_the_recording_complete(scene: Scene) -> None:
    await scene.register()
    await scene.store_pack(range(2))
    certificate = await scene.complete()
    await scene.drop_recording_row()
    await scene.audit()
    found = await scene.ledger.find_recording(scene.recording_id)
    decided = await scene.ledger.find_certificate(scene.recording_id)
    assert found is not None and found.state is RecordingState.COMPLETE
    assert decided is not None and (decided.certificate, decided.is_stored) == (certificate, True)
    assert repairs(await scene.audit()) == {}


async def test_a_damaged_recording_whose_lost_rows_are_adopted_again_is_complete(scene: Scene) -> None:
    await scene.register()
    await scene.store_pack(range(2))
    await scene.complete()
    await scene.drop_recording_row()
    await scene.drop_row(scene.recording_id, 0)
    await scene.audit()
    found = await scene.ledger.find_recording(scene.recording_id)
    assert found is not None and found.state is RecordingState.DAMAGED
    await scene.audit()
    found = await scene.ledger.find_recording(scene.recording_id)
    assert found is not None and found.state is RecordingState.COMPLETE
    assert repairs(await scene.audit()) == {}


async def test_the_certificate_decides_which_of_two_unvoided_contents_is_adopted(scene: Scene) -> None:
    await scene.register()
    pack = await scene.store_pack([0])
    await scene.complete()
    await scene.put_own_orphan(0, b"another content")
    await scene.drop_object_row(pack)
    await scene.drop_recording_row()
    await scene.audit()
    assert (await scene.locate(0)).chunk.size == len(body_of(0))
    assert await ask(scene, 0) == [Verification.VERIFIED]


async def test_a_complete_recording_that_loses_bytes_becomes_damaged_and_complete_again_when_they_come(
    scene: Scene,
) -> None:
    await scene.register()
    pack = await scene.store_pack(range(2))
    await scene.complete()
    await scene.store.delete(pack.key)
    await scene.audit()
    found = await scene.ledger.find_recording(scene.recording_id)
    assert found is not None and found.state is RecordingState.DAMAGED
    await scene.store_pack(range(2))
    assert await ask(scene, 0, 1) == [Verification.VERIFIED] * 2
    found = await scene.ledger.find_recording(scene.recording_id)
    assert found is not None and found.state is RecordingState.COMPLETE


async def test_a_tombstone_is_restored_from_either_side_first_of_all(scene: Scene) -> None:
    await scene.register()
    await scene.store_own(0)
    tombstone = msgspec.json.encode(Tombstone(recording_id=scene.recording_id, deleted_at=STARTED_AT))
    key = TombstoneKey(scene.recording_id).text
    # The ledger lost it, as one restored from a backup has.
    await scene.store.put(key, tombstone)
    assert (await scene.audit()).restored == 1
    found = await scene.ledger.find_recording(scene.recording_id)
    assert found is not None and (found.state, found.chunk_count) == (RecordingState.DELETED, 0)
    # The bucket lost it.
    await scene.store.delete(key)
    assert (await scene.audit()).restored == 1
    assert await scene.store.get(key) == tombstone
    assert repairs(await scene.audit()) == {}


async def test_what_is_no_tombstone_deletes_nothing(scene: Scene) -> None:
    await scene.register()
    other = msgspec.json.encode(Tombstone(recording_id=new_uuid7(), deleted_at=STARTED_AT))
    key = TombstoneKey(scene.recording_id).text
    for body in (b"{}", other):
        await scene.store.put(key, body)
        await scene.audit()
        found = await scene.ledger.find_recording(scene.recording_id)
        assert found is not None and found.state is RecordingState.OPEN
        await scene.store.delete(key)


async def test_a_spoiled_document_is_reported_and_never_overwritten(scene: Scene) -> None:
    await scene.register()
    key = RecordingKey(scene.recording_id).text
    await scene.drop_recording_row()
    await scene.overwrite(key, b"not JSON")
    await scene.audit()
    (finding,) = await scene.findings()
    assert (finding.kind, finding.object_key, finding.resolved_at) == (FindingKind.MISMATCHED, key, None)
    assert await scene.store.get(key) == b"not JSON"


async def test_a_young_registration_without_a_row_is_left_alone(scene: Scene) -> None:
    await scene.register()
    await scene.drop_recording_row()
    await scene.audit(grace_s=900)
    assert await scene.ledger.find_recording(scene.recording_id) is None


# -- foreign objects


async def test_foreign_objects_are_reported_and_never_touched(scene: Scene) -> None:
    foreign = ["0.txt", "chunks/readme", "packs/x.pack", "recordings/x", "zoo/a"]
    for key in [*foreign, ProbeKey(new_uuid7()).text, VoidKey(new_uuid7()).text]:
        await scene.store.put(key, b"x")
    assert repairs(await scene.audit()) == {"foreign": 5}
    assert sorted(str(finding.object_key) for finding in await scene.findings(FindingKind.FOREIGN)) == foreign
    assert set(foreign) <= set(await scene.keys())
    await scene.store.delete(foreign[0])
    assert repairs(await scene.audit()) == {"foreign": 4, "resolved": 1}


async def test_titles_are_known(scene: Scene) -> None:
    await Registrar(scene.ledger, scene.store).register(registration_of(scene.recording_id))
    await Registrar(scene.ledger, scene.store).rename(scene.recording_id, "another")
    assert repairs(await scene.audit()) == {}
