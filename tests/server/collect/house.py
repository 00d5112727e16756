"""Several recordings that share packs, what a test does to them, and what must be true of them in the end."""

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import count
from typing import Any
from uuid import UUID

from protocol.ids import RANDOM_BYTES_OF_UUID7, loose_recording_id, make_uuid7
from protocol.states import Ending
from protocol.wire import Manifest, ManifestEntry, ManifestRun
from server.audit.collect import Collector, CollectTally
from server.recordings.completion import Completer
from server.recordings.describing import ConfirmInstallation, trust_installation
from server.recordings.erasure import Eraser
from server.recordings.reading import Reader
from server.recordings.registration import Registrar
from server.recordings.verification import Verifier
from server.storage.audit_ledger import AuditLedger
from server.storage.blob_store import LIST_PAGE_MAX, BlobStore
from server.storage.collect_ledger import CollectLedger
from server.storage.keys import ChunkKey, PackKey, new_uuid7
from server.storage.ledger import Ledger, NewChunk, NewObject, Outcome, StoredChunk
from server.storage.memory_audit_ledger import MemoryAuditLedger
from server.storage.memory_blob_store import MemoryBlobStore
from server.storage.memory_collect_ledger import MemoryCollectLedger
from server.storage.memory_ledger import MemoryLedger
from server.storage.memory_rebuild_ledger import MemoryRebuildLedger
from server.storage.pack_format import PackChunk, build_pack
from server.storage.postgres_audit_ledger import PostgresAuditLedger
from server.storage.postgres_collect_ledger import PostgresCollectLedger
from server.storage.postgres_ledger import PostgresLedger
from server.storage.postgres_rebuild_ledger import PostgresRebuildLedger
from server.storage.rebuild_ledger import RebuildLedger
from tests.server.recordings.held import registration_of

Part = tuple[UUID | str, int]  # a recording and a chunk index, or a chunkId and 0

# Every object was made so long ago, or longer.
OBJECTS_AGE_S = 10_000
_numbers = count(1)


def bytes_of(part: Part, version: int = 0) -> bytes:
    """The content of a chunk; every chunk and every version has its own."""
    return f"<{part[0]}/{part[1]}/{version}> ".encode() * 4


def next_id(made_before_s: int = 0) -> UUID:
    """An object's id: later ones are greater, as they are where milliseconds lie between them."""
    made_at_ms = time.time_ns() // 1_000_000 - (OBJECTS_AGE_S + made_before_s) * 1_000 + next(_numbers)
    return make_uuid7(made_at_ms, os.urandom(RANDOM_BYTES_OF_UUID7))


def row_of_own(part: Part, stored: NewObject, version: int = 0) -> NewChunk:
    """The chunk as an object of its own holds it."""
    recording_id, index = part
    assert isinstance(recording_id, UUID)
    body = bytes_of(part, version)
    return NewChunk(recording_id, index, 0, stored.object_id, 0, len(body), sha256(body).digest())


class Clock:
    """The time of a store in memory."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 24, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let that much time pass."""
        self.now += timedelta(seconds=seconds)


class LyingStore(MemoryBlobStore):
    """Stores a pack and gives back another one, as a failing disk does."""

    def __init__(self, clock: Clock, truthful: BlobStore) -> None:
        assert isinstance(truthful, MemoryBlobStore)
        super().__init__(clock)
        self._blobs = truthful._blobs
        self._put: set[str] = set()
        self.is_lying = True

    async def put(self, key: str, body: bytes) -> str:
        self._put.add(key)
        return await super().put(key, body)

    async def get(self, key: str) -> bytes:
        body = await super().get(key)
        return body[:-1] + b"?" if self.is_lying and key in self._put else body


