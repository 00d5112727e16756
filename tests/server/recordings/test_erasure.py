"""What a delete promises: from its tombstone on, nothing brings the recording back."""

import asyncio
from datetime import UTC, datetime

import msgspec
import pytest

from protocol.errors import ErrorCode
from protocol.states import RecordingState
from protocol.wire import Tombstone
from server.recordings.erasure import Eraser
from server.recordings.reading import Reader
from server.recordings.registration import Registrar
from server.refusal import Refusal
from server.storage.blob_store import BlobStoreUnavailableError
from server.storage.keys import TombstoneKey, new_uuid7
from server.storage.ledger import LedgerUnavailableError, NewChunk, NewObject, Refused
from tests.server.recordings.held import Held, body_of, registration_of
from tests.server.recordings.watched import Watched, let_others_go

DELETED_AT = datetime(2026, 11, 24, 1, 2, 3, tzinfo=UTC)


def eraser_of(held: Held) -> Eraser:
    return Eraser(held.ledger, held.store, now=lambda: DELETED_AT)


async def require_deleted(held: Held) -> bytes:
    """The tombstone, after every trace that a client could ask for is gone."""
    row = await held.ledger.find_recording(held.recording_id)
    assert row is not None and row.state is RecordingState.DELETED
    assert await held.ledger.list_chunks(held.recording_id, after_index=-1, limit=10) == []
    with pytest.raises(Refusal) as refused:
        await Reader(held.ledger, held.store).describe(held.recording_id)
    assert refused.value.code is ErrorCode.RECORDING_DELETED
    return await held.store.get(TombstoneKey(held.recording_id).text)


async def test_a_deleted_recording_has_its_tombstone_in_bucket_and_ledger(held: Held) -> None:
    await held.register()
    await held.store_pack([0, 1])
    await eraser_of(held).delete(held.recording_id)
    tombstone = await require_deleted(held)
    assert msgspec.json.decode(tombstone, type=Tombstone) == Tombstone(
        recording_id=held.recording_id, deleted_at=DELETED_AT
    )
    assert await held.ledger.delete_recording(held.recording_id, b"another") == tombstone


async def test_deleting_again_is_a_success_and_changes_nothing(held: Held) -> None:
    await held.register()
    await eraser_of(held).delete(held.recording_id)
    first = await require_deleted(held)
    await Eraser(held.ledger, held.store).delete(held.recording_id)
    assert await require_deleted(held) == first


async def test_an_unknown_recording_is_deleted_before_it_arrives(held: Held) -> None:
    await eraser_of(held).delete(held.recording_id)
    await require_deleted(held)
    with pytest.raises(Refusal) as refused:
        await Registrar(held.ledger, held.store).register(registration_of(held.recording_id))
    assert refused.value.code is ErrorCode.RECORDING_DELETED
    late = NewObject(new_uuid7(), "chunks/late", 10, "etag")
    (outcome,) = await held.ledger.acknowledge(
        [late], [NewChunk(held.recording_id, 0, 0, late.object_id, 0, 10, bytes(32))]
    )
    assert outcome == Refused(ErrorCode.RECORDING_DELETED)


async def test_the_bucket_has_the_tombstone_before_the_ledger(memory: Held) -> None:
    await memory.register()

    async def fail(name: str, first: object) -> None:
        if name == "put":
            raise BlobStoreUnavailableError("away")

    with pytest.raises(BlobStoreUnavailableError):
        await Eraser(memory.ledger, Watched(memory.store, before=fail).port).delete(memory.recording_id)
    row = await memory.ledger.find_recording(memory.recording_id)
    assert row is not None and row.state is RecordingState.OPEN


async def test_a_delete_that_ended_between_bucket_and_ledger_is_finished_with_the_tombstone_that_stands(
    memory: Held,
) -> None:
    await memory.register()

    async def fail(name: str, first: object) -> None:
        if name == "delete_recording":
            raise LedgerUnavailableError("away")

    with pytest.raises(LedgerUnavailableError):
        await Eraser(Watched(memory.ledger, before=fail).port, memory.store, now=lambda: DELETED_AT).delete(
            memory.recording_id
        )
    await Eraser(memory.ledger, memory.store).delete(memory.recording_id)
    tombstone = await require_deleted(memory)
    assert msgspec.json.decode(tombstone, type=Tombstone).deleted_at == DELETED_AT
    assert await memory.ledger.delete_recording(memory.recording_id, b"another") == tombstone


async def test_a_bucket_that_lost_the_tombstone_gets_the_same_back(held: Held) -> None:
    await held.register()
    await eraser_of(held).delete(held.recording_id)
    first = await require_deleted(held)
    await held.store.delete(TombstoneKey(held.recording_id).text)
    await Eraser(held.ledger, held.store).delete(held.recording_id)
    assert await require_deleted(held) == first


async def test_deleting_at_once_stores_one_tombstone(held: Held) -> None:
    await held.register()
    store = Watched(held.store, before=let_others_go)
    eraser = Eraser(held.ledger, store.port)
    await asyncio.gather(*(eraser.delete(held.recording_id) for _ in range(20)))
    assert store.count("put") == 1
    await require_deleted(held)


async def test_a_neighbour_in_the_same_pack_is_not_touched(memory: Held) -> None:
    other = Held(memory.ledger, memory.store)
    await memory.register()
    await other.register()
    await memory.store_pack([0])
    await other.store_pack([0])
    await eraser_of(memory).delete(memory.recording_id)
    body, _ = await Reader(other.ledger, other.store).read_chunk(other.recording_id, 0)
    assert body == body_of(0)
