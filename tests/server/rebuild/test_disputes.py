"""A dispute that a rebuild found is settled by the first client that holds one of the contents, by PUT or by verify."""

import asyncio
from hashlib import sha256
from uuid import UUID

import pytest

from protocol.errors import ErrorCode
from protocol.states import ChunkState, Verification
from protocol.wire import ChunkClaim
from server.ingest.checked_chunk import check_chunk
from server.ingest.flush import Answer, Flusher
from server.ingest.ingest import IncomingChunk
from server.recordings.verification import Verifier
from server.refusal import Refusal
from server.storage.ledger import Acknowledged
from server.storage.memory_ledger import MemoryLedger
from tests.server.collect.house import House, bytes_of
from tests.server.rebuild.burnt import Burnt


@pytest.fixture
async def disputed(burnt: Burnt) -> tuple[Burnt, UUID]:
    """A rebuilt ledger in which chunk 0 of the recording is disputed."""
    await burnt.settle()
    recording_id = await burnt.before.register()
    for version in (0, 1):
        await burnt.before.put_own((recording_id, 0), version)
    await burnt.rebuild()
    return burnt, recording_id


async def put(house: House, recording_id: UUID, version: int) -> Answer:
    """What ingest answers."""
    body = bytes_of((recording_id, 0), version)
    chunk = IncomingChunk(recording_id, 0, 0, body, sha256(body).digest())
    flusher = Flusher(house.ledger, house.store, put_and_commit_s=1)
    (answer,) = await flusher.flush([check_chunk(chunk)], asyncio.get_running_loop().time() + 60)
    return answer


async def verify(house: House, recording_id: UUID, version: int) -> Verification:
    """What verify answers to whoever holds this version."""
    claim = ChunkClaim(chunk_index=0, sha256=sha256(bytes_of((recording_id, 0), version)).hexdigest())
    return (await Verifier(house.ledger, house.store).verify(recording_id, [claim])).chunks[0].state


async def check_settled(burnt: Burnt, recording_id: UUID, version: int) -> None:
    """That version is served; the other is refused, voided, collected, and no rebuild disputes it again."""
    house = burnt.after
    house.sent = {(recording_id, 0): bytes_of((recording_id, 0), version)}
    await house.check_all_is_served()
    assert await verify(house, recording_id, version) is Verification.VERIFIED
    assert await verify(house, recording_id, 1 - version) is Verification.DIFFERS
    refusal = await put(house, recording_id, 1 - version)
    assert isinstance(refusal, Refusal) and refusal.code is ErrorCode.CHUNK_DIFFERS
    again = Burnt(house, burnt.before)
    burnt.before.ledger = MemoryLedger()
    burnt.before._audited = None
    report = await again.rebuild()
    assert (report.disputed, report.chunks) == (0, 1)
    for _ in range(3):
        await house.collect()
    assert await house.where_is(bytes_of((recording_id, 0), 1 - version)) == []


@pytest.mark.parametrize("version", [0, 1])
async def test_the_put_of_the_first_holder_settles_it(disputed: tuple[Burnt, UUID], version: int) -> None:
    burnt, recording_id = disputed
    answer = await put(burnt.after, recording_id, version)
    assert isinstance(answer, Acknowledged) and answer.is_new
    await check_settled(burnt, recording_id, version)


@pytest.mark.parametrize("version", [0, 1])
async def test_the_verify_of_the_first_holder_settles_it(disputed: tuple[Burnt, UUID], version: int) -> None:
    burnt, recording_id = disputed
    assert await verify(burnt.after, recording_id, version) is Verification.PENDING
    await check_settled(burnt, recording_id, version)


async def test_a_third_content_settles_nothing(disputed: tuple[Burnt, UUID]) -> None:
    burnt, recording_id = disputed
    refusal = await put(burnt.after, recording_id, 2)
    assert isinstance(refusal, Refusal) and refusal.code is ErrorCode.CHUNK_DISPUTED
    assert await verify(burnt.after, recording_id, 2) is Verification.PENDING
    assert (await burnt.after.row((recording_id, 0))).state is ChunkState.DISPUTED


async def test_a_holder_whose_copy_is_spoiled_is_asked_for_it(disputed: tuple[Burnt, UUID]) -> None:
    burnt, recording_id = disputed
    (key,) = await burnt.after.where_is(bytes_of((recording_id, 0), 1))
    await burnt.after.overwrite(key, b"x" * len(bytes_of((recording_id, 0), 1)))
    assert await verify(burnt.after, recording_id, 1) is Verification.MISSING
    assert isinstance(await put(burnt.after, recording_id, 1), Acknowledged)
    await check_settled(burnt, recording_id, 1)


async def test_a_deleted_recording_takes_its_dispute_with_it(disputed: tuple[Burnt, UUID]) -> None:
    burnt, recording_id = disputed
    await burnt.after.delete(recording_id)
    for _ in range(3):
        await burnt.after.collect()
    for version in (0, 1):
        assert await burnt.after.where_is(bytes_of((recording_id, 0), version)) == []
