"""The ledger in PostgreSQL: the port's methods, each handed to the module that holds its SQL."""

import asyncio
from asyncio import Future
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from protocol.ids import loose_recording_id
from protocol.states import FindingKind
from protocol.wire import IndexGap, ManifestEntry
from server.storage import (
    postgres_acknowledge,
    postgres_chunks,
    postgres_completion,
    postgres_disputes,
    postgres_recordings,
)
from server.storage.keys import new_uuid7
from server.storage.ledger import (
    EVERY_RECORDING,
    Decided,
    DisputedCopy,
    Installation,
    LocatedChunk,
    LookedUp,
    ManifestComparison,
    NewChunk,
    NewObject,
    Outcome,
    RecordingFilter,
    StoredChunk,
    StoredRecording,
)
from server.storage.postgres_connection import PostgresConnections, Transaction

# Verifications, listings, an audit; more connections than that only queue inside PostgreSQL.
POOL_SIZE_DEFAULT: Final = 8
# So many transactions may stay open while their objects are on their way. One connection of a worker's three for
# flushes is left to those that look up and commit, however slow the bucket is.
WAITING_FOR_OBJECTS_MAX: Final = 2

# Leaves a record in the write-ahead log and nowhere else: its commit proves that the database can flush.
_PROVE_FLUSH: Final = "select pg_logical_emit_message(true, 'holdfast', 'check')"
# Changes no row, and is refused by a read-only database, without the right to write, or without the schema.
_PROVE_RIGHTS: Final = "update chunks set state = state where false"


