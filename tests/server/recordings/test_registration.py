"""What registration and renaming promise: the bucket first, one content, and the same answer at every repeat."""

import asyncio
from datetime import timedelta, timezone

import msgspec
import pytest

from protocol.errors import ErrorCode
from protocol.ids import make_uuid7
from protocol.states import RecordingState
from protocol.wire import RecordingRegistration, RecordingTitle
from server.recordings.registration import Registrar
from server.refusal import Refusal
from server.storage.blob_store import BlobStoreUnavailableError
from server.storage.keys import RecordingKey, TombstoneKey, new_uuid7, titles_prefix
from server.storage.memory_ledger import MemoryLedger
from tests.server.recordings.held import STARTED_AT, Held, registration_of
from tests.server.recordings.watched import Watched, let_others_go


def registrar_of(held: Held) -> Registrar:
    return Registrar(held.ledger, held.store)


async def test_a_registered_recording_is_in_the_bucket_and_in_the_ledger(held: Held) -> None:
    registration = registration_of(held.recording_id)
    recording, is_new = await registrar_of(held).register(registration)
    assert is_new
    assert (recording.recording_id, recording.state) == (held.recording_id, RecordingState.OPEN)
    assert (recording.mime_type, recording.title) == (registration.mime_type, "a take")
    assert (recording.started_at, recording.chunk_count, recording.gaps) == (STARTED_AT, 0, [])
    document = await held.store.get(RecordingKey(held.recording_id).text)
    assert msgspec.json.decode(document, type=RecordingRegistration) == registration
    assert await held.ledger.find_recording_document(held.recording_id) == document


async def test_the_same_registration_again_is_a_success_in_whatever_zone_its_time_is_told(held: Held) -> None:
    registration = registration_of(held.recording_id)
    first, _ = await registrar_of(held).register(registration)
    elsewhere = msgspec.structs.replace(
        registration, started_at=STARTED_AT.astimezone(timezone(timedelta(hours=5, minutes=30)))
    )
    for again in (registration, elsewhere):
        assert await registrar_of(held).register(again) == (first, False)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"title": "another"}, "title"),
        ({"title": None}, "title"),
        ({"mime_type": "video/webm"}, "mime_type"),
        ({"started_at": STARTED_AT + timedelta(microseconds=1)}, "started_at"),
    ],
)
async def test_other_fields_under_the_same_id_are_refused(held: Held, change: dict[str, object], word: str) -> None:
    registration = registration_of(held.recording_id)
    await registrar_of(held).register(registration)
    before = await held.store.get(RecordingKey(held.recording_id).text)
    with pytest.raises(Refusal, match=word) as refused:
        await registrar_of(held).register(msgspec.structs.replace(registration, **change))
    assert refused.value.code is ErrorCode.RECORDING_DIFFERS
    assert await held.store.get(RecordingKey(held.recording_id).text) == before


async def test_the_registration_is_compared_as_sent_after_a_rename_too(held: Held) -> None:
    registrar = registrar_of(held)
    await registrar.register(registration_of(held.recording_id))
    await registrar.rename(held.recording_id, "renamed")
    recording, is_new = await registrar.register(registration_of(held.recording_id))
    assert (recording.title, is_new) == ("renamed", False)


async def test_a_registration_left_by_a_crash_is_taken_up(held: Held) -> None:
    registration = registration_of(held.recording_id)
    # Spelled otherwise than this version would: what stands counts, byte for byte.
    left = msgspec.json.format(msgspec.json.encode(registration), indent=2)
    await held.store.put(RecordingKey(held.recording_id).text, left)
    store = Watched(held.store)
    _, is_new = await Registrar(held.ledger, store.port).register(registration)
    assert is_new
    assert store.count("put") == 0
    assert await held.ledger.find_recording_document(held.recording_id) == left


