"""Which chunks an object says it holds, and which of them it really does (I8)."""

import asyncio
from dataclasses import dataclass
from hashlib import sha256
from typing import Final
from uuid import UUID

from server.storage.keys import ChunkKey, PackKey
from server.storage.ledger import NewChunk
from server.storage.pack_format import PackError, read_pack_index

# Larger bodies are hashed in a thread: 256 KiB take about a quarter of a millisecond of the event loop.
_HASH_IN_THREAD_BYTES: Final = 256 * 1024


class UnreadableObjectError(Exception):
    """The object does not say which chunks it holds; the message says why."""


@dataclass(frozen=True, slots=True)
class ObjectEntries:
    """`count` entries, of which `good` have the bytes that they name."""

    count: int
    good: list[NewChunk]


async def read_entries(key: ChunkKey | PackKey, body: bytes) -> ObjectEntries:
    """The entries of the whole object `body`. Raises `UnreadableObjectError`."""
    if len(body) > _HASH_IN_THREAD_BYTES:
        return await asyncio.to_thread(_read_entries, key, body)
    return _read_entries(key, body)


def _read_entries(key: ChunkKey | PackKey, body: bytes) -> ObjectEntries:
    if isinstance(key, ChunkKey):
        named = NewChunk(key.recording_id, key.chunk_index, key.run, key.object_id, 0, len(body), key.sha256)
        return ObjectEntries(1, [named] if body and sha256(body).digest() == key.sha256 else [])
    try:
        entries = read_pack_index(body)
    except PackError as error:
        raise UnreadableObjectError(str(error)) from error
    view = memoryview(body)
    good = [
        NewChunk(
            UUID(bytes=entry.recording_id),
            entry.chunk_index,
            entry.run,
            key.object_id,
            entry.offset,
            entry.size,
            entry.sha256,
            entry.chunk_id,
        )
        for entry in entries
        if sha256(view[entry.offset : entry.offset + entry.size]).digest() == entry.sha256
    ]
    return ObjectEntries(len(entries), good)