class PostgresLedger:
    """One database. Made by `open`; belongs to the event loop that opened it."""

    def __init__(self, connections: PostgresConnections) -> None:
        self._connections = connections
        self._waiting_for_objects = 0

    @classmethod
    async def open(
        cls, database_url: str, pool_size: int = POOL_SIZE_DEFAULT, *, is_for_flushes: bool = False
    ) -> "PostgresLedger":
        """Connect in the background: a database that is away shows in the first call, not here.

        `is_for_flushes`: each connection goes through a flush's statements before anyone waits for it
        (docs/decisions/0016), and its process comes to this one's core (docs/decisions/0021).

        The schema must have been brought up by `server.storage.migrations.apply_migrations`.
        """
        connections = PostgresConnections(database_url, pool_size, rehearse=_rehearse_flush if is_for_flushes else None)
        await connections.open()
        return cls(connections)

    @property
    def connections(self) -> PostgresConnections:
        """For the other ports to the same database."""
        return self._connections

    async def close(self) -> None:
        await self._connections.close()

    async def check(self) -> None:
        async with self._connections.transaction() as transaction:
            await transaction.fetch(_PROVE_RIGHTS)
            await transaction.fetch(_PROVE_FLUSH)

    async def read_installation(self) -> Installation:
        return await postgres_recordings.read_installation(self._connections)

    async def write_installation(self, installation_id: UUID) -> UUID:
        return await postgres_recordings.write_installation(self._connections, installation_id)

    async def find_recording(self, recording_id: UUID) -> StoredRecording | None:
        return await postgres_recordings.find_recording(self._connections, recording_id)

    async def register_recording(
        self, *, recording_id: UUID, mime_type: str, title: str | None, started_at: datetime, document: bytes
    ) -> bool:
        return await postgres_recordings.register_recording(
            self._connections, recording_id, mime_type, title, started_at, document
        )

    async def find_recording_document(self, recording_id: UUID) -> bytes | None:
        return await postgres_recordings.find_document(self._connections, recording_id)

    async def rename_recording(self, recording_id: UUID, title: str) -> bool:
        return await postgres_recordings.rename_recording(self._connections, recording_id, title)

    async def list_recordings(
        self, *, before: UUID | None, limit: int, which: RecordingFilter = EVERY_RECORDING
    ) -> list[StoredRecording]:
        return await postgres_recordings.list_recordings(self._connections, before, limit, which)

    async def list_gaps(self, recording_id: UUID, limit: int) -> list[IndexGap]:
        return await postgres_recordings.list_gaps(self._connections, recording_id, limit)

    async def delete_recording(self, recording_id: UUID, tombstone: bytes) -> bytes:
        return await postgres_recordings.delete_recording(self._connections, recording_id, tombstone)

    async def acknowledge(self, objects: Sequence[NewObject], chunks: Sequence[NewChunk]) -> list[Outcome]:
        return await postgres_acknowledge.acknowledge(self._connections, objects, chunks)

    async def acknowledge_coming(
        self, coming: NewObject, etag: "Future[str]", chunks: Sequence[NewChunk]
    ) -> list[Outcome]:
        if self._waiting_for_objects >= WAITING_FOR_OBJECTS_MAX:
            return await postgres_acknowledge.acknowledge_stored(self._connections, coming, etag, chunks)
        self._waiting_for_objects += 1
        try:
            return await postgres_acknowledge.acknowledge_coming(self._connections, coming, etag, chunks)
        finally:
            self._waiting_for_objects -= 1

    async def look_up(self, keys: Sequence[tuple[UUID, int]]) -> LookedUp:
        return await postgres_chunks.look_up(self._connections, keys)

    async def find_rows(self, keys: Sequence[tuple[UUID, int]]) -> dict[tuple[UUID, int], StoredChunk]:
        return await postgres_chunks.find_rows(self._connections, keys)

    async def find_chunks(self, recording_id: UUID, indexes: Sequence[int]) -> dict[int, LocatedChunk]:
        return await postgres_chunks.find_chunks(self._connections, recording_id, indexes)

    async def list_chunks(self, recording_id: UUID, *, after_index: int, limit: int) -> list[StoredChunk]:
        return await postgres_chunks.list_chunks(self._connections, recording_id, after_index, limit)

    async def list_chunks_of_object(self, object_id: UUID) -> list[StoredChunk]:
        return await postgres_chunks.list_chunks_of_object(self._connections, object_id)

    async def find_disputed(self, recording_id: UUID, indexes: Sequence[int]) -> list[DisputedCopy]:
        return await postgres_disputes.find_disputed(self._connections, recording_id, indexes)

    async def settle_dispute(self, winner: NewChunk) -> list[NewChunk]:
        return await postgres_disputes.settle_dispute(self._connections, winner)

    async def mark_verified(self, object_id: UUID, etag: str) -> None:
        await postgres_chunks.mark_verified(self._connections, object_id, etag)

    async def mark_wanted(self, object_id: UUID, chunks: Sequence[StoredChunk], kind: FindingKind) -> int:
        return await postgres_chunks.mark_wanted(self._connections, object_id, chunks, kind)

    async def compare_manifest(self, recording_id: UUID, entries: Sequence[ManifestEntry]) -> ManifestComparison:
        return await postgres_completion.compare_manifest(self._connections, recording_id, entries)

    async def decide_certificate(
        self, recording_id: UUID, entries: Sequence[ManifestEntry], certificate: bytes
    ) -> Decided | ManifestComparison:
        return await postgres_completion.decide_certificate(self._connections, recording_id, entries, certificate)

    async def find_certificate(self, recording_id: UUID) -> Decided | None:
        return await postgres_completion.find_certificate(self._connections, recording_id)

    async def mark_certificate_stored(self, recording_id: UUID) -> None:
        await postgres_completion.mark_certificate_stored(self._connections, recording_id)


async def _rehearse_flush(transaction: Transaction) -> None:
    """The statements of a flush, for a chunk that nobody sent."""
    object_id = new_uuid7()
    chunk_id = f"rehearsal-{object_id}"
    chunk = NewChunk(loose_recording_id(chunk_id), 0, 0, object_id, 0, 1, bytes(32), chunk_id)
    await postgres_chunks.look_up(transaction, [(chunk.recording_id, chunk.chunk_index)])
    etag: Future[str] = asyncio.get_running_loop().create_future()
    etag.set_result("")
    await postgres_acknowledge.acknowledge_coming_in(transaction, NewObject(object_id, chunk_id, 1, ""), etag, [chunk])
    if transaction.last is not None:
        await transaction.fetch(*transaction.last)
