"""The audit's rules, in memory and over PostgreSQL and SeaweedFS: each named after what DESIGN says of it."""

from uuid import UUID

import msgspec
import pytest

from protocol.errors import ErrorCode
from protocol.states import ChunkState, FindingKind, Verification
from server.audit.auditor import Auditor
from server.audit.tally import Tally
from server.recordings.erasure import Eraser
from server.refusal import Refusal
from server.storage.keys import VoidKey
from server.storage.ledger import LedgerUnavailableError
from tests.server.audit.scene import Scene, repairs
from tests.server.recordings.held import ask, body_of


async def test_where_bucket_and_ledger_agree_an_audit_finds_nothing(scene: Scene) -> None:
    await scene.register()
    await scene.store_pack(range(3))
    await scene.store_own(3)
    await scene.store_loose(["a/b", "~"])
    tally = await scene.audit()
    assert (repairs(tally), tally.chunks, tally.objects) == ({}, 6, 3)
    assert await scene.findings() == []


# -- missing: row, no object


async def test_chunks_of_a_missing_object_become_wanted_and_their_client_is_asked_for_them(scene: Scene) -> None:
    await scene.register()
    pack = await scene.store_pack(range(3))
    await scene.store_own(3)
    await scene.store.delete(pack.key)
    assert repairs(await scene.audit()) == {"missing": 1, "rerequested": 3}
    assert await scene.states(4) == [*[ChunkState.WANTED] * 3, ChunkState.STORED]
    assert await ask(scene, 0, 3) == [Verification.MISSING, Verification.VERIFIED]
    (finding,) = await scene.findings()
    assert (finding.kind, finding.chunk_count, finding.object_key) == (FindingKind.MISSING, 3, pack.key)
    assert (finding.recording_id, finding.first_chunk_index, finding.last_chunk_index) == (scene.recording_id, 0, 2)


async def test_a_missing_finding_is_resolved_when_the_chunks_were_sent_again(scene: Scene) -> None:
    await scene.register()
    await scene.store.delete((await scene.store_own(0)).key)
    await scene.audit()
    await scene.store_own(0)
    assert repairs(await scene.audit()) == {"resolved": 1}
    (finding,) = await scene.findings()
    assert finding.resolved_at is not None
    assert repairs(await scene.audit()) == {}


async def test_the_second_of_two_audits_changes_nothing(scene: Scene) -> None:
    await scene.register()
    lost, spoiled, rowless = await scene.store_pack([0, 1]), await scene.store_pack([2, 3]), await scene.store_own(4)
    await scene.store.delete(lost.key)
    await scene.flip(spoiled.key, body_of(2))
    await scene.drop_object_row(rowless)
    await scene.store.put("somebody/else.txt", b"hello")
    first = await scene.audit()
    assert (first.missing, first.rerequested, first.mismatched, first.adopted, first.foreign) == (1, 3, 1, 1, 1)
    found = await scene.findings()
    assert repairs(await scene.audit()) == {"foreign": 1}
    assert await scene.findings() == found


async def test_an_object_that_came_back_is_adopted_for_the_chunks_that_are_still_wanted(scene: Scene) -> None:
    await scene.register()
    pack = await scene.store_pack([0, 1])
    body = await scene.store.get(pack.key)
    await scene.store.delete(pack.key)
    await scene.audit()
    await scene.store.put(pack.key, body)
    tally = await scene.audit()
    assert (tally.adopted, tally.resolved) == (2, 1)
    assert await scene.states(2) == [ChunkState.STORED] * 2
    assert await ask(scene, 0, 1) == [Verification.VERIFIED] * 2


async def test_a_lost_chunk_is_taken_from_another_object_that_holds_it(scene: Scene) -> None:
    await scene.register()
    held = await scene.store_own(0)
    copy = await scene.put_own_orphan(0)
    await scene.audit()
    await scene.store.delete(held.key)
    tally = await scene.audit()
    assert (tally.missing, tally.adopted, tally.resolved) == (1, 1, 1)
    assert (await scene.locate(0)).object.key == copy
    assert await ask(scene, 0) == [Verification.VERIFIED]
    assert repairs(await scene.audit()) == {}


async def test_a_copy_younger_than_the_grace_period_does_not_serve(scene: Scene) -> None:
    await scene.register()
    held = await scene.store_own(0)
    await scene.put_own_orphan(0)
    await scene.store.delete(held.key)
    assert (await scene.audit(grace_s=900)).adopted == 0
    assert await scene.states(1) == [ChunkState.WANTED]


# -- mismatched: other bytes than the rows say


@pytest.mark.parametrize("damage", ["truncated", "longer", "flipped"])
async def test_a_mismatched_object_is_read_back_and_its_damaged_chunks_are_asked_for_again(
    scene: Scene, damage: str
) -> None:
    await scene.register()
    own = await scene.store_own(0)
    body = await scene.store.get(own.key)
    await scene.overwrite(own.key, {"truncated": body[:-1], "longer": body + b"x", "flipped": b"X" + body[1:]}[damage])
    assert repairs(await scene.audit()) == {"mismatched": 1, "rerequested": 1}
    assert await scene.states(1) == [ChunkState.WANTED]
    assert [finding.kind for finding in await scene.findings()] == [FindingKind.MISMATCHED]


