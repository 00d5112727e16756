"""The contract of `OpsLedger`, over every adapter: what an operator counts is what there is."""

import pytest

from protocol.states import FindingKind
from server.storage.ledger import Ledger
from server.storage.media_ledger import StoredMedia
from server.storage.ops_ledger import LedgerCounts, OpsLedger
from tests.contracts.ledger_values import complete, object_of, recording_id_of, register, row_of
from tests.server.stack import media_ledger_of, ops_ledger_of


@pytest.fixture
def ops_ledger(ledger: Ledger) -> OpsLedger:
    return ops_ledger_of(ledger)


async def test_an_empty_ledger_counts_nothing(ops_ledger: OpsLedger) -> None:
    assert await ops_ledger.count() == LedgerCounts(recordings={}, unmade=0, findings={})


async def test_recordings_are_counted_by_state_and_findings_by_kind(ledger: Ledger, ops_ledger: OpsLedger) -> None:
    await register(ledger, 1)
    for number in (2, 3, 4):
        await complete(ledger, 2, recording=number, object_number=number)
    await media_ledger_of(ledger).decide_media(recording_id_of(2), StoredMedia(recording_id_of(9), b"{}"))
    await ledger.mark_wanted(object_of(4).object_id, [await row_of(ledger, 0, 4)], FindingKind.MISSING)
    await ledger.delete_recording(recording_id_of(5), b"tombstone")
    counts = await ops_ledger.count()
    assert counts.recordings == {"open": 1, "complete": 2, "damaged": 1, "deleted": 1}
    assert counts.unmade == 1
    assert counts.findings == {"missing": 1}


async def test_an_object_is_found_by_its_id(ledger: Ledger, ops_ledger: OpsLedger) -> None:
    await complete(ledger, 2)
    found = await ops_ledger.find_object(object_of(1).object_id)
    assert found is not None
    assert (found.key, found.size, found.etag) == (object_of(1).key, object_of(1).size, "etag-1")
    assert found.verified_at is not None
    assert await ops_ledger.find_object(object_of(2).object_id) is None
