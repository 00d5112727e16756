"""A bucket and a ledger filled with minimal chunks through the server's own storage, in packs and as own objects."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final
from uuid import UUID

import msgspec

from protocol.wire import RecordingRegistration
from server.storage.keys import ChunkKey, PackKey, RecordingKey, new_uuid7
from server.storage.ledger import NewChunk, NewObject
from server.storage.minio_blob_store import MinioBlobStore
from server.storage.pack_format import PackChunk, build_pack
from server.storage.postgres_ledger import PostgresLedger

PACK_CHUNKS: Final = 512
WRITERS: Final = 16


@dataclass
class Filled:
    """What was stored, so that it can be sent again."""

    ledger: PostgresLedger
    store: MinioBlobStore
    recording_id: UUID = field(default_factory=new_uuid7)
    count: int = 0

    async def register(self) -> None:
        """As the server does: document in the bucket, then row."""
        registration = RecordingRegistration(
            recording_id=self.recording_id, mime_type="audio/webm", title="bench", started_at=datetime.now(UTC)
        )
        document = msgspec.json.encode(registration)
        await self.store.put(RecordingKey(self.recording_id).text, document)
        await self.ledger.register_recording(
            recording_id=self.recording_id,
            mime_type=registration.mime_type,
            title=registration.title,
            started_at=registration.started_at,
            document=document,
        )

    async def add(self, packed: int, own: int) -> None:
        """So many more chunks."""
        first, middle, last = self.count, self.count + packed, self.count + packed + own
        self.count = last
        jobs: Iterator[tuple[int, int, bool]] = iter(
            [(start, min(start + PACK_CHUNKS, middle), True) for start in range(first, middle, PACK_CHUNKS)]
            + [(start, min(start + PACK_CHUNKS, last), False) for start in range(middle, last, PACK_CHUNKS)]
        )

        async def work() -> None:
            for start, end, is_pack in jobs:
                await (self.store_pack(range(start, end)) if is_pack else self.store_own(range(start, end)))

        await asyncio.gather(*(work() for _ in range(WRITERS)))

    async def store_pack(self, indexes: Sequence[int]) -> None:
        """These chunks in one pack."""
        object_id = new_uuid7()
        chunks = [PackChunk(self.recording_id, i, 0, sha256(body_of(i)).digest(), body_of(i)) for i in indexes]
        pack, offsets = build_pack(chunks)
        key = PackKey(object_id).text
        stored = NewObject(object_id, key, len(pack), await self.store.put(key, pack))
        rows = [
            NewChunk(self.recording_id, c.chunk_index, 0, object_id, offset, len(c.body), c.sha256)
            for c, offset in zip(chunks, offsets, strict=True)
        ]
        await self.ledger.acknowledge([stored], rows)

    async def store_own(self, indexes: Sequence[int]) -> None:
        """Each of these chunks as an object of its own."""
        objects, rows = [], []
        for index in indexes:
            body, object_id = body_of(index), new_uuid7()
            digest = sha256(body).digest()
            key = ChunkKey(self.recording_id, index, 0, digest, object_id).text
            objects.append(NewObject(object_id, key, len(body), await self.store.put(key, body)))
            rows.append(NewChunk(self.recording_id, index, 0, object_id, 0, len(body), digest))
        await self.ledger.acknowledge(objects, rows)


def body_of(index: int) -> bytes:
    """A minimal chunk; every index has its own."""
    return b"%d" % index
