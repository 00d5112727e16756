"""How objects are looked at: shared, bounded in number, time and memory, and never called missing wrongly."""

import asyncio
from dataclasses import replace

import msgspec
import pytest

from protocol.limits import VERIFY_OBJECTS_MAX
from protocol.states import ChunkState, FindingKind, Verification
from server.recordings.object_checks import CHECKS_AT_ONCE
from server.recordings.verification import Verifier
from server.storage.blob_store import BlobStore
from server.storage.memory_blob_store import MemoryBlobStore
from server.storage.memory_ledger import MemoryLedger
from tests.server.recordings.held import Held, ask, body_of
from tests.server.recordings.watched import Watched

VERIFIED, PENDING = Verification.VERIFIED, Verification.PENDING
STORED, WANTED = ChunkState.STORED, ChunkState.WANTED


async def test_bytes_spoiled_on_their_way_are_read_a_second_time(memory: Held) -> None:
    await memory.register()
    await memory.store_pack([0])

    class SpoiledOnce(MemoryBlobStore):
        reads = 0

        async def get_range(self, key: str, offset: int, size: int) -> bytes:
            self.reads += 1
            body = await memory.store.get_range(key, offset, size)
            return body if self.reads > 1 else b"\0" * len(body)

    assert await ask(memory, 0, verifier=Verifier(memory.ledger, SpoiledOnce())) == [VERIFIED]
    assert await memory.states(1) == [STORED]


async def test_an_etag_other_than_the_rows_is_read_back_once_and_then_known(memory: Held) -> None:
    await memory.register()
    pack = await memory.store_pack([0])
    await memory.ledger.mark_verified(pack.object_id, "as another store named it")
    store = Watched(memory.store)
    for _ in range(2):
        assert await ask(memory, 0, verifier=Verifier(memory.ledger, store.port)) == [VERIFIED]
    assert [name for name, _ in store.calls] == ["head", "get_range", "head"]


async def test_asking_the_same_again_reaches_every_chunk_within_the_bound_of_read_backs(memory: Held) -> None:
    await memory.register()
    count = VERIFY_OBJECTS_MAX + 20
    for index in range(count):
        await memory.store_own(index)
    first = await ask(memory, *range(count))
    assert first.count(VERIFIED) == VERIFY_OBJECTS_MAX
    assert first.count(PENDING) == 20
    assert await ask(memory, *range(count)) == [VERIFIED] * count


class Gate:
    """A bucket whose reads wait until it is opened; `arrived` says that one does."""

    def __init__(self, store: BlobStore) -> None:
        self.opened = asyncio.Event()
        self.arrived = asyncio.Event()
        self.waiting = 0
        self.waiting_max = 0
        self.watched = Watched(store, before=self._wait)

    async def _wait(self, name: str, key: str) -> None:
        self.waiting += 1
        self.waiting_max = max(self.waiting, self.waiting_max)
        self.arrived.set()
        await self.opened.wait()
        self.waiting -= 1


async def test_what_takes_too_long_is_pending_and_goes_on_for_the_next_who_asks(memory: Held) -> None:
    await memory.register()
    await memory.store_pack([0])
    noted = asyncio.Event()

    async def note(name: str, first: object) -> None:
        if name == "mark_verified":
            noted.set()

    gate = Gate(memory.store)
    verifier = Verifier(Watched(memory.ledger, after=note).port, gate.watched.port, duration_s_max=0)
    assert await ask(memory, 0, verifier=verifier) == [PENDING]
    assert gate.waiting == 1
    gate.opened.set()
    await noted.wait()
    assert await ask(memory, 0) == [VERIFIED]
    assert gate.watched.count("get_range") == 1
    await verifier.close()


async def test_what_has_not_begun_when_nobody_waits_any_more_never_begins(memory: Held) -> None:
    await memory.register()
    count = CHECKS_AT_ONCE + 3
    for index in range(count):
        await memory.store_own(index)
    gate = Gate(memory.store)
    verifier = Verifier(memory.ledger, gate.watched.port, duration_s_max=0)
    assert await ask(memory, *range(CHECKS_AT_ONCE), verifier=verifier) == [PENDING] * CHECKS_AT_ONCE
    assert await ask(memory, *range(CHECKS_AT_ONCE, count), verifier=verifier) == [PENDING] * 3
    gate.opened.set()
    await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()})
    assert gate.watched.count("get_range") == CHECKS_AT_ONCE


async def test_a_cancelled_call_leaves_no_worker_and_the_next_is_answered(memory: Held) -> None:
    await memory.register()
    await memory.store_pack([0])
    gate = Gate(memory.store)
    verifier = Verifier(memory.ledger, gate.watched.port)
    call = asyncio.create_task(ask(memory, 0, verifier=verifier))
    await gate.arrived.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    gate.opened.set()
    assert await ask(memory, 0, verifier=verifier) == [VERIFIED]
    assert gate.watched.count("get_range") == 1
    await verifier.close()


async def test_closing_ends_read_backs_that_nobody_waits_for(memory: Held) -> None:
    await memory.register()
    await memory.store_pack([0])
    gate = Gate(memory.store)
    verifier = Verifier(memory.ledger, gate.watched.port, duration_s_max=0)
    assert await ask(memory, 0, verifier=verifier) == [PENDING]
    await verifier.close()
    assert len(asyncio.all_tasks()) == 1, "this test alone"


