"""The contract of `AuditLedger`, over every adapter; what audits do with it is in tests/server/audit."""

from uuid import UUID

import pytest

from protocol.states import ChunkState, FindingKind, ObjectState, RecordingState
from server.storage.audit_ledger import AuditLedger, FindingFilter, NewFinding
from server.storage.ledger import LIST_ROWS_MAX, Acknowledged, Ledger
from server.storage.memory_audit_ledger import MemoryAuditLedger
from server.storage.memory_ledger import MemoryLedger
from server.storage.postgres_audit_ledger import PostgresAuditLedger
from server.storage.postgres_ledger import PostgresLedger
from tests.contracts.ledger_values import (
    certificate_of,
    chunk_of,
    complete,
    entry_of,
    object_of,
    recording_id_of,
    register,
    row_of,
    store,
)

HOLDER, OTHER = UUID(int=1), UUID(int=2)
EVERY = FindingFilter()


@pytest.fixture
def audit_ledger(ledger: Ledger) -> AuditLedger:
    """Over the same rows."""
    if isinstance(ledger, MemoryLedger):
        return MemoryAuditLedger(ledger=ledger)
    assert isinstance(ledger, PostgresLedger)
    return PostgresAuditLedger(ledger.connections)


# -- objects


async def test_objects_are_listed_in_byte_order_of_their_keys_between_two_keys(
    ledger: Ledger, audit_ledger: AuditLedger
) -> None:
    await register(ledger)
    for number in (3, 1, 2):
        await ledger.acknowledge([object_of(number)], [chunk_of(number, object_of(number))])
    keys = [object_of(number).key for number in (1, 2, 3)]
    listed = await audit_ledger.list_objects(after_key="", up_to_key="~", limit=LIST_ROWS_MAX)
    assert [row.object.key for row in listed] == keys
    within = await audit_ledger.list_objects(after_key=keys[0], up_to_key=keys[1], limit=LIST_ROWS_MAX)
    assert [row.object.key for row in within] == keys[1:2]
    assert len(await audit_ledger.list_objects(after_key="", up_to_key="~", limit=2)) == 2
    assert await audit_ledger.find_object("packs/none") is None


async def test_an_object_is_accounted_for_while_every_entry_has_its_row_or_is_waste(
    ledger: Ledger, audit_ledger: AuditLedger
) -> None:
    await register(ledger)
    await store(ledger, 2)
    second = object_of(2)
    await ledger.acknowledge([second], [chunk_of(1, second), chunk_of(2, second)])  # the first of them is a duplicate
    row = await audit_ledger.find_object(second.key)
    assert row is not None and (row.entry_count, row.row_count, row.is_accounted_for) == (2, 1, False)
    await audit_ledger.note_entries(second.object_id, 2, open_count=1)
    row = await audit_ledger.find_object(second.key)
    assert row is not None and not row.is_accounted_for
    await audit_ledger.note_entries(second.object_id, 2)
    row = await audit_ledger.find_object(second.key)
    assert row is not None and (row.waste_count, row.is_accounted_for) == (1, True)


async def test_nothing_is_adopted_into_an_object_on_its_way_out(ledger: Ledger, audit_ledger: AuditLedger) -> None:
    await register(ledger)
    await store(ledger, 1)
    await ledger.delete_recording(recording_id_of(1), b"{}")
    await register(ledger, 2)
    row = await audit_ledger.find_object(object_of(1).key)
    assert row is not None and row.object.state is ObjectState.UNLINKED
    assert await audit_ledger.adopt(object_of(1), [chunk_of(0, object_of(1), recording=2)]) is None
    assert await ledger.list_chunks_of_object(object_of(1).object_id) == []


async def test_an_object_is_adopted_with_its_chunks_or_as_waste(ledger: Ledger, audit_ledger: AuditLedger) -> None:
    await register(ledger)
    outcomes = await audit_ledger.adopt(object_of(1), [chunk_of(0, object_of(1))])
    assert outcomes is not None and isinstance(outcomes[0], Acknowledged)
    assert await audit_ledger.adopt(object_of(2), []) == []
    row = await audit_ledger.find_object(object_of(2).key)
    assert row is not None and row.row_count == 0


