"""What verify promises a client that is about to clear its own bytes (I1)."""

import asyncio
from hashlib import sha256
from typing import Any

import msgspec
import pytest

from protocol.errors import ErrorCode
from protocol.states import ChunkState, FindingKind, Verification
from server.recordings.verification import Verifier
from server.refusal import Refusal
from server.storage.blob_store import BlobStoreRefusedError, BlobStoreUnavailableError
from server.storage.memory_blob_store import MemoryBlobStore
from server.storage.memory_ledger import MemoryLedger
from tests.server.recordings.held import Held, ask, body_of, claim_of
from tests.server.recordings.watched import Watched

VERIFIED, PENDING, MISSING = Verification.VERIFIED, Verification.PENDING, Verification.MISSING
STORED, WANTED = ChunkState.STORED, ChunkState.WANTED


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
    ledger.chunks.write(msgspec.structs.replace((await memory.locate(0)).chunk, state=ChunkState.DISPUTED))
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
