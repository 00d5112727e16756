"""Chunks that arrive together share one object and one transaction, and each gets its own answer."""

import asyncio
import hashlib
from collections.abc import Sequence
from uuid import UUID

import pytest
import uvloop

from protocol.errors import ErrorCode
from protocol.ids import loose_recording_id
from server.ingest.flush import Flusher
from server.ingest.group_ingest import FULL_CHUNKS, GroupIngest
from server.ingest.ingest import IncomingChunk
from server.ingest.waiting import Waiting
from server.refusal import Refusal
from server.storage.blob_store import BlobStoreUnavailableError
from server.storage.keys import ChunkKey, PackKey, VoidKey, parse_key
from server.storage.ledger import Acknowledged, LedgerUnavailableError, NewChunk, NewObject, Outcome
from server.storage.pack_format import read_chunk, read_pack_index
from tests.server.faulty_stores import FaultyBlobStore, FaultyLedger

PACK_MAX = 1_000
AN_HOUR_S = 3_600.0
SOON_S = 30.0


class CountingLedger(FaultyLedger):
    """Counts transactions; `before_commit` runs once, between the PUT and the COMMIT."""

    def __init__(self) -> None:
        super().__init__()
        self.commits = 0
        self.rival: NewChunk | None = None
        self.rival_object: NewObject | None = None

    async def acknowledge(self, objects: Sequence[NewObject], chunks: Sequence[NewChunk]) -> list[Outcome]:
        self.commits += 1
        if self.rival is not None and self.rival_object is not None:
            rival, self.rival = self.rival, None
            await super().acknowledge([self.rival_object], [rival])
        return await super().acknowledge(objects, chunks)


class Bench:
    """A group commit over stores in memory."""

    def __init__(self, flushes: int = 1) -> None:
        self.store, self.ledger = FaultyBlobStore(), CountingLedger()
        self.waiting = Waiting(bytes_max=10_000_000, chunks_max=10_000)
        self.stops = 0
        self.ingest = GroupIngest(
            Flusher(self.ledger, self.store, put_and_commit_s=11),
            pack_chunk_bytes_max=PACK_MAX,
            flushes_in_flight_max=flushes,
            puts_in_flight_max=4,
            timeout_s=20,
            put_and_commit_s=11,
            stop_worker=self._stop,
        )

    def _stop(self) -> None:
        self.stops += 1

    def send(self, name: str, body: bytes = b"x" * 100) -> "asyncio.Task[Acknowledged]":
        chunk = IncomingChunk(loose_recording_id(name), 0, 0, body, None, name)
        return asyncio.create_task(self.ingest.accept(chunk, self.waiting.take(len(body))))

    async def hold(self, *names: str) -> "list[asyncio.Task[Acknowledged]]":
        """Send these; their flush has come to its PUT, and stays there until the store's gate opens."""
        self.store.gate.clear()
        self.store.arrived.clear()
        sent = [self.send(name) for name in names]
        await asyncio.wait_for(self.store.arrived.wait(), SOON_S)
        return sent

    async def sizes(self) -> list[int]:
        """How many chunks each pack holds, in the order of their PUTs."""
        return [len(read_pack_index(await self.store.get(key))) for key in self.store.puts]

    async def packs(self) -> list[str]:
        return [key for key in await self.store.keys() if isinstance(parse_key(key), PackKey)]


async def test_chunks_that_arrive_together_share_one_pack_and_one_commit() -> None:
    bench = Bench()
    answers = await asyncio.gather(*(bench.send(f"c{n}", b"%d" % n) for n in range(200)))

    (key,) = await bench.packs()
    pack = await bench.store.get(key)
    entries = read_pack_index(pack)
    assert bench.ledger.commits == 1
    assert [read_chunk(pack, entry) for entry in entries] == [b"%d" % n for n in range(200)]
    assert [answer.chunk.offset for answer in answers] == [entry.offset for entry in entries]
    assert all(str(answer.chunk.object_id) in key for answer in answers)
    assert (bench.waiting.chunk_count, bench.waiting.byte_count) == (0, 0)


async def test_what_arrives_while_a_flush_is_in_flight_goes_with_the_next_one() -> None:
    bench = Bench()
    first = await bench.hold("first")
    rest = [bench.send(f"c{n}") for n in range(50)]
    await asyncio.sleep(0)
    bench.store.gate.set()
    await asyncio.gather(*first, *rest)

    assert bench.ledger.commits == 2
    assert await bench.sizes() == [1, 50]


async def test_a_full_batch_waits_for_no_flush_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.ingest.group_ingest.STAGGER_S", AN_HOUR_S)
    bench = Bench(flushes=2)
    first = await bench.hold("a0", "a1")
    rest = await bench.hold(*(f"c{n}" for n in range(FULL_CHUNKS)))
    bench.store.gate.set()
    await asyncio.gather(*first, *rest)

    assert await bench.sizes() == [2, FULL_CHUNKS]