async def test_two_adopted_contents_of_one_chunk_are_disputed(ledger: Ledger, audit_ledger: AuditLedger) -> None:
    await register(ledger)
    first, second = object_of(1), object_of(2)
    await audit_ledger.adopt(first, [chunk_of(index, first) for index in range(2)])
    await audit_ledger.adopt(second, [])
    others = [chunk_of(0, second, version=1), chunk_of(2, second, version=1)]

    # Chunk 2 has no row
    assert await audit_ledger.dispute(second, others) == others[:1]
    assert await audit_ledger.dispute(second, others) == others[:1]

    assert [(await row_of(ledger, index)).state for index in range(2)] == [ChunkState.DISPUTED, ChunkState.STORED]
    copies = await ledger.find_disputed(recording_id_of(1), [0, 1])
    assert sorted((copy.chunk.sha256, copy.key) for copy in copies) == sorted(
        [(chunk_of(0, first).sha256, first.key), (others[0].sha256, second.key)]
    )
    (outcome,) = await ledger.acknowledge([object_of(3)], [chunk_of(0, object_of(3), version=1)])
    assert isinstance(outcome, Acknowledged) and [chunk.sha256 for chunk in outcome.overruled] == [
        chunk_of(0, first).sha256
    ]


async def test_a_disputed_chunk_gets_every_content_that_is_found_and_the_newest_copy_of_each(
    ledger: Ledger, audit_ledger: AuditLedger
) -> None:
    await register(ledger)
    await audit_ledger.adopt(object_of(1), [chunk_of(0, object_of(1))])
    for number, version in ((2, 1), (4, 0), (5, 2), (3, 1)):
        found = chunk_of(0, object_of(number), version=version)
        assert await audit_ledger.dispute(object_of(number), [found]) == [found]
    copies = await ledger.find_disputed(recording_id_of(1), [0])
    assert sorted(copy.key for copy in copies) == [object_of(number).key for number in (3, 4, 5)]
    row = await row_of(ledger)
    assert (row.state, row.object_id) == (ChunkState.DISPUTED, object_of(4).object_id)


async def test_a_row_with_a_receipt_is_never_disputed(ledger: Ledger, audit_ledger: AuditLedger) -> None:
    await register(ledger)
    await store(ledger, 1)
    # Nor one that lost its bytes, and found them in another object
    assert await ledger.mark_wanted(object_of(1).object_id, [await row_of(ledger)], FindingKind.MISSING) == 1
    await audit_ledger.adopt(object_of(2), [chunk_of(0, object_of(2))])
    assert await audit_ledger.dispute(object_of(3), [chunk_of(0, object_of(3), version=1)]) == []
    row = await row_of(ledger)
    assert (row.state, row.object_id) == (ChunkState.STORED, object_of(2).object_id)
    assert await audit_ledger.find_object(object_of(3).key) is not None


async def test_a_certificate_has_decided_between_two_contents(ledger: Ledger, audit_ledger: AuditLedger) -> None:
    await register(ledger)
    stored = object_of(1)
    await audit_ledger.adopt(stored, [chunk_of(0, stored)])
    await ledger.mark_verified(stored.object_id, stored.etag)
    await ledger.decide_certificate(recording_id_of(1), [entry_of(0)], certificate_of([entry_of(0)]))
    assert await audit_ledger.dispute(object_of(2), [chunk_of(0, object_of(2), version=1)]) == []
    assert (await row_of(ledger)).state is ChunkState.STORED


async def test_an_object_on_its_way_out_disputes_nothing(ledger: Ledger, audit_ledger: AuditLedger) -> None:
    await register(ledger)
    await store(ledger, 1)
    await ledger.delete_recording(recording_id_of(1), b"{}")
    await register(ledger, 2)
    await audit_ledger.adopt(object_of(2), [chunk_of(0, object_of(2), recording=2)])
    assert await audit_ledger.dispute(object_of(1), [chunk_of(0, object_of(1), recording=2, version=1)]) == []
    assert (await row_of(ledger, recording=2)).state is ChunkState.STORED


async def test_a_damaged_recording_is_complete_again_only_when_it_is_whole(
    ledger: Ledger, audit_ledger: AuditLedger
) -> None:
    entries = await complete(ledger, 1)
    assert entries
    assert await ledger.mark_wanted(object_of(1).object_id, [await row_of(ledger)], FindingKind.MISSING) == 1
    await audit_ledger.complete_again(recording_id_of(1))
    assert await _state_of(ledger) is RecordingState.DAMAGED
    # Adopted into an object that was verified before
    second = object_of(2)
    await audit_ledger.adopt(second, [])
    await ledger.mark_verified(second.object_id, second.etag)
    await audit_ledger.adopt(second, [chunk_of(0, second)])
    assert await _state_of(ledger) is RecordingState.DAMAGED
    await audit_ledger.complete_again(recording_id_of(1))
    assert await _state_of(ledger) is RecordingState.COMPLETE
    await audit_ledger.complete_again(recording_id_of(9))


