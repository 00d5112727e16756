"""What reading promises: pages that miss nothing, and bytes that have their digest or are not sent."""

from hashlib import sha256

import msgspec
import pytest

from protocol.errors import ErrorCode
from protocol.ids import loose_recording_id
from protocol.limits import PAGE_ROWS_MAX
from protocol.states import ChunkState, FindingKind
from protocol.wire import ChunkRow, IndexGap
from server.recordings.reading import Reader
from server.refusal import Refusal
from server.storage.blob_store import BlobStoreUnavailableError
from server.storage.keys import CertificateKey, PackKey, new_uuid7
from server.storage.ledger import NewChunk, NewObject
from server.storage.memory_blob_store import MemoryBlobStore
from server.storage.memory_ledger import MemoryLedger
from server.storage.pack_format import PackChunk, build_pack
from tests.server.recordings.held import STARTED_AT, Held, body_of, claim_of, manifest_of
from tests.server.recordings.watched import Watched

STORED, WANTED = ChunkState.STORED, ChunkState.WANTED


def reader_of(held: Held) -> Reader:
    return Reader(held.ledger, held.store)


async def refuse_chunk(held: Held, index: int, reader: Reader | None = None) -> ErrorCode:
    with pytest.raises(Refusal) as refused:
        await (reader or reader_of(held)).read_chunk(held.recording_id, index)
    assert refused.value.next_step
    return refused.value.code


async def test_a_recording_is_described_with_its_counts_and_gaps(held: Held) -> None:
    await held.register()
    await held.store_pack([0, 3, 4, 9])
    await held.ledger.mark_wanted(
        (await held.locate(3)).object.object_id, [(await held.locate(3)).chunk], FindingKind.MISSING
    )
    described = await reader_of(held).describe(held.recording_id)
    assert (described.chunk_count, described.wanted_count) == (4, 1)
    assert described.byte_count == sum(len(body_of(index)) for index in (0, 3, 4, 9))
    assert described.gaps == [IndexGap(1, 2), IndexGap(5, 8)]
    assert (described.title, described.started_at, described.certified_at) == ("a take", STARTED_AT, None)


async def test_recordings_are_listed_newest_first_page_by_page_without_deleted_ones(held: Held) -> None:
    takes = [Held(held.ledger, held.store) for _ in range(7)]
    for take in takes:
        await take.register()
    await held.ledger.delete_recording(takes[3].recording_id, b"{}")
    expected = sorted((take.recording_id for take in takes if take is not takes[3]), reverse=True)
    for limit in (1, 2, 3, 6, 7):
        seen, cursor = [], None
        while True:
            page = await reader_of(held).list_recordings(cursor, limit)
            assert 1 <= len(page.recordings) <= limit
            seen += [recording.recording_id for recording in page.recordings]
            if (cursor := page.next_cursor) is None:
                break
        assert seen == expected


async def test_an_empty_ledger_lists_an_empty_page(held: Held) -> None:
    page = await reader_of(held).list_recordings(None, 10)
    assert (page.recordings, page.next_cursor) == ([], None)


async def test_chunks_are_listed_in_order_page_by_page(held: Held) -> None:
    await held.register()
    await held.store_pack([5, 0, 2])
    await held.store_own(9)
    for limit in (1, 2, 3, 4, 5):
        seen: list[ChunkRow] = []
        cursor = None
        while True:
            page = await reader_of(held).list_chunks(held.recording_id, cursor, limit)
            seen += page.chunks
            if (cursor := page.next_cursor) is None:
                break
        assert [row.chunk_index for row in seen] == [0, 2, 5, 9]
    assert (seen[0].size, seen[0].sha256, seen[0].state) == (len(body_of(0)), claim_of(0).sha256, STORED)


@pytest.mark.parametrize("limit", [-1, 0, PAGE_ROWS_MAX + 1])
async def test_a_page_has_a_bound(memory: Held, limit: int) -> None:
    await memory.register()
    for call in (
        reader_of(memory).list_recordings(None, limit),
        reader_of(memory).list_chunks(memory.recording_id, None, limit),
    ):
        with pytest.raises(Refusal) as refused:
            await call
        assert refused.value.code is ErrorCode.INVALID_REQUEST
    await reader_of(memory).list_recordings(None, PAGE_ROWS_MAX)