async def test_a_registration_after_its_row_was_lost_keeps_the_newest_title(memory: Held) -> None:
    registration = registration_of(memory.recording_id)
    await registrar_of(memory).register(registration)
    await registrar_of(memory).rename(memory.recording_id, "the better name")
    assert isinstance(memory.ledger, MemoryLedger)
    del memory.ledger.recordings[memory.recording_id]
    recording, is_new = await registrar_of(memory).register(registration)
    assert (recording.title, is_new) == ("the better name", True)


async def test_a_registration_left_by_a_crash_with_other_fields_is_refused(held: Held) -> None:
    left = msgspec.json.encode(registration_of(held.recording_id, "the first"))
    await held.store.put(RecordingKey(held.recording_id).text, left)
    with pytest.raises(Refusal) as refused:
        await registrar_of(held).register(registration_of(held.recording_id, "the second"))
    assert refused.value.code is ErrorCode.RECORDING_DIFFERS
    assert await held.ledger.find_recording(held.recording_id) is None


async def test_a_foreign_object_under_the_registrations_key_is_left_alone(memory: Held) -> None:
    await memory.store.put(RecordingKey(memory.recording_id).text, b"\xff not ours")
    with pytest.raises(Refusal, match="not what this server writes") as refused:
        await registrar_of(memory).register(registration_of(memory.recording_id))
    assert refused.value.code is ErrorCode.STORE_MISMATCH
    assert await memory.store.get(RecordingKey(memory.recording_id).text) == b"\xff not ours"


async def test_a_deleted_recording_is_refused_for_ever(held: Held) -> None:
    registrar = registrar_of(held)
    await registrar.register(registration_of(held.recording_id))
    await held.ledger.delete_recording(held.recording_id, b"{}")
    for _ in range(2):
        with pytest.raises(Refusal) as refused:
            await registrar.register(registration_of(held.recording_id))
        assert refused.value.code is ErrorCode.RECORDING_DELETED
    with pytest.raises(Refusal) as refused:
        await registrar.rename(held.recording_id, "back again")
    assert refused.value.code is ErrorCode.RECORDING_DELETED


async def test_a_tombstone_that_only_the_bucket_knows_counts(held: Held) -> None:
    await held.store.put(TombstoneKey(held.recording_id).text, b'{"deleted":1}')
    with pytest.raises(Refusal) as refused:
        await registrar_of(held).register(registration_of(held.recording_id))
    assert refused.value.code is ErrorCode.RECORDING_DELETED
    row = await held.ledger.find_recording(held.recording_id)
    assert row is not None and row.state is RecordingState.DELETED, "the delete that had ended half-way is finished"
    assert await held.keys() == [TombstoneKey(held.recording_id).text]


async def test_the_row_is_not_written_before_the_bucket_has_the_registration(memory: Held) -> None:
    async def fail(name: str, key: str) -> None:
        if name == "put":
            raise BlobStoreUnavailableError("away")

    with pytest.raises(BlobStoreUnavailableError):
        await Registrar(memory.ledger, Watched(memory.store, before=fail).port).register(
            registration_of(memory.recording_id)
        )
    assert await memory.ledger.find_recording(memory.recording_id) is None


async def test_nothing_is_registered_in_another_installations_bucket(memory: Held) -> None:
    async def refuse() -> None:
        raise Refusal(ErrorCode.STORE_MISMATCH, "another bucket")

    registrar = Registrar(memory.ledger, memory.store, confirm_installation=refuse)
    with pytest.raises(Refusal, match="another bucket"):
        await registrar.register(registration_of(memory.recording_id))
    assert await memory.keys() == []


async def test_registering_at_once_stores_the_document_once(held: Held) -> None:
    store = Watched(held.store, before=let_others_go)
    registrar = Registrar(Watched(held.ledger, before=let_others_go).port, store.port)
    answers = await asyncio.gather(*(registrar.register(registration_of(held.recording_id)) for _ in range(20)))
    assert sorted(is_new for _, is_new in answers) == [False] * 19 + [True]
    assert store.count("put") == 1


