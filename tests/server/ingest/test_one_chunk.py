"""The order of the durable steps for one chunk, without packing, with stores that fail at each of them."""

import asyncio
import hashlib
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest

from protocol.errors import ErrorCode
from protocol.ids import loose_recording_id
from protocol.states import FindingKind
from server.ingest.flush import Flusher
from server.ingest.group_ingest import GroupIngest
from server.ingest.ingest import IncomingChunk
from server.ingest.voids import Void
from server.ingest.waiting import Place, Waiting
from server.refusal import Refusal
from server.storage.blob_store import BlobStoreRefusedError, BlobStoreUnavailableError
from server.storage.keys import ChunkKey, PackKey, VoidKey, new_uuid7, parse_key
from server.storage.ledger import Acknowledged, LedgerUnavailableError, NewChunk, NewObject, Outcome, Refused
from server.storage.pack_format import read_chunk, read_pack_index
from tests.server.faulty_stores import FaultyBlobStore, FaultyLedger

RECORDING = UUID("01939b00-0000-7000-8000-000000000001")
AWAY = BlobStoreUnavailableError("away")


class Bench:
    """One ingest over stores in memory, with its bound."""

    def __init__(self, **options: float) -> None:
        self.store, self.ledger = FaultyBlobStore(), FaultyLedger()
        self.waiting = Waiting(bytes_max=1_000_000, chunks_max=100)
        self.stops = 0
        self.ingest = GroupIngest(
            Flusher(self.ledger, self.store, put_and_commit_s=11),
            pack_chunk_bytes_max=0,
            flushes_in_flight_max=3,
            puts_in_flight_max=int(options.get("puts_in_flight_max", 4)),
            timeout_s=options.get("timeout_s", 20),
            put_and_commit_s=11,
            stop_worker=self._stop,
        )

    def _stop(self) -> None:
        self.stops += 1

    async def register(self) -> None:
        await self.ledger.register_recording(
            recording_id=RECORDING,
            mime_type="audio/webm",
            title=None,
            started_at=datetime(2026, 1, 1, tzinfo=UTC),
            document=b"{}",
        )

    def place(self, size: int = 10) -> Place:
        return self.waiting.take(size)

    async def accept(self, chunk: IncomingChunk) -> Acknowledged:
        return await self.ingest.accept(chunk, self.place(len(chunk.body)))


@pytest.fixture
async def bench() -> Bench:
    made = Bench()
    await made.register()
    return made


def chunk(body: bytes = b"bytes", index: int = 0, run: int = 0, sha256: bytes | None = None) -> IncomingChunk:
    return IncomingChunk(RECORDING, index, run, body, sha256 or hashlib.sha256(body).digest())


async def refused(bench: Bench, incoming: IncomingChunk) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await bench.accept(incoming)
    return caught.value


async def test_accept_stores_the_object_before_it_acknowledges_the_row(bench: Bench) -> None:
    outcome = await bench.accept(chunk())

    (key,) = await bench.store.keys()
    parsed = parse_key(key)
    assert parsed == ChunkKey(RECORDING, 0, 0, hashlib.sha256(b"bytes").digest(), outcome.chunk.object_id)
    assert await bench.store.get(key) == b"bytes"
    assert outcome.is_new
    assert (outcome.chunk.offset, outcome.chunk.size) == (0, 5)


async def test_a_failed_put_leaves_no_row(bench: Bench) -> None:
    bench.store.put_faults.extend([AWAY, AWAY])

    with pytest.raises(BlobStoreUnavailableError):
        await bench.accept(chunk())

    assert not bench.ledger.chunks
    assert bench.waiting.chunk_count == 0


async def test_a_failed_put_is_tried_once_more_under_another_key(bench: Bench) -> None:
    bench.store.put_faults.append(AWAY)

    outcome = await bench.accept(chunk())

    first, second = bench.store.puts
    assert first != second
    assert await bench.store.keys() == [second]
    assert str(outcome.chunk.object_id) in second


async def test_a_failed_put_is_not_tried_again_when_the_deadline_leaves_no_time() -> None:
    bench = Bench(timeout_s=11)
    await bench.register()
    bench.store.put_faults.append(AWAY)

    with pytest.raises(BlobStoreUnavailableError):
        await bench.accept(chunk())

    assert len(bench.store.puts) == 1


async def test_a_bucket_that_refuses_is_not_asked_again(bench: Bench) -> None:
    bench.store.put_faults.append(BlobStoreRefusedError("credentials"))

    with pytest.raises(BlobStoreRefusedError):
        await bench.accept(chunk())

    assert len(bench.store.puts) == 1