async def test_a_cursor_that_no_page_gave_is_refused(memory: Held) -> None:
    await memory.register()
    for call in (
        reader_of(memory).list_recordings("nonsense", 10),
        reader_of(memory).list_chunks(memory.recording_id, "nonsense", 10),
    ):
        with pytest.raises(Refusal) as refused:
            await call
        assert refused.value.code is ErrorCode.INVALID_CURSOR


async def test_an_unknown_or_deleted_recording_is_refused_by_every_reader(held: Held) -> None:
    reader, recording_id = reader_of(held), held.recording_id
    for expected in (ErrorCode.RECORDING_UNKNOWN, ErrorCode.RECORDING_DELETED):
        for call in (
            reader.describe(recording_id),
            reader.list_chunks(recording_id, None, 10),
            reader.read_chunk(recording_id, 0),
            reader.find_certificate(recording_id),
        ):
            with pytest.raises(Refusal) as refused:
                await call
            assert refused.value.code is expected
        if expected is ErrorCode.RECORDING_UNKNOWN:
            await held.register()
            await held.store_pack([0])
            await held.ledger.delete_recording(recording_id, b"{}")


async def test_a_chunk_is_read_with_one_get_of_its_own_bytes(held: Held) -> None:
    await held.register()
    await held.store_pack([0, 1, 2])
    await held.store_own(3)
    store = Watched(held.store)
    reader = Reader(held.ledger, store.port)
    for index in range(4):
        body, row = await reader.read_chunk(held.recording_id, index)
        assert body == body_of(index)
        assert (row.chunk_index, row.sha256) == (index, sha256(body).digest())
    assert [name for name, _ in store.calls] == ["get_range"] * 4


async def test_a_chunk_that_was_never_acknowledged_is_unknown(held: Held) -> None:
    await held.register()
    assert await refuse_chunk(held, 0) is ErrorCode.CHUNK_UNKNOWN
    assert await reader_of(held).list_chunks(held.recording_id, None, 10) is not None


async def test_a_loose_chunk_is_read_by_its_id_and_an_unknown_one_is_unknown(held: Held) -> None:
    loose_id, object_id, body = loose_recording_id("a/b"), new_uuid7(), b"loose"
    pack, (offset,) = build_pack([PackChunk(loose_id, 0, 0, sha256(body).digest(), body, "a/b")])
    key = PackKey(object_id).text
    etag = await held.store.put(key, pack)
    await held.ledger.acknowledge(
        [NewObject(object_id, key, len(pack), etag)],
        [NewChunk(loose_id, 0, 0, object_id, offset, len(body), sha256(body).digest(), "a/b")],
    )
    read, row = await reader_of(held).read_chunk(loose_id, 0)
    assert (read, row.chunk_id) == (body, "a/b")
    with pytest.raises(Refusal) as refused:
        await reader_of(held).read_chunk(loose_recording_id("unknown"), 0)
    assert refused.value.code is ErrorCode.CHUNK_UNKNOWN
    await held.store.delete(key)
    with pytest.raises(Refusal) as refused:
        await reader_of(held).read_chunk(loose_id, 0)
    assert refused.value.code is ErrorCode.CHUNK_DAMAGED


async def test_damaged_bytes_are_never_sent_and_asked_for_again(held: Held) -> None:
    await held.register()
    pack = await held.store_pack([0, 1])
    await held.flip(pack.key, body_of(1))
    for _ in range(2):
        assert await refuse_chunk(held, 1) is ErrorCode.CHUNK_DAMAGED
        assert await held.states(2) == [STORED, WANTED]
    assert (await reader_of(held).read_chunk(held.recording_id, 0))[0] == body_of(0)
    await held.store_pack([1])
    assert (await reader_of(held).read_chunk(held.recording_id, 1))[0] == body_of(1)


async def test_an_object_cut_short_gives_no_bytes(held: Held) -> None:
    await held.register()
    stored = await held.store_own(0)
    for left in (body_of(0)[:5], b""):
        await held.overwrite(stored.key, left)
        assert await refuse_chunk(held, 0) is ErrorCode.CHUNK_DAMAGED