async def test_a_damaged_chunk_leaves_its_neighbours_served(scene: Scene) -> None:
    await scene.register()
    pack = await scene.store_pack(range(3))
    await scene.flip(pack.key, body_of(1))
    await scene.audit()
    assert await scene.states(3) == [ChunkState.STORED, ChunkState.WANTED, ChunkState.STORED]
    assert await ask(scene, 0, 1, 2) == [Verification.VERIFIED, Verification.MISSING, Verification.VERIFIED]


async def test_another_etag_only_triggers_a_new_read_back(scene: Scene) -> None:
    await scene.register()
    pack = await scene.store_pack([0])
    await scene.ledger.mark_verified(pack.object_id, "another-etag")
    assert repairs(await scene.audit()) == {}
    assert (await scene.locate(0)).object.etag == pack.etag


# -- orphans: object, no row


async def test_an_orphan_older_than_the_grace_period_is_read_back_and_adopted(scene: Scene) -> None:
    await scene.register()
    await scene.put_own_orphan(0)
    await scene.put_pack_orphan([scene.pack_chunk(1), scene.pack_chunk(2)])
    assert repairs(await scene.audit()) == {"orphans": 2, "adopted": 3}
    assert await scene.states(3) == [ChunkState.STORED] * 3
    assert await ask(scene, 0, 1, 2) == [Verification.VERIFIED] * 3
    assert all(finding.resolved_at for finding in await scene.findings(FindingKind.ORPHAN))
    assert repairs(await scene.audit()) == {}


async def test_an_orphan_younger_than_the_grace_period_is_left_alone(scene: Scene) -> None:
    await scene.register()
    await scene.put_own_orphan(0)
    tally = await scene.audit(grace_s=900)
    assert (repairs(tally), tally.young) == ({}, 1)
    assert await scene.rows() == 0 and await scene.findings() == []


async def test_an_entry_of_an_orphan_whose_digest_is_wrong_is_not_adopted(scene: Scene) -> None:
    await scene.register()
    key = await scene.put_pack_orphan([scene.pack_chunk(0), scene.pack_chunk(1)])
    await scene.flip(key, body_of(0))
    own = await scene.put_own_orphan(2)
    await scene.overwrite(own, b"other bytes")
    assert (await scene.audit()).adopted == 1
    assert await scene.rows() == 1
    assert repairs(await scene.audit()) == {}


async def test_an_orphan_that_cannot_be_read_is_reported_and_never_touched(scene: Scene) -> None:
    await scene.register()
    key = await scene.put_pack_orphan([scene.pack_chunk(0)])
    await scene.overwrite(key, (await scene.store.get(key))[:-1])
    assert repairs(await scene.audit()) == {"orphans": 1}
    (finding,) = await scene.findings()
    assert (finding.kind, finding.object_key, finding.resolved_at) == (FindingKind.ORPHAN, key, None)
    assert "cut off" in finding.detail
    assert key in await scene.keys()
    await scene.store.delete(key)
    assert repairs(await scene.audit()) == {"resolved": 1}


async def test_a_voided_entry_is_never_adopted(scene: Scene) -> None:
    await scene.register()
    chunk = scene.pack_chunk(0)
    key = await scene.put_pack_orphan([chunk, scene.pack_chunk(1)])
    object_id = UUID(key[-41:-5])
    void = {
        "object_id": str(object_id),
        "entries": [
            {
                "recording_id": str(scene.recording_id),
                "chunk_index": 0,
                "run": 0,
                "size": len(chunk.body),
                "sha256": chunk.sha256.hex(),
            }
        ],
    }
    await scene.store.put(VoidKey(object_id).text, msgspec.json.encode(void))
    assert repairs(await scene.audit()) == {"orphans": 1, "adopted": 1}
    assert [chunk.chunk_index for chunk in await scene.list_rows()] == [1]
    assert repairs(await scene.audit()) == {}


async def test_an_orphan_of_a_deleted_recording_never_comes_back(scene: Scene) -> None:
    await scene.register()
    await Eraser(scene.ledger, scene.store).delete(scene.recording_id)
    await scene.put_own_orphan(0)
    await scene.put_pack_orphan([scene.pack_chunk(1)])
    assert (await scene.audit()).adopted == 0
    assert await scene.rows() == 0
    assert repairs(await scene.audit()) == {}


async def test_an_orphan_with_another_content_than_the_row_loses_and_a_void_says_so(scene: Scene) -> None:
    await scene.register()
    await scene.store_own(0)
    key = await scene.put_own_orphan(0, b"another content")
    assert repairs(await scene.audit()) == {"orphans": 1}
    assert await scene.keys("voids/") == [VoidKey(UUID(key[-36:])).text]
    assert (await scene.locate(0)).chunk.size == len(body_of(0))
    assert repairs(await scene.audit()) == {}