async def test_bytes_are_held_until_the_bucket_has_answered_even_where_the_ledger_failed_first(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> list[Outcome]:
        raise LedgerUnavailableError("away")

    monkeypatch.setattr(bench.ledger, "acknowledge_coming", fail)
    bench.store.gate.clear()
    bench.store.put_faults.append(AWAY)
    request = asyncio.create_task(bench.accept(chunk()))
    await bench.store.arrived.wait()
    for _ in range(20):  # whoever does not wait for the bucket is through by now
        await asyncio.sleep(0)
    assert (request.done(), bench.waiting.byte_count) == (False, 5)

    bench.store.gate.set()

    with pytest.raises(LedgerUnavailableError):
        await request
    assert bench.waiting.byte_count == 0


async def test_a_failed_commit_gives_no_receipt_and_the_same_chunk_again_gets_one(bench: Bench) -> None:
    bench.ledger.acknowledge_faults.append(LedgerUnavailableError("away"))
    with pytest.raises(LedgerUnavailableError):
        await bench.accept(chunk())

    outcome = await bench.accept(chunk())

    assert outcome.is_new
    assert len(await bench.store.keys()) == 2, "the orphan stays for the audit"
    assert len(bench.ledger.chunks.of_recording(RECORDING)) == 1


async def test_the_same_chunk_again_gives_the_same_row_and_stores_nothing(bench: Bench) -> None:
    first = await bench.accept(chunk())
    second = await bench.accept(chunk())

    assert (second.chunk, second.is_new) == (first.chunk, False)
    assert len(bench.store.puts) == 1


@pytest.mark.parametrize("other", [chunk(b"other"), chunk(run=1)], ids=["bytes", "run"])
async def test_another_content_under_the_same_key_is_refused_and_stores_nothing(
    bench: Bench, other: IncomingChunk
) -> None:
    first = await bench.accept(chunk())

    refusal = await refused(bench, other)

    assert refusal.code is ErrorCode.CHUNK_DIFFERS
    assert first.chunk.sha256.hex() in refusal.detail
    assert len(bench.store.puts) == 1


async def test_a_wanted_chunk_is_stored_again_and_its_row_points_to_the_new_object(bench: Bench) -> None:
    first = await bench.accept(chunk())
    await bench.store.delete(bench.store.puts[0])
    await bench.ledger.mark_wanted(first.chunk.object_id, [first.chunk], FindingKind.MISSING)

    again = await bench.accept(chunk())

    assert again.is_new
    assert again.chunk.object_id != first.chunk.object_id
    assert again.chunk.acknowledged_at == first.chunk.acknowledged_at


@pytest.mark.parametrize(
    ("incoming", "code"),
    [
        (chunk(b"", sha256=b"\0" * 32), ErrorCode.CHUNK_EMPTY),
        (chunk(b"bytes", sha256=b"\0" * 32), ErrorCode.DIGEST_MISMATCH),
        (chunk(b"b" * 300_000, sha256=b"\0" * 32), ErrorCode.DIGEST_MISMATCH),
    ],
)
async def test_a_body_that_is_not_what_its_sender_meant_is_not_stored(
    bench: Bench, incoming: IncomingChunk, code: ErrorCode
) -> None:
    assert (await refused(bench, incoming)).code is code
    assert bench.store.puts == []


async def test_an_unknown_recording_is_refused_before_anything_is_stored() -> None:
    bench = Bench()

    assert (await refused(bench, chunk())).code is ErrorCode.RECORDING_UNKNOWN
    assert bench.store.puts == []


async def test_a_deleted_recording_is_refused_before_anything_is_stored(bench: Bench) -> None:
    await bench.ledger.delete_recording(RECORDING, b"{}")

    assert (await refused(bench, chunk())).code is ErrorCode.RECORDING_DELETED
    assert bench.store.puts == []


async def test_the_void_of_a_loser_is_stored_before_it_is_refused(bench: Bench) -> None:
    # Given another process that acknowledges another content while this one's PUT is under way
    bench.store.gate.clear()
    losing = asyncio.create_task(bench.accept(chunk(b"loser")))
    await bench.store.arrived.wait()
    winner_id = new_uuid7()
    digest = hashlib.sha256(b"winner").digest()
    await bench.ledger.acknowledge(
        [NewObject(winner_id, "chunks/winner", 6, "etag")],
        [NewChunk(RECORDING, 0, 0, winner_id, 0, 6, digest)],
    )
    bench.store.gate.set()

    with pytest.raises(Refusal) as caught:
        await losing

    assert caught.value.code is ErrorCode.CHUNK_DIFFERS
    loser_key, void_key = bench.store.puts
    loser = parse_key(loser_key)
    assert isinstance(loser, ChunkKey)
    assert void_key == VoidKey(loser.object_id).text
    void = msgspec.json.decode(await bench.store.get(void_key), type=Void)
    assert [entry.sha256 for entry in void.entries] == [hashlib.sha256(b"loser").hexdigest()]
    assert void.object_id == loser.object_id


async def test_a_void_that_cannot_be_stored_is_never_answered_as_a_refusal(bench: Bench) -> None:
    async def lose(*_: object) -> list[Refused]:
        return [Refused(ErrorCode.RECORDING_COMPLETE)]

    bench.ledger.acknowledge = lose  # type: ignore[method-assign, assignment]
    bench.store.put_faults.extend([None, AWAY, AWAY])

    with pytest.raises(BlobStoreUnavailableError):
        await bench.accept(chunk())


async def test_a_request_that_is_cancelled_cancels_no_flush(bench: Bench) -> None:
    bench.store.gate.clear()
    request = asyncio.create_task(bench.accept(chunk()))
    await bench.store.arrived.wait()

    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert bench.waiting.byte_count == 5, "the flush still holds the bytes"
    bench.store.gate.set()
    await bench.ingest.drain()

    assert len(bench.ledger.chunks.of_recording(RECORDING)) == 1
    assert (bench.waiting.byte_count, bench.waiting.chunk_count) == (0, 0)


async def test_the_same_chunk_twice_at_once_is_stored_once(bench: Bench) -> None:
    bench.store.gate.clear()
    requests = [asyncio.create_task(bench.accept(chunk())) for _ in range(5)]
    await bench.store.arrived.wait()
    for _ in range(20):  # whoever does not wait its turn reaches the store here
        await asyncio.sleep(0)
    bench.store.gate.set()
    outcomes = await asyncio.gather(*requests)

    assert len(bench.store.puts) == 1
    assert {outcome.chunk for outcome in outcomes} == {outcomes[0].chunk}
    assert [outcome.is_new for outcome in outcomes].count(True) == 1


async def test_two_contents_at_once_give_one_receipt_and_one_refusal(bench: Bench) -> None:
    outcomes = await asyncio.gather(
        bench.accept(chunk(b"one")), bench.accept(chunk(b"two")), bench.accept(chunk(b"3", index=1)),
        return_exceptions=True,
    )  # fmt: skip

    assert isinstance(outcomes[0], Acknowledged)
    assert isinstance(outcomes[1], Refusal)
    assert outcomes[1].code is ErrorCode.CHUNK_DIFFERS
    assert isinstance(outcomes[2], Acknowledged), "a neighbour is never failed"


async def test_chunks_that_wait_too_long_for_a_slot_are_refused_as_overloaded() -> None:
    bench = Bench(puts_in_flight_max=1, timeout_s=11.01)
    await bench.register()
    bench.store.gate.clear()
    first = asyncio.create_task(bench.accept(chunk(index=0)))
    await bench.store.arrived.wait()

    refusal = await refused(bench, chunk(index=1))

    assert refusal.code is ErrorCode.OVERLOADED
    assert refusal.retry_after_s
    bench.store.gate.set()
    assert (await first).is_new


async def test_drain_waits_for_what_was_accepted(bench: Bench) -> None:
    bench.store.gate.clear()
    request = asyncio.create_task(bench.accept(chunk()))
    await bench.store.arrived.wait()
    drain = asyncio.create_task(bench.ingest.drain())
    await asyncio.sleep(0)
    assert not drain.done()

    bench.store.gate.set()
    await drain

    assert (await request).is_new


async def test_a_loose_chunk_is_a_pack_of_one_that_says_its_id(bench: Bench) -> None:
    loose_id = loose_recording_id("a/b")
    outcome = await bench.accept(IncomingChunk(loose_id, 0, 0, b"data", None, "a/b"))

    (key,) = await bench.store.keys()
    assert key == PackKey(outcome.chunk.object_id).text
    pack = await bench.store.get(key)
    (entry,) = read_pack_index(pack)
    assert (entry.chunk_id, read_chunk(pack, entry)) == ("a/b", b"data")
    assert pack[outcome.chunk.offset :][:4] == b"data"
    assert outcome.chunk.chunk_id == "a/b"
