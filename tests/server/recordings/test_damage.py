"""Which chunks an object bears out: only those that it also says it holds, so that a rebuild finds them (I8)."""

from hashlib import sha256
from typing import Any

import msgspec
import pytest

from protocol.ids import loose_recording_id
from protocol.states import ChunkState, ObjectState
from server.recordings.damage import find_damaged
from server.storage.keys import ChunkKey, PackKey, new_uuid7
from server.storage.ledger import StoredChunk, StoredObject
from server.storage.pack_format import PackChunk, build_pack
from tests.server.recordings.held import STARTED_AT, body_of

RECORDING, OBJECT = new_uuid7(), new_uuid7()


def row_of(index: int, offset: int, body: bytes) -> StoredChunk:
    return StoredChunk(
        RECORDING, index, 0, ChunkState.STORED, OBJECT, offset, len(body), sha256(body).digest(), STARTED_AT
    )


def object_of(key: str, body: bytes) -> StoredObject:
    return StoredObject(OBJECT, key, len(body), "etag", ObjectState.STORED, None)


def pack_of(*chunks: PackChunk) -> tuple[bytes, list[int]]:
    return build_pack(chunks)


def packed(index: int, body: bytes, **changes: Any) -> PackChunk:
    fields = {"recording_id": RECORDING, "chunk_index": index, "run": 0, "sha256": sha256(body).digest(), "body": body}
    return PackChunk(**{**fields, **changes})


async def test_a_pack_that_holds_what_the_rows_say_has_no_damage() -> None:
    pack, offsets = pack_of(packed(0, body_of(0)), packed(1, body_of(1)))
    rows = [row_of(index, offsets[index], body_of(index)) for index in (0, 1)]
    assert await find_damaged(object_of(PackKey(OBJECT).text, pack), rows, pack) == []


@pytest.mark.parametrize("change", [{"recording_id": new_uuid7()}, {"chunk_index": 7}, {"run": 1}])
async def test_right_bytes_under_another_name_are_damage(change: dict[str, Any]) -> None:
    pack, offsets = pack_of(packed(0, body_of(0), **change), packed(1, body_of(1)))
    rows = [row_of(index, offsets[index], body_of(index)) for index in (0, 1)]
    assert await find_damaged(object_of(PackKey(OBJECT).text, pack), rows, pack) == [rows[0]]


async def test_a_loose_chunk_needs_its_chunk_id_in_the_pack() -> None:
    loose = loose_recording_id("a")
    pack, (offset,) = pack_of(packed(0, b"x", recording_id=loose, chunk_id="a"))
    row = msgspec.structs.replace(row_of(0, offset, b"x"), recording_id=loose, chunk_id="a")
    held_by = object_of(PackKey(OBJECT).text, pack)
    assert await find_damaged(held_by, [row], pack) == []
    assert await find_damaged(held_by, [msgspec.structs.replace(row, chunk_id="b")], pack) == [
        msgspec.structs.replace(row, chunk_id="b")
    ]


async def test_a_row_that_names_a_part_of_a_chunk_object_is_damage_because_the_key_names_the_whole() -> None:
    key = ChunkKey(RECORDING, 0, 0, sha256(body_of(0)).digest(), OBJECT).text
    whole, part = row_of(0, 0, body_of(0)), row_of(0, 0, body_of(0)[:5])
    held_by = object_of(key, body_of(0))
    assert await find_damaged(held_by, [whole], body_of(0)) == []
    assert await find_damaged(held_by, [part], body_of(0)) == [part]


@pytest.mark.parametrize("size", [1, 300_000])
async def test_every_flipped_byte_of_a_chunk_is_damage_whatever_its_size(size: int) -> None:
    body = bytes(size)
    key = ChunkKey(RECORDING, 0, 0, sha256(body).digest(), OBJECT).text
    row, held_by = row_of(0, 0, body), object_of(key, body)
    assert await find_damaged(held_by, [row], body) == []
    for place in (0, size // 2, size - 1):
        flipped = body[:place] + b"\1" + body[place + 1 :]
        assert await find_damaged(held_by, [row], flipped) == [row]
