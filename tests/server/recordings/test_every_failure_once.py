"""Whatever single call to bucket or ledger fails, before or after its effect, the repeat ends as if nothing had.

Each story is told once without a failure to count its calls. Then it is told again with the Nth call
failing, for every N and both ways, and asked again until it is answered: the answer, the documents in
the bucket and the rows must be those of the story without a failure, and no key was put twice (I11).
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
import pytest

from protocol.states import ChunkState, RecordingState
from protocol.wire import CompletePending, VerifyResponse
from server.recordings.completion import Completer
from server.recordings.erasure import Eraser
from server.recordings.reading import Reader
from server.recordings.registration import Registrar
from server.recordings.verification import Verifier
from server.refusal import Refusal
from server.storage.blob_store import BlobStoreError, BlobStoreUnavailableError
from server.storage.keys import CertificateKey, RecordingKey, TombstoneKey, new_uuid7, titles_prefix
from server.storage.ledger import LedgerError, LedgerUnavailableError, LedgerUnsettledError
from server.storage.memory_blob_store import MemoryBlobStore
from server.storage.memory_ledger import MemoryLedger
from tests.server.recordings.held import Held, body_of, claim_of, manifest_of, registration_of
from tests.server.recordings.watched import Watched

NOW = datetime(2026, 11, 24, tzinfo=UTC)
Way = Literal["before", "after"]
# A repeat may have to answer what a failure left pending, and then tell what was asked.
REPEATS_MAX = 4


@dataclass
class Faulty:
    """Stores that count the calls to both in one order, and fail one of them."""

    held: Held = field(default_factory=lambda: Held(MemoryLedger(lambda: NOW), MemoryBlobStore(lambda: NOW)))
    fail_at: int | None = None
    way: Way = "before"
    call_count: int = 0
    put: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        watched_store = Watched(self.held.store, self._before_store, self._after_store)
        watched_ledger = Watched(self.held.ledger, self._before_ledger, self._after_ledger)
        self.store, self.ledger = watched_store.port, watched_ledger.port

    async def _before_store(self, name: str, key: Any) -> None:
        self.call_count += 1
        if self._fails("before"):
            raise BlobStoreUnavailableError(f"{name} fails")

    async def _after_store(self, name: str, key: Any) -> None:
        if name == "put":
            self.put[key] += 1
        if self._fails("after"):
            raise BlobStoreUnavailableError(f"{name} fails after its effect")

    async def _before_ledger(self, name: str, first: Any) -> None:
        self.call_count += 1
        if self._fails("before"):
            raise LedgerUnavailableError(f"{name} fails")

    async def _after_ledger(self, name: str, first: Any) -> None:
        if self._fails("after"):
            raise LedgerUnsettledError(f"{name} fails after its effect")

    def _fails(self, way: Way) -> bool:
        return self.call_count == self.fail_at and self.way == way


async def nothing(held: Held) -> None:
    """Nothing stands."""


async def registered(held: Held) -> None:
    await Registrar(held.ledger, held.store).register(registration_of(held.recording_id))


async def left_by_a_crash(held: Held) -> None:
    await held.store.put(RecordingKey(held.recording_id).text, msgspec.json.encode(registration_of(held.recording_id)))


async def deleted_in_the_bucket_alone(held: Held) -> None:
    await held.store.put(TombstoneKey(held.recording_id).text, b"{}")


async def holding_chunks(held: Held) -> None:
    await registered(held)
    await held.store_pack([0, 1])
    await held.store_own(2)


async def verified_chunks(held: Held) -> None:
    await holding_chunks(held)
    await Verifier(held.ledger, held.store).verify(held.recording_id, [claim_of(0), claim_of(2)])


async def lost_a_verified_object(held: Held) -> None:
    await verified_chunks(held)
    await held.store.delete((await held.locate(0)).object.key)


async def damaged_one_chunk(held: Held) -> None:
    await holding_chunks(held)
    await held.flip((await held.locate(0)).object.key, body_of(1))


async def damaged_a_verified_chunk(held: Held) -> None:
    await verified_chunks(held)
    await held.flip((await held.locate(0)).object.key, body_of(1))


async def complete_and_damaged(held: Held) -> None:
    await holding_chunks(held)
    await complete(Faulty(held))
    await held.flip((await held.locate(0)).object.key, body_of(1))


async def decided_and_not_stored(held: Held) -> None:
    await registered(held)
    await held.ledger.decide_certificate(held.recording_id, [], b"{}")


async def deleted(held: Held) -> None:
    await registered(held)
    await Eraser(held.ledger, held.store, now=lambda: NOW).delete(held.recording_id)


async def deleted_and_lost_in_the_bucket(held: Held) -> None:
    await deleted(held)
    await held.store.delete(TombstoneKey(held.recording_id).text)


async def register(on: Faulty) -> object:
    recording, _ = await Registrar(on.ledger, on.store).register(registration_of(on.held.recording_id))
    return recording  # whether it was new, a repeat cannot know


async def rename(on: Faulty) -> object:
    return await Registrar(on.ledger, on.store).rename(on.held.recording_id, "renamed")


async def verify(on: Faulty) -> object:
    verifier = Verifier(on.ledger, on.store)
    return await verifier.verify(on.held.recording_id, [claim_of(index) for index in range(4)])


async def complete(on: Faulty) -> object:
    completer = Completer(on.ledger, on.store, Verifier(on.ledger, on.store), server_version="1", now=lambda: NOW)
    return await completer.complete(on.held.recording_id, manifest_of(3))


async def delete(on: Faulty) -> object:
    await Eraser(on.ledger, on.store, now=lambda: NOW).delete(on.held.recording_id)
    return "deleted"


async def read_chunk(on: Faulty) -> object:
    body, _ = await Reader(on.ledger, on.store).read_chunk(on.held.recording_id, 1)
    return body


async def find_certificate(on: Faulty) -> object:
    return await Reader(on.ledger, on.store).find_certificate(on.held.recording_id)


async def describe(on: Faulty) -> object:
    return await Reader(on.ledger, on.store).describe(on.held.recording_id)


Given = Callable[[Held], Awaitable[None]]
When = Callable[[Faulty], Awaitable[object]]
STORIES: list[tuple[Given, When]] = [
    (nothing, register),
    (left_by_a_crash, register),
    (registered, register),
    (deleted_in_the_bucket_alone, register),
    (registered, rename),
    (nothing, rename),
    (holding_chunks, verify),
    (verified_chunks, verify),
    (lost_a_verified_object, verify),
    (damaged_one_chunk, verify),
    (damaged_a_verified_chunk, verify),
    (complete_and_damaged, verify),
    (holding_chunks, complete),
    (verified_chunks, complete),
    (damaged_one_chunk, complete),
    (complete_and_damaged, complete),
    (nothing, delete),
    (holding_chunks, delete),
    (deleted, delete),
    (deleted_and_lost_in_the_bucket, delete),
    (holding_chunks, read_chunk),
    (damaged_one_chunk, read_chunk),
    (lost_a_verified_object, read_chunk),
    (decided_and_not_stored, find_certificate),
    (holding_chunks, describe),
]


async def ask_once(when: When, on: Faulty) -> object:
    """The answer, a refusal told as its code and chunks."""
    try:
        return await when(on)
    except Refusal as refusal:
        return refusal.code, refusal.chunks


def is_final(answer: object) -> bool:
    """Whether a client would not ask the same again."""
    if isinstance(answer, VerifyResponse):
        return all(chunk.state != "pending" for chunk in answer.chunks)
    return not isinstance(answer, CompletePending)


async def ask_until_answered(when: When, on: Faulty) -> object:
    for _ in range(REPEATS_MAX):
        try:
            answer = await ask_once(when, on)
        except (BlobStoreError, LedgerError):
            continue
        if is_final(answer):
            return answer
    raise AssertionError(f"not answered after {REPEATS_MAX} times")


async def describe_stores(held: Held) -> dict[str, object]:
    """What must be the same whatever failed: documents, the title that counts, states of recording and rows."""
    recording = await held.ledger.find_recording(held.recording_id)
    documents = {}
    for key in (RecordingKey(held.recording_id), CertificateKey(held.recording_id), TombstoneKey(held.recording_id)):
        documents[key.text] = await held.store.get(key.text) if await held.store.head(key.text) else None
    titles = await held.keys(titles_prefix(held.recording_id))
    rows = await held.ledger.list_chunks(held.recording_id, after_index=-1, limit=100)
    return {
        "recording": recording,
        "documents": documents,
        "certificate": await held.ledger.find_certificate(held.recording_id),
        "title": await held.store.get(titles[-1]) if titles else None,
        "rows": [(row.chunk_index, row.state) for row in rows],
    }


async def require_whole_in_the_end(held: Held) -> None:
    """What is asked for again is sent again; then every chunk is verified and the recording complete."""
    rows = await held.ledger.list_chunks(held.recording_id, after_index=-1, limit=100)
    if not rows:
        return
    for row in rows:
        if row.state is ChunkState.WANTED:
            await held.store_own(row.chunk_index)
    calm = Faulty(held)
    assert isinstance(await complete(calm), bytes)
    answers = await Verifier(held.ledger, held.store).verify(held.recording_id, [claim_of(index) for index in range(3)])
    if any(chunk.state == "missing" for chunk in answers.chunks):  # certified before the damage was seen
        await require_whole_in_the_end(held)
        return
    assert [chunk.state for chunk in answers.chunks] == ["verified"] * 3
    recording = await held.ledger.find_recording(held.recording_id)
    assert recording is not None and recording.state is RecordingState.COMPLETE


@pytest.mark.parametrize("way", ["before", "after"])
@pytest.mark.parametrize(("given", "when"), STORIES, ids=lambda part: part.__name__)
async def test_any_call_fails_once_and_the_repeat_ends_the_same(given: Given, when: When, way: Way) -> None:
    recording_id = new_uuid7()

    async def begin(fail_at: int | None) -> Faulty:
        on = Faulty(fail_at=fail_at, way=way)
        on.held.recording_id = recording_id
        await given(on.held)
        return on

    calm = await begin(None)
    expected = await ask_until_answered(when, calm)
    expected_stores = await describe_stores(calm.held)
    assert calm.call_count, "a story that asks neither bucket nor ledger proves nothing"
    for fail_at in range(1, calm.call_count + 1):
        on = await begin(fail_at)
        answer = await ask_until_answered(when, on)
        assert on.call_count >= fail_at, "the failure was met"
        assert answer == expected, f"call {fail_at} failed {way} its effect"
        assert await describe_stores(on.held) == expected_stores, f"call {fail_at} failed {way} its effect"
        assert max(on.put.values(), default=0) <= 1, f"I11, call {fail_at}: {on.put}"
        await require_whole_in_the_end(on.held)


async def test_the_stories_end_as_they_should() -> None:
    """So that the sweep above does not compare one mistake with another."""
    on = Faulty()
    await complete_and_damaged(on.held)
    answer = await ask_until_answered(verify, on)
    assert isinstance(answer, VerifyResponse)
    assert [chunk.state for chunk in answer.chunks] == ["verified", "missing", "verified", "unknown"]
    recording = await on.held.ledger.find_recording(on.held.recording_id)
    assert recording is not None and recording.state is RecordingState.DAMAGED
    assert await on.held.states(3) == [ChunkState.STORED, ChunkState.WANTED, ChunkState.STORED]
