"""One bucket and one ledger: when the id is written, and everything that is a mismatch."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import pytest

from protocol.errors import ErrorCode
from server.installation import compare_installation, establish_installation, write_probe
from server.installation_watch import InstallationWatch
from server.refusal import Refusal
from server.storage.blob_store import BlobStoreUnavailableError
from server.storage.keys import InstallationKey, new_uuid7
from tests.server.faulty_stores import FaultyBlobStore, FaultyLedger

KEY = InstallationKey().text
RECORDING = UUID("01939b00-0000-7000-8000-000000000001")


async def register(ledger: FaultyLedger) -> None:
    await ledger.register_recording(
        recording_id=RECORDING,
        mime_type="audio/webm",
        title=None,
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        document=b"{}",
    )


@pytest.fixture
def stores() -> tuple[FaultyLedger, FaultyBlobStore]:
    return FaultyLedger(), FaultyBlobStore()


async def test_the_id_is_written_to_both_when_both_are_empty(stores: tuple[FaultyLedger, FaultyBlobStore]) -> None:
    ledger, store = stores
    assert (await establish_installation(ledger, store)).is_matched
    assert str(ledger.installation_id).encode() in await store.get(KEY)


async def test_a_second_start_changes_nothing(stores: tuple[FaultyLedger, FaultyBlobStore]) -> None:
    ledger, store = stores
    await establish_installation(ledger, store)
    await register(ledger)
    standing, puts = ledger.installation_id, list(store.puts)
    assert (await establish_installation(ledger, store)).is_matched
    assert (ledger.installation_id, store.puts) == (standing, puts)


async def test_servers_that_start_together_agree_on_one_id(stores: tuple[FaultyLedger, FaultyBlobStore]) -> None:
    ledger, store = stores
    verdicts = await asyncio.gather(*(establish_installation(ledger, store) for _ in range(4)))
    assert all(verdict.is_matched for verdict in verdicts)


@pytest.mark.parametrize("crashed_after", ["ledger", "bucket"])
async def test_a_crash_between_the_two_writes_is_completed_by_the_next_start(
    stores: tuple[FaultyLedger, FaultyBlobStore], crashed_after: str
) -> None:
    ledger, store = stores
    await establish_installation(ledger, store)
    if crashed_after == "ledger":
        await store.delete(KEY)
    else:
        ledger.installation_id = None
    assert (await establish_installation(ledger, store)).is_matched


async def test_an_emptied_ledger_is_a_mismatch_that_says_what_to_run(
    stores: tuple[FaultyLedger, FaultyBlobStore],
) -> None:
    _, store = stores
    await establish_installation(FaultyLedger(), store)
    await store.put("chunks/x", b"x")

    verdict = await establish_installation(FaultyLedger(), store)

    assert not verdict.is_matched
    assert "emptied" in verdict.detail
    assert "rebuild-ledger" in verdict.next_step


async def test_another_bucket_is_a_mismatch_that_says_what_to_run(
    stores: tuple[FaultyLedger, FaultyBlobStore],
) -> None:
    ledger, _ = stores
    await establish_installation(ledger, FaultyBlobStore())
    await register(ledger)

    verdict = await establish_installation(ledger, FaultyBlobStore())

    assert not verdict.is_matched
    assert "HOLDFAST_S3_BUCKET" in verdict.next_step
    assert "--adopt-bucket" in verdict.next_step


async def test_a_foreign_bucket_with_objects_is_not_taken_by_itself(
    stores: tuple[FaultyLedger, FaultyBlobStore],
) -> None:
    ledger, store = stores
    await store.put("photos/cat.jpg", b"x")
    assert not (await establish_installation(ledger, store)).is_matched
    assert ledger.installation_id is None
    assert (await establish_installation(ledger, store, adopts_bucket=True)).is_matched


async def test_adopting_writes_the_id_where_it_is_missing(stores: tuple[FaultyLedger, FaultyBlobStore]) -> None:
    ledger, _ = stores
    await establish_installation(ledger, FaultyBlobStore())
    await register(ledger)
    other = FaultyBlobStore()
    assert (await establish_installation(ledger, other, adopts_bucket=True)).is_matched
    assert str(ledger.installation_id).encode() in await other.get(KEY)


async def test_two_ids_that_differ_are_never_joined(stores: tuple[FaultyLedger, FaultyBlobStore]) -> None:
    ledger, store = stores
    await establish_installation(ledger, FaultyBlobStore())
    await establish_installation(FaultyLedger(), store)
    assert not (await establish_installation(ledger, store, adopts_bucket=True)).is_matched


async def test_an_unreadable_document_is_a_mismatch(stores: tuple[FaultyLedger, FaultyBlobStore]) -> None:
    ledger, store = stores
    await store.put(KEY, b"not json")
    verdict = await establish_installation(ledger, store, adopts_bucket=True)
    assert not verdict.is_matched
    assert "cannot be read" in verdict.detail


async def test_a_probe_is_written_and_only_an_earlier_one_removed(
    stores: tuple[FaultyLedger, FaultyBlobStore],
) -> None:
    ledger, store = stores
    for _ in range(3):
        await write_probe(ledger, store)
    assert len(await store.keys("probes/")) == 1
    assert len(set(store.puts)) == 3
    assert (await establish_installation(ledger, store)).is_matched, "a probe is no content"


async def test_the_watch_refuses_while_the_two_do_not_belong_together(
    stores: tuple[FaultyLedger, FaultyBlobStore],
) -> None:
    ledger, store = stores
    await establish_installation(ledger, store)
    watch = InstallationWatch(ledger, store)
    await watch.require()

    ledger.installation_id = None
    await watch.require()  # not known yet
    with pytest.raises(Refusal) as caught:
        await watch.confirm()
    assert caught.value.code is ErrorCode.STORE_MISMATCH
    assert caught.value.retry_after_s
    with pytest.raises(Refusal):
        await watch.require()

    ledger.installation_id = new_uuid7()
    with pytest.raises(Refusal):
        await watch.confirm()
    await store.delete(KEY)
    ledger.installation_id = None
    await establish_installation(ledger, store)
    await watch.confirm()
    await watch.require()


async def test_a_bucket_that_is_away_is_no_mismatch(stores: tuple[FaultyLedger, FaultyBlobStore]) -> None:
    ledger, store = stores
    await establish_installation(ledger, store)
    watch = InstallationWatch(ledger, store)
    store.get_fault = BlobStoreUnavailableError("away")
    with pytest.raises(BlobStoreUnavailableError):
        await watch.require()
    store.get_fault = None
    await watch.require()
    assert (await compare_installation(ledger, store)).is_matched


async def test_the_watch_notices_by_itself_after_trouble(stores: tuple[FaultyLedger, FaultyBlobStore]) -> None:
    ledger, store = stores
    await establish_installation(ledger, store)
    watch = InstallationWatch(ledger, store)
    watching = asyncio.create_task(watch.watch())
    while watch.verdict is None:
        await asyncio.sleep(0)
    ledger.installation_id = None
    watch.notice_trouble()
    while watch.verdict.is_matched:
        await asyncio.sleep(0.01)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
