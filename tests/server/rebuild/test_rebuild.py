"""I8: an empty ledger and the bucket give the ledger back, and nothing that lost or was deleted comes with it."""

import pytest

from protocol.states import ChunkState, FindingKind, RecordingState
from server.audit.rebuild import RebuildRefusedError, RebuildReport
from server.ingest.voids import store_void
from server.installation import compare_installation
from server.storage.audit_ledger import FindingFilter
from server.storage.keys import InstallationKey, TombstoneKey, new_uuid7
from server.storage.memory_ledger import MemoryLedger
from tests.server.collect.house import bytes_of, row_of_own
from tests.server.rebuild.burnt import Burnt, furnish


async def test_i8_the_ledger_comes_back_from_the_bucket_alone(burnt: Burnt) -> None:
    await burnt.settle()
    await furnish(burnt.before)
    report = await burnt.rebuild()
    await burnt.check_equal()
    assert (report.chunks, report.deleted, report.disputed, report.is_harmed) == (7, 2, 0, False)
    assert (await compare_installation(burnt.after.ledger, burnt.after.store)).is_matched


async def test_a_repointed_chunk_points_to_the_copy_it_pointed_to(burnt: Burnt) -> None:
    await burnt.settle()
    recording_id = await burnt.before.register()
    first = await burnt.before.own((recording_id, 0))
    row = await burnt.before.row((recording_id, 0))
    await burnt.before.ledger.mark_wanted(row.object_id, [row], FindingKind.MISMATCHED)
    await burnt.before.own((recording_id, 0))
    report = await burnt.rebuild()
    await burnt.check_equal()
    assert report.spare == 1
    # And the old copy is waste, as it was
    assert [held.object_id for held in await burnt.after.collected.list_waste(after=None, limit=10)] == [
        first.object_id
    ]


async def test_what_collect_moved_stays_where_it_moved(burnt: Burnt) -> None:
    await burnt.settle()
    await furnish(burnt.before)
    await burnt.before.collect()  # the old packs still stand
    await burnt.rebuild()
    await burnt.check_equal()


async def test_a_voided_loser_never_wins(burnt: Burnt) -> None:
    await burnt.settle()
    recording_id = await burnt.before.register()
    await burnt.before.own((recording_id, 0))
    for void_id in (None, new_uuid7()):
        loser = await burnt.before.own((recording_id, 0), version=1)
        await store_void(burnt.before.store, loser.object_id, [row_of_own((recording_id, 0), loser, 1)], void_id)
    report = await burnt.rebuild()
    await burnt.check_equal()
    assert (report.voided, report.disputed) == (2, 0)


async def test_of_two_unvoided_contents_the_certificates_wins(burnt: Burnt) -> None:
    await burnt.settle()
    recording_id = await burnt.before.register()
    await burnt.before.own((recording_id, 0))
    await burnt.before.complete(recording_id, 1)
    await burnt.before.put_own((recording_id, 0), version=1)
    await burnt.before.put_own((recording_id, 7))
    report = await burnt.rebuild()
    await burnt.check_equal()
    assert report.uncertified == 2
    found = await burnt.after.ledger.find_recording(recording_id)
    assert found is not None and found.state is RecordingState.COMPLETE


@pytest.mark.parametrize("newer", [0, 1])
async def test_of_two_unvoided_contents_without_a_certificate_neither_wins(burnt: Burnt, newer: int) -> None:
    await burnt.settle()
    recording_id = await burnt.before.register()
    for version in (1 - newer, newer):
        await burnt.before.put_own((recording_id, 0), version)
    await burnt.before.put_own((recording_id, 0), version=newer)  # a second copy of one of them decides nothing
    report = await burnt.rebuild()
    assert (report.disputed, report.is_harmed) == (1, True)
    assert (await burnt.after.row((recording_id, 0))).state is ChunkState.DISPUTED
    # Both copies are kept, whatever collect does, and the finding is there
    for _ in range(3):
        await burnt.after.collect()
    for version in (0, 1):
        assert await burnt.after.where_is(bytes_of((recording_id, 0), version))
    which = FindingFilter(kind=FindingKind.DISPUTED)
    assert len(await burnt.after.audited.list_findings(which, before=None, limit=10)) == 1


async def test_damaged_bytes_never_win(burnt: Burnt) -> None:
    await burnt.settle()
    recording_id = await burnt.before.register()
    good = await burnt.before.own((recording_id, 0))
    bad = await burnt.before.put_own((recording_id, 0))  # newer, and flipped
    await burnt.before.overwrite(bad.key, b"x" * bad.size)
    pack = await burnt.before.pack((recording_id, 1), (recording_id, 2))
    content, body = await burnt.before.store.get(pack.key), bytes_of((recording_id, 1))
    await burnt.before.overwrite(pack.key, content.replace(body, b"y" * len(body)))
    report = await burnt.rebuild()
    assert (report.damaged, report.chunks) == (2, 2)
    assert (await burnt.after.row((recording_id, 0))).object_id == good.object_id
    rows = await burnt.after.ledger.list_chunks(recording_id, after_index=-1, limit=10)
    assert [row.chunk_index for row in rows] == [0, 2], "the damaged one is unknown: its client sends it again"