async def test_a_chunk_alone_holds_up_nobody_and_the_flush_beside_it_holds_up_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("server.ingest.group_ingest.STAGGER_S", AN_HOUR_S)
    bench = Bench(flushes=3)
    (first,) = await bench.hold("first")
    of_first, bench.store.gate = bench.store.gate, asyncio.Event()
    (second,) = await bench.hold("second")
    rest = [bench.send(f"c{n}") for n in range(10)]
    # Also when the first has ended
    of_first.set()
    await asyncio.wait_for(first, SOON_S)
    await _turn_the_loop()
    assert len(bench.store.puts) == 2
    bench.store.gate.set()
    await asyncio.wait_for(asyncio.gather(second, *rest), SOON_S)

    assert await bench.sizes() == [1, 1, 10]


async def test_the_next_flush_waits_until_those_who_were_just_answered_have_come_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given a crowd whose flush took an hour, so that the next one may wait as long for them
    monkeypatch.setattr("server.ingest.group_ingest.GATHER_S_MAX", AN_HOUR_S)
    bench = Bench()
    await _flush_for(monkeypatch, AN_HOUR_S, bench, [f"a{n}" for n in range(10)])

    # When all but one of them come again, nothing is stored; when the last one does, all are
    early = [bench.send(f"b{n}") for n in range(9)]
    await _turn_the_loop()
    assert len(bench.store.puts) == 1
    last = bench.send("b9")
    await asyncio.wait_for(asyncio.gather(*early, last), SOON_S)

    assert await bench.sizes() == [10, 10]


async def test_one_who_came_while_a_crowd_was_in_flight_waits_no_longer_than_its_flush_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("server.ingest.group_ingest.STAGGER_S", AN_HOUR_S)
    bench = Bench(flushes=2)
    crowd = await bench.hold(*(f"a{n}" for n in range(10)))
    late = bench.send("late")  # it may wait an hour for the flush in flight, and not for more
    await asyncio.sleep(0)
    bench.store.gate.set()

    await asyncio.wait_for(asyncio.gather(*crowd, late), SOON_S)


async def _turn_the_loop() -> None:
    """Far more turns than a flush needs to begin."""
    for _ in range(100):
        await asyncio.sleep(0)


async def _flush_for(monkeypatch: pytest.MonkeyPatch, seconds: float, bench: Bench, names: list[str]) -> None:
    """Store the chunks in one flush that took so long by the loop's clock."""
    loop = asyncio.get_running_loop()
    crowd = await bench.hold(*names)
    now = loop.time
    monkeypatch.setattr(loop, "time", lambda: now() + seconds)
    bench.store.gate.set()
    await asyncio.gather(*crowd)


async def test_the_same_chunk_twice_in_one_batch_gets_one_row_and_the_same_receipt() -> None:
    bench = Bench()
    first, second = await asyncio.gather(bench.send("same"), bench.send("same"))

    assert first.chunk == second.chunk
    assert [first.is_new, second.is_new] == [True, False]
    assert len(bench.store.puts) == 1


async def test_other_bytes_under_a_key_of_the_batch_are_refused_alone() -> None:
    bench = Bench()
    first, other, neighbour = await asyncio.gather(
        bench.send("same", b"one"), bench.send("same", b"two"), bench.send("neighbour"), return_exceptions=True
    )

    assert isinstance(first, Acknowledged)
    assert isinstance(neighbour, Acknowledged)
    assert isinstance(other, Refusal)
    assert other.code is ErrorCode.CHUNK_DIFFERS


async def test_when_the_first_of_a_key_fails_the_next_one_is_stored() -> None:
    bench = Bench()
    bench.ledger.acknowledge_faults.append(LedgerUnavailableError("away"))
    first, second, third = await asyncio.gather(
        bench.send("same", b"one"), bench.send("same", b"two"), bench.send("same", b"two"), return_exceptions=True
    )

    assert isinstance(first, LedgerUnavailableError)
    assert isinstance(second, Acknowledged)
    assert isinstance(third, Acknowledged)
    assert [second.is_new, third.is_new] == [True, False]


async def test_a_loser_of_a_race_with_another_worker_is_voided_before_it_hears_of_it() -> None:
    bench = Bench()
    rival = UUID("01939b00-0000-7000-8000-0000000000aa")
    recording = loose_recording_id("raced")
    bench.ledger.rival_object = NewObject(rival, PackKey(rival).text, 10, "etag")
    bench.ledger.rival = NewChunk(recording, 0, 0, rival, 12, 5, hashlib.sha256(b"rival").digest(), "raced")

    raced, neighbour = await asyncio.gather(bench.send("raced"), bench.send("neighbour"), return_exceptions=True)

    assert isinstance(raced, Refusal)
    assert raced.code is ErrorCode.CHUNK_DIFFERS
    assert isinstance(neighbour, Acknowledged)
    assert VoidKey(neighbour.chunk.object_id).text in await bench.store.keys()
    assert bench.ledger.objects[neighbour.chunk.object_id].has_waste


