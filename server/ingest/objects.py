"""Which bucket object the chunks of one flush become; each object says by itself which chunks it holds (I8).

A recording's chunk that goes alone says it in its key. Chunks that go together become a pack, and so does
a loose chunk that goes alone: its chunkId must be in the bucket and may be longer than a key can take.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from server.ingest.checked_chunk import CheckedChunk
from server.storage.keys import ChunkKey, PackKey
from server.storage.pack_format import PackChunk, build_pack


@dataclass(frozen=True, slots=True)
class BuiltObject:
    """A whole object without its id; the chunks' bytes stand in `body` from `offsets`, in their order."""

    body: bytes = field(repr=False)
    offsets: list[int]
    sole: CheckedChunk | None  # the chunk whose bytes the object is; None for a pack

    def key_of(self, object_id: UUID) -> str:
        """The key under a fresh id; every attempt to store it takes another (I11)."""
        if self.sole is None:
            return PackKey(object_id).text
        chunk = self.sole.chunk
        return ChunkKey(chunk.recording_id, chunk.chunk_index, chunk.run, self.sole.digest, object_id).text


def build_object(chunks: Sequence[CheckedChunk]) -> BuiltObject:
    """The object of at least one chunk."""
    first = chunks[0]
    if len(chunks) == 1 and first.chunk.chunk_id is None:
        return BuiltObject(first.chunk.body, [0], first)
    body, offsets = build_pack([_pack(checked) for checked in chunks])
    return BuiltObject(body, offsets, None)


def _pack(checked: CheckedChunk) -> PackChunk:
    chunk = checked.chunk
    return PackChunk(chunk.recording_id, chunk.chunk_index, chunk.run, checked.digest, chunk.body, chunk.chunk_id)
