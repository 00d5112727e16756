"""Which bucket object a single chunk becomes; each says by itself which chunk it holds (I8).

A recording's chunk says it in its key. A loose chunk becomes a pack of one, because its chunkId must
be in the bucket too and may be longer than a key can take.
"""

from dataclasses import dataclass, field
from uuid import UUID

from server.ingest.ingest import IncomingChunk
from server.storage.keys import ChunkKey, PackKey
from server.storage.pack_format import PackChunk, build_pack


@dataclass(frozen=True, slots=True)
class BuiltObject:
    """A whole object; the chunk's bytes stand in `body` from `offset`."""

    key: str
    body: bytes = field(repr=False)
    offset: int


def build_object(chunk: IncomingChunk, digest: bytes, object_id: UUID) -> BuiltObject:
    """The object for one chunk under a fresh id; `digest` has been checked against the body."""
    if chunk.chunk_id is None:
        key = ChunkKey(chunk.recording_id, chunk.chunk_index, chunk.run, digest, object_id)
        return BuiltObject(key.text, chunk.body, 0)
    packed = PackChunk(chunk.recording_id, chunk.chunk_index, chunk.run, digest, chunk.body, chunk.chunk_id)
    body, (offset,) = build_pack([packed])
    return BuiltObject(PackKey(object_id).text, body, offset)
