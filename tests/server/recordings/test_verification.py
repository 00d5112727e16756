"""What verify promises a client that is about to clear its own bytes (I1)."""

import asyncio
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from protocol.errors import ErrorCode
from protocol.limits import VERIFY_OBJECTS_MAX
from protocol.states import ChunkState, FindingKind, Verification
from server.recordings.object_checks import CHECKS_AT_ONCE
from server.recordings.verification import Verifier
from server.refusal import Refusal
from server.storage.blob_store import BlobStore, BlobStoreRefusedError, BlobStoreUnavailableError
from server.storage.memory_blob_store import MemoryBlobStore
from server.storage.memory_ledger import MemoryLedger
from tests.server.recordings.held import Held, body_of, claim_of
from tests.server.recordings.watched import Watched

VERIFIED, PENDING, MISSING = Verification.VERIFIED, Verification.PENDING, Verification.MISSING
STORED, WANTED = ChunkState.STORED, ChunkState.WANTED


@pytest.fixture
def memory() -> Held:
    return Held(MemoryLedger(), MemoryBlobStore())


async def ask(held: Held, *indexes: int, verifier: Verifier | None = None) -> list[Verification]:
    """The answers for these chunks as their client holds them."""
    asked = verifier or Verifier(held.ledger, held.store)
    response = await asked.verify(held.recording_id, [claim_of(index) for index in indexes])
    assert [chunk.chunk_index for chunk in response.chunks] == list(indexes)
    return [chunk.state for chunk in response.chunks]


async def test_chunks_are_verified_after_their_object_was_read_back_whole(held: Held) -> None:
    await held.register()
    await held.store_pack([0, 1, 2])
    await held.store_own(3)
    response = await Verifier(held.ledger, held.store).verify(
        held.recording_id, [claim_of(index) for index in (3, 1, 0, 1)]
    )
    assert response.recording_id == held.recording_id
    for index, chunk in zip((3, 1, 0, 1), response.chunks, strict=True):
        body = body_of(index)
        assert (chunk.chunk_index, chunk.state) == (index, VERIFIED)
        assert (chunk.size, chunk.sha256) == (len(body), sha256(body).hexdigest())
    assert all([(await held.locate(index)).object.verified_at for index in range(4)])


async def test_an_object_is_read_once_and_answered_by_a_head_afterwards(held: Held) -> None:
    await held.register()
    await held.store_pack([0, 1])
    store = Watched(held.store)
    for _ in range(3):
        assert await ask(held, 0, 1, verifier=Verifier(held.ledger, store.port)) == [VERIFIED, VERIFIED]
    assert [name for name, _ in store.calls] == ["get_range", "head", "head"]


async def test_a_hundred_who_ask_at_once_share_one_get(held: Held) -> None:
    await held.register()
    await held.store_pack([0, 1])
    store = Watched(held.store)
    verifier = Verifier(held.ledger, store.port)
    answers = await asyncio.gather(*(ask(held, n % 2, verifier=verifier) for n in range(100)))
    assert answers == [[VERIFIED]] * 100
    assert store.count("get_range") == 1


@pytest.mark.parametrize("was_verified", [False, True])
async def test_chunks_of_a_lost_object_are_missing_and_asked_for_again(held: Held, was_verified: bool) -> None:
    await held.register()
    pack = await held.store_pack([0, 1])
    await held.store_own(2)
    if was_verified:
        await ask(held, 0, 1, 2)
    await held.store.delete(pack.key)
    assert await ask(held, 0, 2) == [MISSING, VERIFIED]
    # The neighbour is asked for as well, though nobody named it.
    assert await held.states(3) == [WANTED, WANTED, STORED]
    assert await ask(held, 0, 1) == [MISSING, MISSING]


async def test_a_chunk_that_was_sent_again_is_verified_in_its_new_object(held: Held) -> None:
    await held.register()
    await held.store.delete((await held.store_own(0)).key)
    assert await ask(held, 0) == [MISSING]
    await held.store_own(0)
    assert await ask(held, 0) == [VERIFIED]


async def test_only_the_damaged_chunk_is_missing_and_its_neighbours_stay_verified(held: Held) -> None:
    await held.register()
    pack = await held.store_pack([0, 1, 2])
    await held.flip(pack.key, body_of(1))
    for _ in range(3):
        assert await ask(held, 0, 1, 2) == [VERIFIED, MISSING, VERIFIED]
    assert await held.states(3) == [STORED, WANTED, STORED]
    store = Watched(held.store)
    assert await ask(held, 0, 2, verifier=Verifier(held.ledger, store.port)) == [VERIFIED, VERIFIED]
    assert store.count("get_range") == 0, "the intact rest is as verified as any object"


async def test_damage_that_changed_the_etag_is_found_after_verification(held: Held) -> None:
    await held.register()
    pack = await held.store_pack([0, 1])
    assert await ask(held, 0, 1) == [VERIFIED, VERIFIED]
    await held.flip(pack.key, body_of(0))
    assert await ask(held, 0, 1) == [MISSING, VERIFIED]


@pytest.mark.parametrize(
    "damage", [lambda pack: pack[:-60], lambda pack: pack[:-1], lambda pack: pack + b"x", lambda pack: b""]
)
async def test_a_pack_that_does_not_say_what_it_holds_is_damaged_in_every_chunk(held: Held, damage: Any) -> None:
    await held.register()
    pack = await held.store_pack([0, 1])
    await held.overwrite(pack.key, damage(await held.store.get(pack.key)))
    assert await ask(held, 0) == [MISSING]
    assert await held.states(2) == [WANTED, WANTED]