async def test_with_a_lost_object_all_its_chunks_are_asked_for(held: Held) -> None:
    await held.register()
    pack = await held.store_pack([0, 1])
    await held.store.delete(pack.key)
    assert await refuse_chunk(held, 0) is ErrorCode.CHUNK_DAMAGED
    assert await held.states(2) == [WANTED, WANTED]


async def test_a_wanted_chunk_whose_bytes_are_there_is_still_read(memory: Held) -> None:
    await memory.register()
    pack = await memory.store_pack([0])
    await memory.ledger.mark_wanted(pack.object_id, [(await memory.locate(0)).chunk], FindingKind.MISSING)
    assert (await reader_of(memory).read_chunk(memory.recording_id, 0))[0] == body_of(0)


async def test_a_disputed_chunk_is_not_served(memory: Held) -> None:
    await memory.register()
    await memory.store_pack([0])
    assert isinstance(memory.ledger, MemoryLedger)
    memory.ledger.chunks.write(msgspec.structs.replace((await memory.locate(0)).chunk, state=ChunkState.DISPUTED))
    store = Watched(memory.store)
    assert await refuse_chunk(memory, 0, Reader(memory.ledger, store.port)) is ErrorCode.CHUNK_DISPUTED
    assert store.calls == []


async def test_bytes_spoiled_on_their_way_are_read_a_second_time(memory: Held) -> None:
    await memory.register()
    await memory.store_pack([0])

    class SpoiledOnce(MemoryBlobStore):
        reads = 0

        async def get_range(self, key: str, offset: int, size: int) -> bytes:
            self.reads += 1
            body = await memory.store.get_range(key, offset, size)
            return body if self.reads > 1 else b"\0" * len(body)

    body, _ = await Reader(memory.ledger, SpoiledOnce()).read_chunk(memory.recording_id, 0)
    assert body == body_of(0)
    assert await memory.states(1) == [STORED]


async def test_a_chunk_that_moves_while_it_is_read_is_read_at_its_new_place(memory: Held) -> None:
    await memory.register()
    first, second = await memory.store_own(0), await memory.store_spare(0)
    ledger = memory.ledger
    assert isinstance(ledger, MemoryLedger)

    async def move(name: str, key: str) -> None:
        if key == first.key:
            await memory.store.delete(first.key)
            ledger.chunks.write(msgspec.structs.replace((await memory.locate(0)).chunk, object_id=second.object_id))

    reader = Reader(ledger, Watched(memory.store, before=move).port)
    body, row = await reader.read_chunk(memory.recording_id, 0)
    assert (body, row.object_id) == (body_of(0), second.object_id)
    assert await memory.states(1) == [STORED]


async def test_a_bucket_that_does_not_answer_is_an_error_and_asks_for_nothing(memory: Held) -> None:
    await memory.register()
    await memory.store_pack([0])

    async def fail(name: str, key: str) -> None:
        raise BlobStoreUnavailableError("away")

    with pytest.raises(BlobStoreUnavailableError):
        await Reader(memory.ledger, Watched(memory.store, before=fail).port).read_chunk(memory.recording_id, 0)
    assert await memory.states(1) == [STORED]


async def test_in_another_installations_bucket_nothing_is_asked_for(memory: Held) -> None:
    await memory.register()
    await memory.store_pack([0])

    async def refuse() -> None:
        raise Refusal(ErrorCode.STORE_MISMATCH, "another bucket")

    reader = Reader(memory.ledger, MemoryBlobStore(), confirm_installation=refuse)
    with pytest.raises(Refusal, match="another bucket"):
        await reader.read_chunk(memory.recording_id, 0)
    assert await memory.states(1) == [STORED]


async def test_a_certificate_that_was_decided_and_not_stored_is_stored_before_it_is_shown(memory: Held) -> None:
    await memory.register()
    with pytest.raises(Refusal) as refused:
        await reader_of(memory).find_certificate(memory.recording_id)
    assert refused.value.code is ErrorCode.CERTIFICATE_UNKNOWN
    await memory.ledger.decide_certificate(memory.recording_id, manifest_of(0).chunks, b'{"certificate":1}')
    assert await reader_of(memory).find_certificate(memory.recording_id) == b'{"certificate":1}'
    assert await memory.store.get(CertificateKey(memory.recording_id).text) == b'{"certificate":1}'
    decided = await memory.ledger.find_certificate(memory.recording_id)
    assert decided is not None and decided.is_stored