async def test_registering_in_two_processes_at_once_registers_once(held: Held) -> None:
    registrars = [
        Registrar(Watched(held.ledger, before=let_others_go).port, Watched(held.store, before=let_others_go).port)
        for _ in range(4)
    ]
    answers = await asyncio.gather(*(one.register(registration_of(held.recording_id)) for one in registrars))
    assert sum(is_new for _, is_new in answers) == 1
    assert len({msgspec.json.encode(recording) for recording, _ in answers}) == 1


async def test_two_processes_that_register_other_fields_at_once_agree_on_one(memory: Held) -> None:
    answers = await asyncio.gather(
        *(
            registrar_of(memory).register(registration_of(memory.recording_id, title))
            for title in ("one", "two", "three")
        ),
        return_exceptions=True,
    )
    refused = [answer for answer in answers if isinstance(answer, Refusal)]
    assert [refusal.code for refusal in refused] == [ErrorCode.RECORDING_DIFFERS] * 2


async def newest_title(held: Held) -> str:
    keys = await held.keys(titles_prefix(held.recording_id))
    return msgspec.json.decode(await held.store.get(keys[-1]), type=RecordingTitle).title


async def test_a_title_is_in_the_bucket_before_the_row_and_each_under_its_own_key(held: Held) -> None:
    registrar = registrar_of(held)
    await registrar.register(registration_of(held.recording_id))
    for number, title in enumerate(["first", "second", "second"]):
        assert (await registrar.rename(held.recording_id, title)).title == title
        assert len(await held.keys(titles_prefix(held.recording_id))) == number + 1
        assert await newest_title(held) == title


async def test_a_recording_that_nobody_registered_has_no_title(held: Held) -> None:
    with pytest.raises(Refusal) as refused:
        await registrar_of(held).rename(held.recording_id, "nothing")
    assert refused.value.code is ErrorCode.RECORDING_UNKNOWN
    assert await held.keys() == []


async def test_a_recording_deleted_during_a_rename_stays_deleted(memory: Held) -> None:
    await registrar_of(memory).register(registration_of(memory.recording_id))

    async def delete(name: str, key: str) -> None:
        if name == "put":
            await memory.ledger.delete_recording(memory.recording_id, b"{}")

    with pytest.raises(Refusal) as refused:
        await Registrar(memory.ledger, Watched(memory.store, after=delete).port).rename(memory.recording_id, "late")
    assert refused.value.code is ErrorCode.RECORDING_DELETED


async def test_the_later_title_is_the_newest_also_from_a_server_whose_clock_is_behind(memory: Held) -> None:
    await registrar_of(memory).register(registration_of(memory.recording_id))

    def renames(unix_ms: int) -> Registrar:
        return Registrar(memory.ledger, memory.store, new_title_id=lambda: make_uuid7(unix_ms, new_uuid7().bytes[:10]))

    for number, unix_ms in enumerate([5_000, 4_000, 4_000, 5_000, 1]):
        recording = await renames(unix_ms).rename(memory.recording_id, f"title {number}")
        assert recording.title == await newest_title(memory) == f"title {number}"


@pytest.mark.parametrize("held_up", ["rename_recording", "list_page"])
async def test_two_processes_that_rename_at_once_end_on_the_title_that_the_bucket_gives_back(
    memory: Held, held_up: str
) -> None:
    await registrar_of(memory).register(registration_of(memory.recording_id))
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def wait(name: str, first: object) -> None:
        if name == held_up and not arrived.is_set():
            arrived.set()
            await go_on.wait()

    slow = Registrar(Watched(memory.ledger, before=wait).port, Watched(memory.store, before=wait).port)
    renaming = asyncio.create_task(slow.rename(memory.recording_id, "slow"))
    await arrived.wait()
    await registrar_of(memory).rename(memory.recording_id, "quick")
    go_on.set()
    await renaming
    row = await memory.ledger.find_recording(memory.recording_id)
    assert row is not None and row.title == await newest_title(memory)