async def test_objects_are_not_read_into_memory_beyond_the_bound(memory: Held) -> None:
    await memory.register()
    ledger = memory.ledger
    assert isinstance(ledger, MemoryLedger)
    for index in range(6):
        held_by = ledger.objects[(await memory.store_own(index)).object_id]
        held_by.stored = replace(held_by.stored, size=20 * 1024 * 1024)
    gate = Gate(memory.store)
    verifier = Verifier(ledger, gate.watched.port, duration_s_max=0)
    await ask(memory, *range(6), verifier=verifier)
    gate.opened.set()
    await ask(memory, *range(6), verifier=Verifier(ledger, gate.watched.port))
    assert gate.waiting_max == 1, "two of 20 MiB are above 32 MiB"
    await verifier.close()


@pytest.mark.parametrize("state", [STORED, WANTED])
async def test_a_chunk_that_moves_while_it_is_read_back_is_never_called_missing_wrongly(
    memory: Held, state: ChunkState
) -> None:
    """Collect points the row to another object and removes the old one; or the client sends it again."""
    await memory.register()
    ledger = memory.ledger
    assert isinstance(ledger, MemoryLedger)
    first = await memory.store_own(0)

    async def move(name: str, key: str) -> None:
        if name != "get_range" or key != first.key:
            return
        await memory.store.delete(first.key)
        if state is WANTED:
            await ledger.mark_wanted(first.object_id, [(await memory.locate(0)).chunk], FindingKind.MISSING)
            await memory.store_own(0)
        else:
            ledger.chunks.write(msgspec.structs.replace((await memory.locate(0)).chunk, object_id=second.object_id))

    second = await memory.store_spare(0)
    verifier = Verifier(ledger, Watched(memory.store, before=move).port)
    assert await ask(memory, 0, verifier=verifier) == [PENDING]
    assert await memory.states(1) == [STORED]
    assert await ask(memory, 0, verifier=verifier) == [VERIFIED]


async def test_a_row_that_was_read_just_before_another_verified_it_costs_no_second_get(memory: Held) -> None:
    await memory.register()
    await memory.store_pack([0])
    asked_before: list[str] = []

    async def verify_meanwhile(name: str, first: object) -> None:
        asked_before.append(name)
        if asked_before == ["find_chunks"]:
            assert await ask(memory, 0) == [VERIFIED]

    store = Watched(memory.store)
    verifier = Verifier(Watched(memory.ledger, after=verify_meanwhile).port, store.port)
    assert await ask(memory, 0, verifier=verifier) == [VERIFIED]
    assert [name for name, _ in store.calls] == ["head"]


async def test_a_row_that_says_unverified_is_not_answered_by_the_head_of_one_who_saw_it_verified(
    memory: Held,
) -> None:
    await memory.register()
    pack = await memory.store_pack([0, 1])
    await ask(memory, 0)
    gate = Gate(memory.store)
    verifier = Verifier(memory.ledger, gate.watched.port)
    early = asyncio.create_task(ask(memory, 0, verifier=verifier))
    await gate.arrived.wait()
    # A scrub finds chunk 1 damaged: the object counts as not read back.
    await memory.ledger.mark_wanted(pack.object_id, [(await memory.locate(1)).chunk], FindingKind.MISMATCHED)
    late = asyncio.create_task(ask(memory, 0, verifier=verifier))
    gate.opened.set()
    assert [await early, await late] == [[VERIFIED], [VERIFIED]]
    assert sorted(name for name, _ in gate.watched.calls) == ["get_range", "head"]


async def test_an_object_of_which_nothing_is_left_is_not_noted_as_verified(memory: Held) -> None:
    await memory.register()
    await memory.store.delete((await memory.store_pack([0, 1])).key)
    assert await ask(memory, 0) == [Verification.MISSING]
    assert (await memory.locate(0)).object.verified_at is None


async def test_a_chunk_that_is_wanted_already_is_not_looked_for_again(memory: Held) -> None:
    await memory.register()
    pack = await memory.store_pack([0, 1])
    await memory.flip(pack.key, body_of(1))
    await memory.ledger.mark_wanted(pack.object_id, [(await memory.locate(1)).chunk], FindingKind.MISMATCHED)
    store = Watched(memory.store)
    assert await ask(memory, 0, verifier=Verifier(memory.ledger, store.port)) == [VERIFIED]
    assert store.count("get_range") == 1, "nothing is damaged that was not known"


async def test_ten_thousand_chunks_in_packs_cost_a_get_a_pack_and_then_a_head_a_pack(memory: Held) -> None:
    await memory.register()
    for first in range(0, 10_000, 500):
        await memory.store_pack(range(first, first + 500))
    store = Watched(memory.store)
    verifier = Verifier(memory.ledger, store.port)
    for name in ("get_range", "head"):
        store.calls.clear()
        for first in range(0, 10_000, 1_000):
            answers = await ask(memory, *range(first, first + 1_000), verifier=verifier)
            assert answers == [Verification.VERIFIED] * 1_000
        assert (store.count(name), len(store.calls)) == (20, 20)
