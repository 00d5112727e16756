"""The contract of `Ledger`, over every adapter: the manifest, the one certificate, and what damage does to it (I4)."""

import pytest

from protocol.errors import ErrorCode
from protocol.states import FindingKind, RecordingState
from server.storage.ledger import Acknowledged, Decided, Ledger, ManifestComparison, Refused
from tests.contracts.ledger_values import (
    certificate_of,
    chunk_of,
    complete,
    entry_of,
    object_of,
    recording_id_of,
    register,
    store,
)

RECORDING = recording_id_of(1)


async def state_of(ledger: Ledger) -> RecordingState:
    found = await ledger.find_recording(RECORDING)
    assert found is not None
    return found.state


async def lose(ledger: Ledger, *indexes: int, object_number: int = 1) -> None:
    located = await ledger.find_chunks(RECORDING, indexes)
    rows = [located[index].chunk for index in indexes]
    assert await ledger.mark_wanted(object_of(object_number).object_id, rows, FindingKind.MISSING) == len(rows)


async def test_a_manifest_equal_to_verified_rows_differs_in_nothing(ledger: Ledger) -> None:
    await register(ledger)
    await store(ledger, 3)
    await ledger.mark_verified(object_of(1).object_id, "etag-1")
    comparison = await ledger.compare_manifest(RECORDING, [entry_of(index) for index in range(3)])
    assert comparison == ManifestComparison([], [], [], [])
    assert comparison.is_equal


async def test_every_difference_is_named_by_its_index(ledger: Ledger) -> None:
    await register(ledger)
    await store(ledger, 5)
    await store(ledger, 7, object_number=2)
    await ledger.mark_verified(object_of(1).object_id, "etag-1")
    await ledger.mark_verified(object_of(2).object_id, "etag-2")
    stored = object_of(3)
    await ledger.acknowledge([stored], [chunk_of(8, stored)])
    await lose(ledger, 5, object_number=2)
    entries = [
        entry_of(0),
        entry_of(1, version=1),
        entry_of(2, run=1),
        entry_of(3, size=999),
        entry_of(4),
        entry_of(5),
        entry_of(7),
        entry_of(8),
    ]
    comparison = await ledger.compare_manifest(RECORDING, entries)
    assert comparison == ManifestComparison(missing=[5, 7], surplus=[6], differing=[1, 2, 3], unverified=[8])
    assert not comparison.is_equal


async def test_the_manifest_of_an_unknown_recording_is_all_missing(ledger: Ledger) -> None:
    entries = [entry_of(0), entry_of(1)]
    expected = ManifestComparison([0, 1], [], [], [])
    assert await ledger.compare_manifest(RECORDING, entries) == expected
    assert await ledger.decide_certificate(RECORDING, entries, certificate_of(entries)) == expected


async def test_unverified_rows_are_not_certified(ledger: Ledger) -> None:
    await register(ledger)
    await store(ledger, 2)
    entries = [entry_of(0), entry_of(1)]
    decided = await ledger.decide_certificate(RECORDING, entries, certificate_of(entries))
    assert decided == ManifestComparison([], [], [], [0, 1])
    assert await state_of(ledger) is RecordingState.OPEN
    assert await ledger.find_certificate(RECORDING) is None


async def test_a_whole_manifest_is_certified_and_the_recording_complete(ledger: Ledger) -> None:
    entries = await complete(ledger, 3)
    certificate = certificate_of(entries)
    assert await ledger.find_certificate(RECORDING) == Decided(certificate, is_stored=False)
    found = await ledger.find_recording(RECORDING)
    assert found is not None
    assert found.state is RecordingState.COMPLETE and found.certified_at is not None


async def test_a_recording_without_chunks_can_be_complete(ledger: Ledger) -> None:
    await register(ledger)
    assert await ledger.decide_certificate(RECORDING, [], certificate_of([])) == Decided(certificate_of([]), False)


async def test_there_is_one_certificate_for_ever(ledger: Ledger) -> None:
    entries = await complete(ledger, 2)
    first = certificate_of(entries)
    other = certificate_of(entries, server_version="2")
    assert await ledger.decide_certificate(RECORDING, entries, other) == Decided(first, is_stored=False)
    assert await ledger.decide_certificate(RECORDING, entries[:1], other) == Decided(first, is_stored=False)


