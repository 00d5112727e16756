"""What a certificate promises (I4): manifest, ledger and bucket agreed, and its bytes never change."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from protocol.errors import PROBLEM_CHUNKS_MAX, ErrorCode
from protocol.limits import VERIFY_OBJECTS_MAX
from protocol.merkle import merkle_root
from protocol.states import ChunkState, Ending, RecordingState
from protocol.wire import Certificate, CompletePending, Manifest, ManifestRun
from server.recordings.completion import Completer
from server.recordings.reading import Reader
from server.recordings.verification import Verifier
from server.refusal import Refusal
from server.storage.blob_store import BlobStore, BlobStoreUnavailableError
from server.storage.keys import CertificateKey
from server.storage.ledger import Ledger
from server.storage.memory_ledger import MemoryLedger
from tests.server.recordings.held import STARTED_AT, Held, body_of, claim_of, entry_of, manifest_of
from tests.server.recordings.watched import Watched, let_others_go

CERTIFIED_AT = datetime(2026, 11, 24, 4, 5, 6, tzinfo=UTC)


def completer_of(ledger: Ledger, store: BlobStore) -> Completer:
    return Completer(ledger, store, Verifier(ledger, store), server_version="1.2.3", now=lambda: CERTIFIED_AT)


async def complete(held: Held, manifest: Manifest) -> bytes:
    """The certificate, which must come at once."""
    outcome = await completer_of(held.ledger, held.store).complete(held.recording_id, manifest)
    assert isinstance(outcome, bytes), outcome
    return outcome


async def refuse(held: Held, manifest: Manifest) -> Refusal:
    """The refusal, which must leave the recording without a certificate in the bucket."""
    with pytest.raises(Refusal) as refused:
        await completer_of(held.ledger, held.store).complete(held.recording_id, manifest)
    return refused.value


async def state_of(held: Held) -> RecordingState:
    row = await held.ledger.find_recording(held.recording_id)
    assert row is not None
    return row.state


async def test_a_recording_whose_bytes_were_all_read_back_gets_its_certificate(held: Held) -> None:
    await held.register()
    await held.store_pack([0, 1, 2])
    await held.store_own(3)
    manifest = manifest_of(4)
    answer = await complete(held, manifest)
    assert msgspec.json.decode(answer, type=Certificate) == Certificate(
        recording_id=held.recording_id,
        root=merkle_root(manifest.chunks).hex(),
        chunk_count=4,
        byte_count=sum(len(body_of(index)) for index in range(4)),
        manifest=manifest,
        started_at=STARTED_AT,
        certified_at=CERTIFIED_AT,
        server_version="1.2.3",
    )
    assert await held.store.get(CertificateKey(held.recording_id).text) == answer
    assert await state_of(held) is RecordingState.COMPLETE
    assert all([(await held.locate(index)).object.verified_at for index in range(4)])


async def test_the_same_manifest_again_gives_the_same_bytes(held: Held) -> None:
    await held.register()
    await held.store_pack([0, 1])
    first = await complete(held, manifest_of(2))
    later = Completer(held.ledger, held.store, Verifier(held.ledger, held.store), server_version="9")
    assert await later.complete(held.recording_id, manifest_of(2)) == first
    assert await Reader(held.ledger, held.store).find_certificate(held.recording_id) == first


async def test_who_recovers_a_recording_that_was_stopped_and_certified_gets_the_certificate_that_stands(
    memory: Held,
) -> None:
    await memory.register()
    await memory.store_pack([0, 1])
    first = await complete(memory, manifest_of(2))
    assert await complete(memory, manifest_of(2, Ending.RECOVERED)) == first


@pytest.mark.parametrize("count", [0, 1, 3])
async def test_another_manifest_later_is_refused_and_the_certificate_stands(held: Held, count: int) -> None:
    await held.register()
    await held.store_pack([0, 1])
    first = await complete(held, manifest_of(2))
    assert (await refuse(held, manifest_of(count))).code is ErrorCode.MANIFEST_DIFFERS
    other_type = msgspec.structs.replace(manifest_of(2), runs=[ManifestRun(run=0, mime_type="video/mp4")])
    assert (await refuse(held, other_type)).code is ErrorCode.MANIFEST_DIFFERS
    assert await complete(held, manifest_of(2)) == first


async def test_a_recording_without_a_chunk_can_be_complete(held: Held) -> None:
    await held.register()
    certificate = msgspec.json.decode(await complete(held, manifest_of(0)), type=Certificate)
    assert (certificate.chunk_count, certificate.byte_count) == (0, 0)
    assert certificate.root == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"chunks": [entry_of(1)]}, r"$.chunks[0].chunk_index"),
        ({"chunks": [entry_of(0), entry_of(2)]}, r"$.chunks[1].chunk_index"),
        ({"chunks": [entry_of(0), entry_of(0)]}, r"$.chunks[1].chunk_index"),
        ({"chunks": [entry_of(1), entry_of(0)]}, r"$.chunks[0].chunk_index"),
        ({"chunks": [entry_of(0), entry_of(1, run=1)]}, r"$.chunks[1].run"),
        ({"runs": []}, r"$.chunks[0].run"),
        ({"runs": [ManifestRun(run=0, mime_type="a"), ManifestRun(run=0, mime_type="a")]}, r"$.runs[1].run"),
    ],
)
async def test_a_manifest_that_is_wrong_by_itself_is_refused_at_its_place(
    memory: Held, change: dict[str, Any], place: str
) -> None:
    await memory.register()
    await memory.store_pack([0, 1])
    store = Watched(memory.store)
    with pytest.raises(Refusal) as refused:
        await completer_of(memory.ledger, store.port).complete(
            memory.recording_id, msgspec.structs.replace(manifest_of(2), **change)
        )
    assert refused.value.code is ErrorCode.INVALID_REQUEST
    assert place in refused.value.detail
    assert store.calls == []


async def test_what_is_not_held_is_listed_and_asked_for(held: Held) -> None:
    await held.register()
    await held.store_pack([0, 2])
    refusal = await refuse(held, manifest_of(4))
    assert (refusal.code, refusal.chunks) == (ErrorCode.CHUNKS_MISSING, [1, 3])
    await held.store_pack([1, 3])
    await complete(held, manifest_of(4))


async def test_a_list_of_missing_chunks_is_bounded(memory: Held) -> None:
    await memory.register()
    refusal = await refuse(memory, manifest_of(PROBLEM_CHUNKS_MAX + 1))
    assert refusal.chunks == list(range(PROBLEM_CHUNKS_MAX))
    assert str(PROBLEM_CHUNKS_MAX + 1) in refusal.detail


async def test_what_the_bucket_lost_is_found_by_the_read_back_and_listed(held: Held) -> None:
    await held.register()
    lost, flipped = await held.store_pack([0, 1]), await held.store_pack([2, 3])
    await held.store.delete(lost.key)
    await held.flip(flipped.key, body_of(3))
    refusal = await refuse(held, manifest_of(4))
    assert (refusal.code, refusal.chunks) == (ErrorCode.CHUNKS_MISSING, [0, 1, 3])
    assert await state_of(held) is RecordingState.OPEN
    await held.store_pack([0, 1, 3])
    await complete(held, manifest_of(4))


async def test_a_held_chunk_that_the_manifest_does_not_have_is_refused(held: Held) -> None:
    await held.register()
    await held.store_pack([0, 1, 2])
    refusal = await refuse(held, manifest_of(2))
    assert (refusal.code, refusal.chunks) == (ErrorCode.MANIFEST_DIFFERS, [2])


async def test_a_manifest_with_another_content_is_refused(held: Held) -> None:
    await held.register()
    await held.store_pack([0, 1, 2])
    manifest = manifest_of(3)
    for change in ({"sha256": "00" * 32}, {"size": 9}, {"run": 1}):
        other = msgspec.structs.replace(
            manifest,
            runs=[*manifest.runs, ManifestRun(run=1, mime_type="a")],
            chunks=[
                manifest.chunks[0],
                msgspec.structs.replace(manifest.chunks[1], **change),
                manifest.chunks[2],
            ],
        )
        refusal = await refuse(held, other)
        assert (refusal.code, refusal.chunks) == (ErrorCode.MANIFEST_DIFFERS, [1])
    await complete(held, manifest)


async def test_bytes_that_can_be_sent_again_are_asked_for_before_a_contradiction_is_called_final(
    memory: Held,
) -> None:
    await memory.register()
    await memory.store_pack([0, 3])
    refusal = await refuse(memory, manifest_of(2))
    assert (refusal.code, refusal.chunks) == (ErrorCode.CHUNKS_MISSING, [1])
    await memory.store_pack([1])
    refusal = await refuse(memory, manifest_of(2))
    assert (refusal.code, refusal.chunks) == (ErrorCode.MANIFEST_DIFFERS, [3])


async def test_a_disputed_chunk_is_not_called_final(memory: Held) -> None:
    await memory.register()
    await memory.store_pack([0, 1, 2])
    assert isinstance(memory.ledger, MemoryLedger)
    memory.ledger.chunks.write(msgspec.structs.replace((await memory.locate(1)).chunk, state=ChunkState.DISPUTED))
    refusal = await refuse(memory, manifest_of(3))
    assert (refusal.code, refusal.chunks) == (ErrorCode.CHUNK_DISPUTED, [1])
    assert (await refuse(memory, manifest_of(2))).code is ErrorCode.MANIFEST_DIFFERS


async def test_an_unknown_or_deleted_recording_is_refused(held: Held) -> None:
    assert (await refuse(held, manifest_of(0))).code is ErrorCode.RECORDING_UNKNOWN
    await held.register()
    await complete(held, manifest_of(0))
    await held.ledger.delete_recording(held.recording_id, b"{}")
    assert (await refuse(held, manifest_of(0))).code is ErrorCode.RECORDING_DELETED


async def test_a_long_recording_is_read_back_call_by_call(memory: Held) -> None:
    await memory.register()
    count = VERIFY_OBJECTS_MAX + 10
    for index in range(count):
        await memory.store_own(index)
    completer = completer_of(memory.ledger, memory.store)
    assert await completer.complete(memory.recording_id, manifest_of(count)) == CompletePending(
        recording_id=memory.recording_id, verified_count=VERIFY_OBJECTS_MAX, chunk_count=count
    )
    assert isinstance(await completer.complete(memory.recording_id, manifest_of(count)), bytes)


async def test_many_packed_chunks_are_read_back_in_one_call(memory: Held) -> None:
    """More than one page of rows, in few objects."""
    await memory.register()
    for first in range(0, 2_400, 600):
        await memory.store_pack(range(first, first + 600))
    assert isinstance(await complete(memory, manifest_of(2_400)), bytes)


async def test_a_bucket_that_does_not_answer_leaves_it_pending(memory: Held) -> None:
    await memory.register()
    await memory.store_pack([0])
    away = (await memory.store_pack([1])).key

    async def fail(name: str, key: str) -> None:
        if key == away:
            raise BlobStoreUnavailableError("away")

    completer = completer_of(memory.ledger, Watched(memory.store, before=fail).port)
    assert await completer.complete(memory.recording_id, manifest_of(2)) == CompletePending(
        recording_id=memory.recording_id, verified_count=1, chunk_count=2
    )
    assert await state_of(memory) is RecordingState.OPEN


async def test_a_crash_between_deciding_and_storing_heals_with_the_decided_bytes(memory: Held) -> None:
    await memory.register()
    await memory.store_pack([0])

    async def fail(name: str, key: str) -> None:
        if name == "put":
            raise BlobStoreUnavailableError("away")

    with pytest.raises(BlobStoreUnavailableError):
        await completer_of(memory.ledger, Watched(memory.store, before=fail).port).complete(
            memory.recording_id, manifest_of(1)
        )
    decided = await memory.ledger.find_certificate(memory.recording_id)
    assert decided is not None and not decided.is_stored
    assert await complete(memory, manifest_of(1)) == decided.certificate
    assert await memory.store.get(CertificateKey(memory.recording_id).text) == decided.certificate


async def test_a_certificate_is_never_shown_before_the_bucket_has_it(memory: Held) -> None:
    await memory.register()
    await memory.store_pack([0])
    ledger = Watched(memory.ledger)

    async def check(name: str, first: Any) -> None:
        if name == "mark_certificate_stored":
            await memory.store.get(CertificateKey(memory.recording_id).text)

    ledger.before = check
    await completer_of(ledger.port, memory.store).complete(memory.recording_id, manifest_of(1))
    assert ledger.count("mark_certificate_stored") == 1


async def test_a_certificate_that_a_ledger_lost_is_taken_from_the_bucket(memory: Held) -> None:
    await memory.register()
    await memory.store_pack([0, 1])
    first = await complete(memory, manifest_of(2))
    rebuilt = Held(MemoryLedger(), memory.store, memory.recording_id)
    await rebuilt.register()
    await rebuilt.store_pack([0, 1])
    later = Completer(rebuilt.ledger, rebuilt.store, Verifier(rebuilt.ledger, rebuilt.store), server_version="9")
    assert await later.complete(rebuilt.recording_id, manifest_of(2)) == first
    rebuilt = Held(MemoryLedger(), memory.store, memory.recording_id)
    await rebuilt.register()
    await rebuilt.store_pack([0])
    assert (await refuse(rebuilt, manifest_of(1))).code is ErrorCode.MANIFEST_DIFFERS


async def test_a_certificate_key_with_foreign_bytes_is_left_to_an_operator(memory: Held) -> None:
    await memory.register()
    await memory.store_pack([0])
    await memory.store.put(CertificateKey(memory.recording_id).text, b"foreign")
    assert (await refuse(memory, manifest_of(1))).code is ErrorCode.STORE_MISMATCH
    assert await state_of(memory) is RecordingState.OPEN
    assert await memory.store.get(CertificateKey(memory.recording_id).text) == b"foreign"


async def test_a_bucket_and_a_ledger_with_two_certificates_are_left_to_an_operator(memory: Held) -> None:
    await memory.register()
    await memory.store_pack([0])
    key = CertificateKey(memory.recording_id).text

    async def appear(name: str, first: Any) -> None:
        if name == "decide_certificate":
            await memory.store.put(key, b"another")

    with pytest.raises(Refusal) as refused:
        await completer_of(Watched(memory.ledger, after=appear).port, memory.store).complete(
            memory.recording_id, manifest_of(1)
        )
    assert refused.value.code is ErrorCode.STORE_MISMATCH
    assert await memory.store.get(key) == b"another"


async def test_completing_at_once_in_many_processes_gives_one_certificate(held: Held) -> None:
    await held.register()
    await held.store_pack([0, 1])

    def completer(number: int) -> Completer:
        ledger = Watched(held.ledger, before=let_others_go).port
        store = Watched(held.store, before=let_others_go).port
        return Completer(ledger, store, Verifier(ledger, store), server_version=f"process {number}")

    answers = await asyncio.gather(*(completer(n).complete(held.recording_id, manifest_of(2)) for n in range(5)))
    assert len(set(map(str, answers))) == 1 and isinstance(answers[0], bytes)
    assert await held.store.get(CertificateKey(held.recording_id).text) == answers[0]


@pytest.mark.parametrize("event", ["delete", "loss", "late chunk"])
async def test_what_happens_between_comparing_and_deciding_is_seen(memory: Held, event: str) -> None:
    await memory.register()
    pack = await memory.store_pack([0, 1])

    async def happen(name: str, first: Any) -> None:
        if name != "decide_certificate":
            return
        if event == "delete":
            await memory.ledger.delete_recording(memory.recording_id, b"{}")
        elif event == "loss":
            await memory.store.delete(pack.key)
            await Verifier(memory.ledger, memory.store).verify(memory.recording_id, [claim_of(0)])
        else:
            await memory.store_pack([2])

    with pytest.raises(Refusal) as refused:
        await completer_of(Watched(memory.ledger, before=happen).port, memory.store).complete(
            memory.recording_id, manifest_of(2)
        )
    expected = {
        "delete": (ErrorCode.RECORDING_DELETED, []),
        "loss": (ErrorCode.CHUNKS_MISSING, [0, 1]),
        "late chunk": (ErrorCode.MANIFEST_DIFFERS, [2]),
    }
    assert (refused.value.code, refused.value.chunks) == expected[event]
    assert await memory.keys(CertificateKey(memory.recording_id).text) == []


async def test_a_complete_recording_that_loses_bytes_is_damaged_until_they_are_back(held: Held) -> None:
    await held.register()
    pack = await held.store_pack([0, 1])
    first = await complete(held, manifest_of(2))
    await held.store.delete(pack.key)
    verifier = Verifier(held.ledger, held.store)
    await verifier.verify(held.recording_id, [claim_of(0)])
    assert await state_of(held) is RecordingState.DAMAGED
    assert await complete(held, manifest_of(2)) == first, "what was certified stays certified"
    await held.store_pack([0, 1])
    await verifier.verify(held.recording_id, [claim_of(0), claim_of(1)])
    assert await state_of(held) is RecordingState.COMPLETE
