"""A recording with chunks in a bucket and a ledger, made as ingest makes them, and what a test does to it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from uuid import UUID

from protocol.states import ChunkState, Ending, Verification
from protocol.wire import ChunkClaim, Manifest, ManifestEntry, ManifestRun, RecordingRegistration
from server.recordings.verification import Verifier
from server.storage.blob_store import LIST_PAGE_MAX, BlobStore
from server.storage.keys import ChunkKey, PackKey, new_uuid7
from server.storage.ledger import Acknowledged, Ledger, LocatedChunk, NewChunk, NewObject
from server.storage.pack_format import PackChunk, build_pack

STARTED_AT = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


def body_of(index: int) -> bytes:
    """The bytes of a chunk; every index has its own."""
    return f"the bytes of chunk {index}. ".encode() * 5


def registration_of(recording_id: UUID, title: str | None = "a take") -> RecordingRegistration:
    """What a browser announces."""
    return RecordingRegistration(
        recording_id=recording_id, mime_type="audio/webm;codecs=opus", started_at=STARTED_AT, title=title
    )


def claim_of(index: int, body: bytes | None = None) -> ChunkClaim:
    """What a client says that it holds."""
    held = body_of(index) if body is None else body
    return ChunkClaim(chunk_index=index, sha256=sha256(held).hexdigest())


def entry_of(index: int, run: int = 0) -> ManifestEntry:
    """The chunk in a manifest."""
    body = body_of(index)
    return ManifestEntry(run=run, chunk_index=index, size=len(body), sha256=sha256(body).hexdigest())


def manifest_of(count: int, ended: Ending = Ending.STOPPED) -> Manifest:
    """The manifest of chunks 0 to `count`."""
    return Manifest(
        runs=[ManifestRun(run=0, mime_type="audio/webm;codecs=opus")],
        chunks=[entry_of(index) for index in range(count)],
        ended=ended,
    )


@dataclass
class Held:
    """The two stores and one recording in them."""

    ledger: Ledger
    store: BlobStore
    recording_id: UUID = field(default_factory=new_uuid7)

    async def register(self) -> None:
        """The row alone, where a test is not about registration."""
        await self.ledger.register_recording(
            recording_id=self.recording_id,
            mime_type="audio/webm;codecs=opus",
            title="a take",
            started_at=STARTED_AT,
            document=b"{}",
        )

    async def store_pack(self, indexes: Sequence[int]) -> NewObject:
        """Store these chunks in one pack and acknowledge them."""
        object_id = new_uuid7()
        chunks = [
            PackChunk(self.recording_id, index, 0, sha256(body_of(index)).digest(), body_of(index)) for index in indexes
        ]
        pack, offsets = build_pack(chunks)
        stored = await self._put(object_id, PackKey(object_id).text, pack)
        await self._acknowledge(
            stored,
            [
                NewChunk(self.recording_id, c.chunk_index, 0, object_id, offset, len(c.body), c.sha256)
                for c, offset in zip(chunks, offsets, strict=True)
            ],
        )
        return stored

    async def store_own(self, index: int, body: bytes | None = None) -> NewObject:
        """Store the chunk as an object of its own and acknowledge it."""
        content = body_of(index) if body is None else body
        digest, object_id = sha256(content).digest(), new_uuid7()
        key = ChunkKey(self.recording_id, index, 0, digest, object_id).text
        stored = await self._put(object_id, key, content)
        await self._acknowledge(stored, [NewChunk(self.recording_id, index, 0, object_id, 0, len(content), digest)])
        return stored

    async def store_spare(self, index: int) -> NewObject:
        """Another object with the chunk's bytes, which no row points to."""
        digest, object_id = sha256(body_of(index)).digest(), new_uuid7()
        key = ChunkKey(self.recording_id, index, 0, digest, object_id).text
        stored = await self._put(object_id, key, body_of(index))
        await self._acknowledge(stored, [])
        return stored

    async def overwrite(self, key: str, body: bytes) -> None:
        """Damage an object, which no code of the server does."""
        await self.store.delete(key)
        await self.store.put(key, body)

    async def flip(self, key: str, what: bytes) -> None:
        """Flip a bit in the first byte of `what`, where it stands in the object."""
        body = bytearray(await self.store.get(key))
        body[bytes(body).index(what)] ^= 1
        await self.overwrite(key, bytes(body))

    async def locate(self, index: int) -> LocatedChunk:
        """The chunk's row and its object's, as they are now."""
        return (await self.ledger.find_chunks(self.recording_id, [index]))[index]

    async def states(self, count: int) -> list[ChunkState]:
        """The states of the rows 0 to `count`."""
        return [(await self.locate(index)).chunk.state for index in range(count)]

    async def keys(self, prefix: str = "") -> list[str]:
        """The bucket's keys, at most a page."""
        return [blob.key for blob in await self.store.list_page(prefix, "", LIST_PAGE_MAX)]

    async def _put(self, object_id: UUID, key: str, body: bytes) -> NewObject:
        return NewObject(object_id, key, len(body), await self.store.put(key, body))

    async def _acknowledge(self, stored: NewObject, chunks: list[NewChunk]) -> None:
        outcomes = await self.ledger.acknowledge([stored], chunks)
        assert all(isinstance(outcome, Acknowledged) for outcome in outcomes), outcomes


async def ask(held: Held, *indexes: int, verifier: Verifier | None = None) -> list[Verification]:
    """The answers for these chunks as their client holds them."""
    asked = verifier or Verifier(held.ledger, held.store)
    response = await asked.verify(held.recording_id, [claim_of(index) for index in indexes])
    assert [chunk.chunk_index for chunk in response.chunks] == list(indexes)
    return [chunk.state for chunk in response.chunks]