async def test_a_deleted_recording_stays_deleted_whatever_lies_about(burnt: Burnt) -> None:
    await burnt.settle()
    gone = await burnt.before.register()
    await burnt.before.own((gone, 0))
    await burnt.before.delete(gone)
    await burnt.before.put_own((gone, 1))  # a PUT that came late
    await burnt.rebuild()
    found = await burnt.after.ledger.find_recording(gone)
    assert found is not None and found.state is RecordingState.DELETED
    assert await burnt.after.ledger.list_chunks(gone, after_index=-1, limit=10) == []
    for _ in range(3):
        await burnt.after.collect()
    assert [key for key in await burnt.after.keys() if str(gone) in key] == [TombstoneKey(gone).text]


async def test_a_chunk_of_an_unregistered_recording_waits_in_the_bucket(burnt: Burnt) -> None:
    await burnt.settle()
    stranger = new_uuid7()
    stored = await burnt.before.put_own((stranger, 0))
    report = await burnt.rebuild()
    assert (report.unregistered, report.chunks) == (1, 0)
    for _ in range(2):
        assert (await burnt.after.collect()).held_back == {"undecided": 1}
    assert stored.key in await burnt.after.keys()


async def test_foreign_and_unreadable_objects_are_counted_and_left_alone(burnt: Burnt) -> None:
    await burnt.settle()
    recording_id = await burnt.before.register()
    pack = await burnt.before.pack((recording_id, 0))
    await burnt.before.overwrite(pack.key, b"no pack")
    await burnt.before.store.put("packs/readme.txt", b"somebody's")
    keys = await burnt.before.keys()
    report = await burnt.rebuild()
    assert (report.unreadable, report.foreign, report.chunks) == (1, 1, 0)
    assert await burnt.after.keys() == keys


class Killed(BaseException):
    """The process dies here: nothing of ours catches it."""


@pytest.mark.parametrize("dies_at", range(1, 9))
async def test_a_killed_rebuild_goes_on_where_it_stood(burnt: Burnt, dies_at: int) -> None:
    await burnt.settle()
    await furnish(burnt.before)
    steps = 0

    def die(_: RebuildReport) -> None:
        nonlocal steps
        steps += 1
        if steps == dies_at:
            raise Killed

    with pytest.raises(Killed):
        await burnt.rebuild(on_progress=die)
    # Until its end no server takes what is there for the whole
    assert not (await compare_installation(burnt.after.ledger, burnt.after.store)).is_matched
    # And it goes on although the ledger holds something by now
    report = await burnt.rebuild()
    assert report.chunks == 7
    await burnt.check_equal()


async def test_a_ledger_that_holds_something_is_refused_without_merge(burnt: Burnt) -> None:
    await burnt.settle()
    await burnt.after.register()
    with pytest.raises(RebuildRefusedError, match="--merge"):
        await burnt.rebuild()
    await burnt.rebuild(merges=True)
    with pytest.raises(RebuildRefusedError, match="not empty"):
        await burnt.rebuild()


async def test_a_ledger_of_another_installation_is_refused(burnt: Burnt) -> None:
    await burnt.settle()
    await burnt.after.ledger.write_installation(new_uuid7())
    for merges in (False, True):
        with pytest.raises(RebuildRefusedError, match="belongs to installation"):
            await burnt.rebuild(merges=merges)


async def test_a_bucket_without_an_id_gets_one_with_its_ledger(burnt: Burnt) -> None:
    await furnish(burnt.before)
    await burnt.rebuild()
    assert InstallationKey().text in await burnt.after.keys()
    assert (await compare_installation(burnt.after.ledger, burnt.after.store)).is_matched


async def test_merge_adds_what_was_lost_and_what_stands_counts(memory: Burnt) -> None:
    house = memory.after
    await furnish(house)
    memory.before.sent = dict(house.sent)
    one = next(part[0] for part in house.sent if not isinstance(part[0], str))
    kept = await house.row((one, 0))
    two = next(part[0] for part in house.sent if not isinstance(part[0], str) and part[0] != one)
    other = await house.put_own((two, 1), version=1)  # contradicts a row that stands
    assert isinstance(house.ledger, MemoryLedger)
    house.ledger.chunks.remove((one, 1))
    house.ledger.chunks.remove((two, 0))
    report = await memory.rebuild(merges=True)
    assert (report.chunks, report.disputed) == (2, 0)
    assert (await house.row((one, 0))).object_id == kept.object_id
    assert (await house.row((two, 1))).object_id != other.object_id
    await house.check_all_is_served()


async def test_merge_leaves_alone_what_may_still_be_on_its_way(memory: Burnt) -> None:
    recording_id = await memory.after.register()
    await memory.after.put_own((recording_id, 0))
    assert (await memory.rebuild(merges=True, grace_s=900)).chunks == 0
    assert (await memory.rebuild(merges=True, grace_s=-1)).chunks == 1
