"""A recording in bucket and ledger, an auditor over both, and what a test does behind the server's back."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from protocol.ids import loose_recording_id
from protocol.states import FindingKind
from protocol.wire import RecordingRegistration
from server.audit.auditor import Auditor
from server.audit.tally import Tally
from server.recordings.completion import Completer
from server.recordings.verification import Verifier
from server.storage.audit_ledger import AuditLedger, FindingFilter, StoredFinding
from server.storage.keys import ChunkKey, PackKey, RecordingKey, new_uuid7
from server.storage.ledger import NewChunk, NewObject, StoredChunk
from server.storage.memory_ledger import MemoryLedger
from server.storage.pack_format import PackChunk, build_pack
from tests.server.recordings.held import Held, body_of, manifest_of, registration_of

# Every object is older than this many seconds in the future.
ALL_ARE_OLD_S = -3_600.0


async def trust() -> None:
    """Bucket and ledger belong together."""


@dataclass
class Scene(Held):
    """`database_url` where the ledger is a real one."""

    audit_ledger: AuditLedger = field(kw_only=True)
    database_url: str | None = field(default=None, kw_only=True)

    def auditor(self, **changes: Any) -> Auditor:
        """An auditor for which every object is old enough."""
        times = {"grace_s": ALL_ARE_OLD_S, "stalled_after_s": 3_600.0, "unrecoverable_after_s": 3_600.0}
        return Auditor(self.ledger, self.audit_ledger, self.store, trust, **(times | changes))

    async def audit(self, **changes: Any) -> Tally:
        """A whole audit."""
        tally = Tally()
        await self.auditor(**changes).run(tally, _go_on)
        return tally

    async def register(self) -> None:
        """As a registration does: document in the bucket, then row."""
        registration = registration_of(self.recording_id)
        await self.register_as(registration)

    async def register_as(self, registration: RecordingRegistration) -> None:
        document = msgspec.json.encode(registration)
        await self.store.put(RecordingKey(registration.recording_id).text, document)
        await self.ledger.register_recording(
            recording_id=registration.recording_id,
            mime_type=registration.mime_type,
            title=registration.title,
            started_at=registration.started_at,
            document=document,
        )

    async def put_own_orphan(self, index: int, body: bytes | None = None, recording_id: UUID | None = None) -> str:
        """A chunk's own object without a row, as a crash between PUT and COMMIT leaves it; its key."""
        content = body_of(index) if body is None else body
        key = ChunkKey(recording_id or self.recording_id, index, 0, sha256(content).digest(), new_uuid7()).text
        await self.store.put(key, content)
        return key

    async def put_pack_orphan(self, chunks: Sequence[PackChunk]) -> str:
        """A pack without a row; its key."""
        key = PackKey(new_uuid7()).text
        await self.store.put(key, build_pack(chunks)[0])
        return key

    def pack_chunk(self, index: int, recording_id: UUID | None = None) -> PackChunk:
        """The chunk as it goes into a pack."""
        body = body_of(index)
        return PackChunk(recording_id or self.recording_id, index, 0, sha256(body).digest(), body)

    async def store_loose(self, chunk_ids: Sequence[str]) -> NewObject:
        """Store loose chunks in one pack and acknowledge them."""
        chunks = [
            PackChunk(loose_recording_id(name), 0, 0, sha256(name.encode()).digest(), name.encode(), name)
            for name in chunk_ids
        ]
        object_id = new_uuid7()
        pack, offsets = build_pack(chunks)
        stored = await self._put(object_id, PackKey(object_id).text, pack)
        rows = [
            NewChunk(c.recording_id, 0, 0, object_id, offset, len(c.body), c.sha256, c.chunk_id)
            for c, offset in zip(chunks, offsets, strict=True)
        ]
        await self._acknowledge(stored, rows)
        return stored

    async def list_rows(self) -> list[StoredChunk]:
        """The recording's rows."""
        return await self.ledger.list_chunks(self.recording_id, after_index=-1, limit=1_000)

    async def rows(self) -> int:
        """How many there are."""
        return len(await self.list_rows())

    async def complete(self) -> bytes:
        """Complete the recording with all its chunks; the certificate's bytes."""
        completer = Completer(self.ledger, self.store, Verifier(self.ledger, self.store), server_version="1")
        certificate = await completer.complete(self.recording_id, manifest_of(await self.rows()))
        assert isinstance(certificate, bytes)
        return certificate

    async def drop_row(self, recording_id: UUID, index: int) -> None:
        """Behind the server's back."""
        if isinstance(self.ledger, MemoryLedger):
            self.ledger.chunks.remove((recording_id, index))
        else:
            await self.sql("delete from chunks where recording_id = %s and chunk_index = %s", recording_id, index)

    async def drop_object_row(self, stored: NewObject) -> None:
        """The object's row and all that point to it."""
        if isinstance(self.ledger, MemoryLedger):
            for row in self.ledger.chunks.of_object(stored.object_id):
                self.ledger.chunks.remove((row.recording_id, row.chunk_index))
            del self.ledger.objects[stored.object_id]
        else:
            await self.sql("delete from chunks where object_id = %s", stored.object_id)
            await self.sql("delete from objects where object_id = %s", stored.object_id)

    async def drop_recording_row(self) -> None:
        """The recording's row; its chunks' rows stay."""
        if isinstance(self.ledger, MemoryLedger):
            del self.ledger.recordings[self.recording_id]
        else:
            await self.sql("delete from recordings where recording_id = %s", self.recording_id)

    async def sql(self, query: str, *params: object) -> None:
        """On a connection of its own."""
        assert self.database_url is not None
        async with await psycopg.AsyncConnection.connect(self.database_url, autocommit=True) as connection:
            await connection.execute(query.encode(), params)

    async def findings(
        self, kind: FindingKind | None = None, *, is_resolved: bool | None = None
    ) -> list[StoredFinding]:
        """Newest first."""
        which = FindingFilter(kind=kind, is_resolved=is_resolved)
        return await self.audit_ledger.list_findings(which, before=None, limit=1_000)


async def _go_on(_: Tally) -> None:
    pass


def repairs(tally: Tally) -> dict[str, int]:
    """What the audit found and did, without what it only counted."""
    ignored = {"phase", "after", "duration_s", "chunks", "objects", "young"}
    return {name: value for name, value in msgspec.structs.asdict(tally).items() if name not in ignored and value}