async def test_a_pack_with_a_flipped_bit_in_its_index_is_damaged_in_every_chunk(held: Held) -> None:
    await held.register()
    pack = await held.store_pack([0, 1])
    await held.flip(pack.key, sha256(body_of(1)).digest())
    assert await ask(held, 0, 1) == [MISSING, MISSING]


async def test_a_pack_of_other_chunks_is_not_taken_for_this_one(held: Held) -> None:
    await held.register()
    pack, other = await held.store_pack([0, 1]), await held.store_pack([7, 8])
    await held.overwrite(pack.key, await held.store.get(other.key))
    assert await ask(held, 0, 7) == [MISSING, VERIFIED]


@pytest.mark.parametrize("damage", [lambda body: body[:-1], lambda body: body + b"x", lambda body: body.upper()])
async def test_a_chunk_object_is_its_bytes_and_nothing_else(held: Held, damage: Any) -> None:
    await held.register()
    stored = await held.store_own(0)
    await held.overwrite(stored.key, damage(body_of(0)))
    assert await ask(held, 0) == [MISSING]


async def test_a_large_chunk_is_verified(held: Held) -> None:
    await held.register()
    body = bytes(range(256)) * 4096
    await held.store_own(0, body)
    response = await Verifier(held.ledger, held.store).verify(held.recording_id, [claim_of(0, body)])
    assert response.chunks[0].state is VERIFIED


async def test_the_row_answers_alone_where_it_can(held: Held) -> None:
    await held.register()
    await held.store_pack([0, 1])
    await held.ledger.mark_wanted(
        (await held.locate(1)).object.object_id, [(await held.locate(1)).chunk], FindingKind.MISSING
    )
    store = Watched(held.store)
    verifier = Verifier(held.ledger, store.port)
    claims = [claim_of(0, b"other bytes"), claim_of(1), claim_of(1, b"other bytes"), claim_of(9)]
    response = await verifier.verify(held.recording_id, claims)
    assert [chunk.state for chunk in response.chunks] == [
        Verification.DIFFERS,
        MISSING,
        Verification.DIFFERS,
        Verification.UNKNOWN,
    ]
    assert response.chunks[0].sha256 == claim_of(0).sha256, "the answer says what the ledger holds"
    assert (response.chunks[3].size, response.chunks[3].sha256) == (None, None)
    assert store.calls == []


async def test_a_disputed_chunk_is_pending_whatever_is_claimed(memory: Held) -> None:
    await memory.register()
    await memory.store_pack([0, 1])
    ledger = memory.ledger
    assert isinstance(ledger, MemoryLedger)
    ledger.chunks.write(replace((await memory.locate(0)).chunk, state=ChunkState.DISPUTED))
    response = await Verifier(ledger, memory.store).verify(
        memory.recording_id, [claim_of(0), claim_of(0, b"other"), claim_of(1)]
    )
    assert [chunk.state for chunk in response.chunks] == [PENDING, PENDING, VERIFIED]


async def test_an_unknown_or_deleted_recording_is_refused(held: Held) -> None:
    with pytest.raises(Refusal) as unknown:
        await ask(held, 0)
    assert unknown.value.code is ErrorCode.RECORDING_UNKNOWN
    await held.register()
    assert await ask(held, 0) == [Verification.UNKNOWN]
    await held.store_pack([0])
    await held.ledger.delete_recording(held.recording_id, b"tombstone")
    with pytest.raises(Refusal) as deleted:
        await ask(held, 0)
    assert deleted.value.code is ErrorCode.RECORDING_DELETED


@pytest.mark.parametrize("was_verified", [False, True])
async def test_a_bucket_that_does_not_answer_leaves_chunks_pending_and_asks_for_nothing(
    memory: Held, was_verified: bool
) -> None:
    await memory.register()
    away = await memory.store_pack([0])
    await memory.store_pack([1])
    if was_verified:
        await ask(memory, 0)

    async def fail(name: str, key: str) -> None:
        if key == away.key:
            raise BlobStoreUnavailableError("away")

    verifier = Verifier(memory.ledger, Watched(memory.store, before=fail).port)
    assert await ask(memory, 0, 1, verifier=verifier) == [PENDING, VERIFIED]
    assert await memory.states(2) == [STORED, STORED]


async def test_a_bucket_that_refuses_is_an_error_and_not_an_answer(memory: Held) -> None:
    await memory.register()
    await memory.store_pack([0])

    async def refuse(name: str, key: str) -> None:
        raise BlobStoreRefusedError("no such bucket")

    with pytest.raises(BlobStoreRefusedError):
        await ask(memory, 0, verifier=Verifier(memory.ledger, Watched(memory.store, before=refuse).port))
    assert await memory.states(1) == [STORED]


async def test_in_another_installations_bucket_nothing_is_called_missing(memory: Held) -> None:
    await memory.register()
    await memory.store_pack([0])

    async def refuse() -> None:
        raise Refusal(ErrorCode.STORE_MISMATCH, "another bucket")

    swapped = MemoryBlobStore()
    with pytest.raises(Refusal, match="another bucket"):
        await ask(memory, 0, verifier=Verifier(memory.ledger, swapped, confirm_installation=refuse))
    assert await memory.states(1) == [STORED]


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
    await verifier.close()
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
            ledger.chunks.write(replace((await memory.locate(0)).chunk, object_id=second.object_id))

    second = await memory.store_spare(0)
    verifier = Verifier(ledger, Watched(memory.store, before=move).port)
    assert await ask(memory, 0, verifier=verifier) == [PENDING]
    assert await memory.states(1) == [STORED]
    assert await ask(memory, 0, verifier=verifier) == [VERIFIED]