@pytest.mark.parametrize("is_found_later", [False, True])
async def test_of_two_orphans_that_contradict_each_other_neither_loses(scene: Scene, is_found_later: bool) -> None:
    # Given two contents of one chunk, of which nobody knows who holds a receipt: as after an old backup
    await scene.register()
    await scene.put_own_orphan(0, b"another content")
    if is_found_later:
        assert (await scene.audit()).adopted == 1
    await scene.put_own_orphan(0)

    assert (await scene.audit()).orphans

    # Then both are kept, neither is served, and somebody is told
    assert await scene.states(1) == [ChunkState.DISPUTED]
    copies = await scene.ledger.find_disputed(scene.recording_id, [0])
    assert {copy.chunk.size for copy in copies} == {len(b"another content"), len(body_of(0))}
    assert {copy.key for copy in copies} == set(await scene.keys("chunks/"))
    assert await scene.keys("voids/") == []
    assert [finding.recording_id for finding in await scene.findings(FindingKind.DISPUTED)] == [scene.recording_id]
    assert repairs(await scene.audit()) == {}
    assert await scene.states(1) == [ChunkState.DISPUTED]

    # And the client that holds one of them settles it
    assert await ask(scene, 0) == [Verification.PENDING]
    assert await ask(scene, 0) == [Verification.VERIFIED]
    assert await scene.states(1) == [ChunkState.STORED]
    assert (await scene.locate(0)).chunk.size == len(body_of(0))
    assert len(await scene.keys("voids/")) == 1


async def test_a_dispute_of_which_nobody_was_told_is_told_by_the_next_audit(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.register()
    await scene.put_own_orphan(0, b"another content")
    await scene.audit()
    await scene.put_own_orphan(0)

    async def fail(*_: object) -> bool:
        raise LedgerUnavailableError("away")

    with monkeypatch.context() as broken, pytest.raises(LedgerUnavailableError):
        broken.setattr(type(scene.audit_ledger), "note_finding", fail)
        await scene.audit()
    assert await scene.states(1) == [ChunkState.DISPUTED]
    assert await scene.findings(FindingKind.DISPUTED) == []

    await scene.audit()

    assert [finding.recording_id for finding in await scene.findings(FindingKind.DISPUTED)] == [scene.recording_id]


async def test_an_orphan_with_the_same_content_as_a_row_becomes_waste(scene: Scene) -> None:
    await scene.register()
    held = await scene.store_own(0)
    await scene.put_own_orphan(0)
    assert repairs(await scene.audit()) == {"orphans": 1}
    assert (await scene.locate(0)).object.object_id == held.object_id
    assert repairs(await scene.audit()) == {}


async def test_a_chunk_of_a_recording_that_nobody_knows_stays_and_is_adopted_once_it_is_registered(
    scene: Scene,
) -> None:
    await scene.put_pack_orphan([scene.pack_chunk(0)])
    for _ in range(2):
        tally = await scene.audit()
        assert (tally.orphans, tally.adopted) == (1, 0)
    (finding,) = await scene.findings()
    assert "nobody registered" in finding.detail
    await scene.register()
    tally = await scene.audit()
    assert (tally.adopted, tally.resolved) == (1, 1)
    assert await scene.states(1) == [ChunkState.STORED]


async def test_every_one_of_many_differences_is_counted(scene: Scene) -> None:
    await scene.register()
    stored = [await scene.store_own(index) for index in range(24)]
    for own in stored[:12]:
        await scene.store.delete(own.key)
    for own in stored[12:18]:
        await scene.overwrite(own.key, b"other bytes")
    for own in stored[18:]:
        await scene.drop_object_row(own)
    tally = await scene.audit()
    assert (tally.missing, tally.mismatched, tally.orphans) == (12, 6, 6)
    assert (tally.rerequested, tally.adopted) == (18, 6)


async def test_in_another_installations_bucket_nothing_is_called_missing(memory: Scene) -> None:
    await memory.register()
    own = await memory.store_own(0)
    await memory.store.delete(own.key)
    confirmed = 0

    async def refuse_after_the_first_page() -> None:
        nonlocal confirmed
        confirmed += 1
        if confirmed > 2:  # the page of objects was begun in the right bucket, its repair is not
            raise Refusal(ErrorCode.STORE_MISMATCH, "another bucket")

    times = {"grace_s": 900.0, "stalled_after_s": 3_600.0, "unrecoverable_after_s": 3_600.0}
    auditor = Auditor(memory.ledger, memory.audit_ledger, memory.store, refuse_after_the_first_page, **times)
    tally = Tally()
    with pytest.raises(Refusal):
        while not await auditor.step(tally):
            pass
    assert await memory.states(1) == [ChunkState.STORED] and await memory.findings() == []


async def test_an_object_on_its_way_out_of_the_bucket_is_left_to_those_who_remove_it(scene: Scene) -> None:
    await scene.register()
    own = await scene.store_own(0)
    await Eraser(scene.ledger, scene.store).delete(scene.recording_id)
    assert repairs(await scene.audit()) == {}
    await scene.store.delete(own.key)
    assert repairs(await scene.audit()) == {}