async def test_a_void_that_cannot_be_stored_makes_the_loser_try_again_and_fails_no_neighbour() -> None:
    bench = Bench()
    rival = UUID("01939b00-0000-7000-8000-0000000000aa")
    bench.ledger.rival_object = NewObject(rival, PackKey(rival).text, 10, "etag")
    bench.ledger.rival = NewChunk(
        loose_recording_id("raced"), 0, 0, rival, 12, 5, hashlib.sha256(b"rival").digest(), "raced"
    )
    bench.store.put_faults.extend([None, BlobStoreUnavailableError("away"), BlobStoreUnavailableError("away")])

    raced, neighbour = await asyncio.gather(bench.send("raced"), bench.send("neighbour"), return_exceptions=True)

    assert isinstance(raced, BlobStoreUnavailableError)
    assert isinstance(neighbour, Acknowledged)


async def test_a_client_that_disconnects_cancels_no_flush() -> None:
    bench = Bench()
    gone, stays = await bench.hold("gone", "stays")
    gone.cancel()
    await asyncio.sleep(0)
    bench.store.gate.set()
    await stays

    assert {row.chunk_id for row in bench.ledger.chunks.of_object((await stays).chunk.object_id)} == {"gone", "stays"}
    assert (await bench.send("gone")).is_new is False
    assert bench.waiting.chunk_count == 0


@pytest.mark.parametrize("fault", [BlobStoreUnavailableError("away"), LedgerUnavailableError("away")])
async def test_a_failed_flush_answers_all_its_waiters_and_acknowledges_none(fault: Exception) -> None:
    bench = Bench()
    if isinstance(fault, BlobStoreUnavailableError):
        bench.store.put_faults.extend([fault, fault])
    else:
        bench.ledger.acknowledge_faults.append(fault)
    answers = await asyncio.gather(*(bench.send(f"c{n}") for n in range(5)), return_exceptions=True)

    assert [type(answer) for answer in answers] == [type(fault)] * 5
    assert len({id(answer) for answer in answers}) == 5, "each request raises an exception of its own"
    assert not bench.ledger.chunks
    assert bench.waiting.chunk_count == 0


async def test_a_bug_in_a_flush_fails_its_waiters_loudly_and_stops_the_worker() -> None:
    bench = Bench()
    bench.ledger.acknowledge_faults.append(ZeroDivisionError("a bug"))
    answers = await asyncio.gather(*(bench.send(f"c{n}") for n in range(3)), return_exceptions=True)

    assert [type(answer) for answer in answers] == [RuntimeError] * 3
    assert bench.stops == 1


async def test_large_chunks_go_alone_and_hold_up_no_small_ones() -> None:
    bench = Bench()
    recording = UUID("01939b00-0000-7000-8000-000000000001")
    await bench.ledger.register_recording(
        recording_id=recording,
        mime_type="video/webm",
        title=None,
        started_at=bench.ledger.now(),
        document=b"{}",
    )
    body = b"v" * (PACK_MAX + 1)
    large = IncomingChunk(recording, 0, 0, body, hashlib.sha256(body).digest())
    stored = await bench.ingest.accept(large, bench.waiting.take(len(body)))
    small = await bench.send("small")

    keys = [parse_key(key) for key in await bench.store.keys()]
    assert ChunkKey(recording, 0, 0, hashlib.sha256(body).digest(), stored.chunk.object_id) in keys
    assert PackKey(small.chunk.object_id) in keys


async def test_a_batch_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.ingest.group_ingest.FLUSH_BYTES_MAX", 250)
    bench = Bench(flushes=8)
    await asyncio.gather(*(bench.send(f"c{n}") for n in range(6)))

    assert [len(read_pack_index(await bench.store.get(key))) for key in await bench.packs()] == [2, 2, 2]


def test_crowds_that_come_and_go_upset_no_timer_of_the_servers_own_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given the loop that the server runs on, whose timers are of another kind than asyncio's where they are due at once
    complaints: list[dict[str, object]] = []

    async def send_from_a_crowd() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        bench = Bench()
        put = bench.store.put

        async def put_in_a_while(key: str, body: bytes) -> str:
            await asyncio.sleep(0.003)
            return await put(key, body)

        monkeypatch.setattr(bench.store, "put", put_in_a_while)

        async def sender(name: int) -> None:
            for turn in range(40):
                await bench.send(f"{name}-{turn}")
                await asyncio.sleep(name % 7 / 1_000)

        await asyncio.gather(*(sender(name) for name in range(40)))
        assert bench.waiting.chunk_count == 0

    uvloop.run(send_from_a_crowd())

    assert complaints == []