async def _state_of(ledger: Ledger) -> RecordingState:
    found = await ledger.find_recording(recording_id_of(1))
    assert found is not None
    return found.state


# -- findings


async def test_an_unresolved_finding_is_noted_once(audit_ledger: AuditLedger) -> None:
    finding = NewFinding(FindingKind.FOREIGN, "1 byte", object_key="zoo/a")
    assert await audit_ledger.note_finding(finding)
    assert not await audit_ledger.note_finding(finding)
    (noted,) = await audit_ledger.list_findings(EVERY, before=None, limit=10)
    await audit_ledger.resolve_finding(noted.finding_id)
    assert await audit_ledger.count_unresolved() == {}
    assert await audit_ledger.note_finding(finding)
    assert await audit_ledger.count_unresolved() == {FindingKind.FOREIGN: 1}


async def test_findings_are_listed_newest_first_by_filter_and_cursor(audit_ledger: AuditLedger) -> None:
    for number in range(4):
        kind = FindingKind.FOREIGN if number % 2 else FindingKind.ORPHAN
        is_resolved = number == 3
        await audit_ledger.note_finding(
            NewFinding(kind, str(number), object_key=f"key-{number}", is_resolved=is_resolved)
        )
    listed = await audit_ledger.list_findings(EVERY, before=None, limit=3)
    assert [finding.detail for finding in listed] == ["3", "2", "1"]
    rest = await audit_ledger.list_findings(EVERY, before=listed[-1].finding_id, limit=3)
    assert [finding.detail for finding in rest] == ["0"]
    foreign = await audit_ledger.list_findings(FindingFilter(kind=FindingKind.FOREIGN), before=None, limit=9)
    assert [finding.detail for finding in foreign] == ["3", "1"]
    settled = await audit_ledger.list_findings(FindingFilter(is_resolved=True), before=None, limit=9)
    assert [finding.detail for finding in settled] == ["3"]
    of_one = FindingFilter(recording_id=recording_id_of(1))
    assert await audit_ledger.list_findings(of_one, before=None, limit=9) == []


# -- passes


async def test_a_pass_is_taken_by_one_holder_saved_and_finished(audit_ledger: AuditLedger) -> None:
    assert await audit_ledger.take_pass("audit", HOLDER, every_s=0, lease_s=60) is None
    asked_at = await audit_ledger.ask_pass("audit")
    taken = await audit_ledger.take_pass("audit", HOLDER, every_s=0, lease_s=60)
    assert taken is not None and taken.began_at >= asked_at and taken.progress == ""
    assert await audit_ledger.take_pass("audit", OTHER, every_s=0, lease_s=60) is None
    assert await audit_ledger.save_pass(taken, "half", lease_s=60)
    assert (await audit_ledger.read_pass("audit")).progress == "half"
    await audit_ledger.release_pass(taken)
    again = await audit_ledger.take_pass("audit", OTHER, every_s=0, lease_s=60)
    assert again is not None and (again.progress, again.began_at) == ("half", taken.began_at)
    assert not await audit_ledger.save_pass(taken, "late", lease_s=60)
    assert await audit_ledger.finish_pass(again, "the report")
    state = await audit_ledger.read_pass("audit")
    assert (state.progress, state.report) == (None, "the report")
    assert state.ended_at is not None and state.ended_at >= taken.began_at
    assert await audit_ledger.take_pass("audit", HOLDER, every_s=0, lease_s=60) is None


async def test_passes_of_two_kinds_do_not_meet(audit_ledger: AuditLedger) -> None:
    await audit_ledger.ask_pass("audit")
    assert await audit_ledger.take_pass("scrub", HOLDER, every_s=0, lease_s=60) is None
    assert await audit_ledger.take_pass("audit", HOLDER, every_s=0, lease_s=60) is not None


async def test_asking_again_starts_an_unfinished_pass_over(audit_ledger: AuditLedger) -> None:
    await audit_ledger.ask_pass("audit")
    taken = await audit_ledger.take_pass("audit", HOLDER, every_s=0, lease_s=60)
    assert taken is not None and await audit_ledger.save_pass(taken, "half", lease_s=60)
    await audit_ledger.ask_pass("audit")
    await audit_ledger.release_pass(taken)
    again = await audit_ledger.take_pass("audit", OTHER, every_s=0, lease_s=60)
    assert again is not None and again.progress == "" and again.began_at > taken.began_at