@dataclass
class House:
    """The two stores, filled as ingest fills them."""

    ledger: Ledger
    store: BlobStore
    sent: dict[Part, bytes] = field(default_factory=dict)
    _audited: AuditLedger | None = None

    @property
    def collected(self) -> CollectLedger:
        """What collect needs of the same ledger."""
        if isinstance(self.ledger, MemoryLedger):
            return MemoryCollectLedger(self.ledger)
        assert isinstance(self.ledger, PostgresLedger)
        return PostgresCollectLedger(self.ledger.connections)

    @property
    def audited(self) -> AuditLedger:
        """What audit and rebuild need of the same ledger."""
        if isinstance(self.ledger, MemoryLedger):
            self._audited = self._audited or MemoryAuditLedger(ledger=self.ledger)  # it keeps the passes
            return self._audited
        assert isinstance(self.ledger, PostgresLedger)
        return PostgresAuditLedger(self.ledger.connections)

    @property
    def rebuilt(self) -> RebuildLedger:
        """What a rebuild needs of the same ledger."""
        if isinstance(self.ledger, MemoryLedger):
            return MemoryRebuildLedger(self.ledger)
        assert isinstance(self.ledger, PostgresLedger)
        return PostgresRebuildLedger(self.ledger.connections)

    async def register(self) -> UUID:
        """A new recording."""
        recording_id = new_uuid7()
        await Registrar(self.ledger, self.store).register(registration_of(recording_id))
        return recording_id

    async def pack(self, *parts: Part, version: int = 0, made_before_s: int = 0) -> NewObject:
        """Store these chunks in one pack, made so long ago, and acknowledge them; what is accepted is in `sent`."""
        made = [_packed(part, version) for part in parts]
        body, offsets = build_pack(made)
        object_id = next_id(made_before_s)
        stored = await self.put(PackKey(object_id).text, object_id, body)
        rows = [
            NewChunk(c.recording_id, c.chunk_index, 0, object_id, at, len(c.body), c.sha256, c.chunk_id)
            for c, at in zip(made, offsets, strict=True)
        ]
        await self.acknowledge(stored, rows, parts, version)
        return stored

    async def own(self, part: Part, version: int = 0) -> NewObject:
        """Store this chunk as an object of its own and acknowledge it."""
        stored = await self.put_own(part, version)
        await self.acknowledge(stored, [row_of_own(part, stored, version)], [part], version)
        return stored

    async def put_own(self, part: Part, version: int = 0) -> NewObject:
        """The bucket alone, as a PUT whose COMMIT never came."""
        recording_id, index = part
        assert isinstance(recording_id, UUID)
        body, object_id = bytes_of(part, version), next_id()
        return await self.put(ChunkKey(recording_id, index, 0, sha256(body).digest(), object_id).text, object_id, body)

    async def put(self, key: str, object_id: UUID, body: bytes) -> NewObject:
        """An object in the bucket."""
        return NewObject(object_id, key, len(body), await self.store.put(key, body))

    async def acknowledge(
        self, stored: NewObject, rows: Sequence[NewChunk], parts: Iterable[Part], version: int = 0
    ) -> list[Outcome]:
        """Commit the rows; a chunk's first content is what its sender may rely on."""
        for part in parts:
            self.sent.setdefault(part, bytes_of(part, version))
        return await self.ledger.acknowledge([stored], rows)

    async def complete(self, recording_id: UUID, chunk_count: int) -> None:
        """Certify chunks 0 to `chunk_count`."""
        bodies = [bytes_of((recording_id, index)) for index in range(chunk_count)]
        entries = [
            ManifestEntry(run=0, chunk_index=index, size=len(body), sha256=sha256(body).hexdigest())
            for index, body in enumerate(bodies)
        ]
        manifest = Manifest(runs=[ManifestRun(run=0, mime_type="audio/webm")], chunks=entries, ended=Ending.STOPPED)
        verifier = Verifier(self.ledger, self.store)
        completer = Completer(self.ledger, self.store, verifier, server_version="1")
        assert isinstance(await completer.complete(recording_id, manifest), bytes)

    async def delete(self, recording_id: UUID) -> None:
        """The user deletes the recording."""
        await Eraser(self.ledger, self.store).delete(recording_id)
        self.sent = {part: body for part, body in self.sent.items() if part[0] != recording_id}

    async def collect(
        self, grace_s: float = 0.0, confirm_installation: ConfirmInstallation = trust_installation, **changes: Any
    ) -> CollectTally:
        """One pass."""
        collector = Collector(self.ledger, self.collected, self.store, confirm_installation, grace_s=grace_s, **changes)
        return await collector.collect()

    async def row(self, part: Part) -> StoredChunk:
        """The chunk's row."""
        key = (id_of(part), part[1])
        return (await self.ledger.find_rows([key]))[key]

    async def keys(self, prefix: str = "") -> list[str]:
        """The bucket's keys."""
        return [blob.key for blob in await self.store.list_page(prefix, "", LIST_PAGE_MAX)]

    async def overwrite(self, key: str, body: bytes) -> None:
        """Damage an object, which no code of the server does."""
        await self.store.delete(key)
        await self.store.put(key, body)

    async def where_is(self, content: bytes) -> list[str]:
        """The keys of all objects that hold these bytes anywhere."""
        return [key for key in await self.keys() if content in await self.store.get(key)]

    async def check_all_is_served(self) -> None:
        """Every chunk that was acknowledged and not deleted is given back byte by byte."""
        reader = Reader(self.ledger, self.store)
        for part, body in self.sent.items():
            assert (await reader.read_chunk(id_of(part), part[1]))[0] == body, part


def id_of(part: Part) -> UUID:
    """The recording's id, or that of a loose chunk."""
    return part[0] if isinstance(part[0], UUID) else loose_recording_id(part[0])


def _packed(part: Part, version: int) -> PackChunk:
    body = bytes_of(part, version)
    chunk_id = None if isinstance(part[0], UUID) else part[0]
    return PackChunk(id_of(part), part[1], 0, sha256(body).digest(), body, chunk_id)