async def test_the_ledger_remembers_that_the_bucket_has_the_certificate(ledger: Ledger) -> None:
    entries = await complete(ledger, 1)
    await ledger.mark_certificate_stored(RECORDING)
    await ledger.mark_certificate_stored(RECORDING)
    expected = Decided(certificate_of(entries), is_stored=True)
    assert await ledger.find_certificate(RECORDING) == expected
    assert await ledger.decide_certificate(RECORDING, entries, b"other") == expected


async def test_noting_a_certificate_that_does_not_stand_changes_nothing(ledger: Ledger) -> None:
    await register(ledger)
    await ledger.mark_certificate_stored(RECORDING)
    assert await ledger.find_certificate(RECORDING) is None


async def test_a_complete_recording_takes_only_chunks_of_its_manifest(ledger: Ledger) -> None:
    await complete(ledger, 2)
    stored = object_of(2)
    same, differing, outside = await ledger.acknowledge(
        [stored], [chunk_of(0, stored), chunk_of(1, stored, version=1), chunk_of(2, stored)]
    )
    assert isinstance(same, Acknowledged) and not same.is_new
    assert isinstance(differing, Refused) and differing.code is ErrorCode.CHUNK_DIFFERS
    assert outside == Refused(ErrorCode.RECORDING_COMPLETE)
    assert set(await ledger.find_chunks(RECORDING, range(5))) == {0, 1}


async def test_a_complete_recording_that_loses_a_chunk_is_damaged(ledger: Ledger) -> None:
    entries = await complete(ledger, 3)
    await lose(ledger, 1)
    assert await state_of(ledger) is RecordingState.DAMAGED
    assert await ledger.find_certificate(RECORDING) == Decided(certificate_of(entries), is_stored=False)


async def test_a_damaged_recording_takes_the_lost_chunk_and_is_complete_once_it_is_verified(ledger: Ledger) -> None:
    await complete(ledger, 3)
    await lose(ledger, 1)
    stored = object_of(2)
    (outcome,) = await ledger.acknowledge([stored], [chunk_of(1, stored)])
    assert isinstance(outcome, Acknowledged) and outcome.is_new
    assert await state_of(ledger) is RecordingState.DAMAGED
    await ledger.mark_verified(stored.object_id, stored.etag)
    assert await state_of(ledger) is RecordingState.DAMAGED, "the neighbours in the damaged object are unverified"
    await ledger.mark_verified(object_of(1).object_id, "etag-1")
    assert await state_of(ledger) is RecordingState.COMPLETE


async def test_a_damaged_recording_stays_damaged_while_a_chunk_is_wanted(ledger: Ledger) -> None:
    await complete(ledger, 3)
    await lose(ledger, 0, 1)
    stored = object_of(2)
    await ledger.acknowledge([stored], [chunk_of(1, stored)])
    await ledger.mark_verified(stored.object_id, stored.etag)
    await ledger.mark_verified(object_of(1).object_id, "etag-1")
    assert await state_of(ledger) is RecordingState.DAMAGED


async def test_an_open_recording_that_loses_a_chunk_stays_open(ledger: Ledger) -> None:
    await register(ledger)
    await store(ledger, 1)
    await lose(ledger, 0)
    assert await state_of(ledger) is RecordingState.OPEN


@pytest.mark.parametrize("count", [1, 3])
async def test_a_deleted_recording_has_no_certificate_and_gets_none(ledger: Ledger, count: int) -> None:
    entries = await complete(ledger, count)
    await ledger.delete_recording(RECORDING, b"tombstone")
    assert await ledger.find_certificate(RECORDING) is None
    decided = await ledger.decide_certificate(RECORDING, entries, certificate_of(entries))
    assert decided == ManifestComparison(list(range(count)), [], [], [])


async def test_a_manifest_of_many_chunks_is_compared_at_once(ledger: Ledger) -> None:
    await register(ledger)
    await store(ledger, 2_000)
    entries = [entry_of(index) for index in range(2_001)]
    comparison = await ledger.compare_manifest(RECORDING, entries)
    assert comparison.missing == [2_000]
    assert comparison.unverified == list(range(2_000))
