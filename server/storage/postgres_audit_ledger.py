"""What the audit needs of the ledger in PostgreSQL: each method handed to the module that holds its SQL."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from protocol.states import FindingKind
from server.storage import postgres_audit_objects, postgres_findings, postgres_passes
from server.storage.audit_ledger import (
    AuditedObject,
    AuditedRecording,
    FindingFilter,
    NewFinding,
    PassState,
    RecordingDocuments,
    SettledFindings,
    SettledRecordings,
    StoredFinding,
    TakenPass,
)
from server.storage.ledger import NewChunk, NewObject, Outcome
from server.storage.postgres_connection import PostgresConnections


class PostgresAuditLedger:
    """Over the connections of a `PostgresLedger`, which opens and closes them."""

    def __init__(self, connections: PostgresConnections) -> None:
        self._connections = connections

    async def list_objects(self, *, after_key: str, up_to_key: str, limit: int) -> list[AuditedObject]:
        return await postgres_audit_objects.list_objects(self._connections, after_key, up_to_key, limit)

    async def find_object(self, key: str) -> AuditedObject | None:
        return await postgres_audit_objects.find_object(self._connections, key)

    async def adopt(self, new: NewObject, chunks: Sequence[NewChunk]) -> list[Outcome] | None:
        return await postgres_audit_objects.adopt(self._connections, new, chunks)

    async def dispute(self, new: NewObject, chunks: Sequence[NewChunk]) -> list[NewChunk]:
        return await postgres_audit_objects.dispute(self._connections, new, chunks)

    async def note_entries(self, object_id: UUID, entry_count: int, *, open_count: int = 0) -> None:
        await postgres_audit_objects.note_entries(self._connections, object_id, entry_count, open_count)

    async def count_wanted(self) -> int:
        return await postgres_audit_objects.count_wanted(self._connections)

    async def list_recordings(self, *, after: UUID | None, up_to: UUID | None, limit: int) -> list[AuditedRecording]:
        return await postgres_audit_objects.list_recordings(self._connections, after, up_to, limit)

    async def read_documents(self, recording_id: UUID) -> RecordingDocuments | None:
        return await postgres_audit_objects.read_documents(self._connections, recording_id)

    async def restore_certificate(self, recording_id: UUID, certificate: bytes, chunk_count: int) -> bool:
        return await postgres_audit_objects.restore_certificate(
            self._connections, recording_id, certificate, chunk_count
        )

    async def complete_again(self, recording_id: UUID) -> None:
        await postgres_audit_objects.complete_again(self._connections, recording_id)

    async def note_sighting(self, recording_id: UUID) -> None:
        await postgres_audit_objects.note_sighting(self._connections, recording_id)

    async def settle_stalled(
        self, *, after: UUID | None, up_to: UUID | None, stalled_after_s: float
    ) -> SettledRecordings:
        return await postgres_audit_objects.settle_stalled(self._connections, after, up_to, stalled_after_s)

    async def note_finding(self, finding: NewFinding) -> bool:
        return await postgres_findings.note_finding(self._connections, finding)

    async def list_findings(self, which: FindingFilter, *, before: int | None, limit: int) -> list[StoredFinding]:
        return await postgres_findings.list_findings(self._connections, which, before, limit)

    async def resolve_finding(self, finding_id: int) -> None:
        await postgres_findings.resolve_finding(self._connections, finding_id)

    async def count_unresolved(self) -> dict[FindingKind, int]:
        return await postgres_findings.count_unresolved(self._connections)

    async def settle_findings(self, unrecoverable_after_s: float) -> SettledFindings:
        return await postgres_findings.settle_findings(self._connections, unrecoverable_after_s)

    async def ask_pass(self, kind: str) -> datetime:
        return await postgres_passes.ask_pass(self._connections, kind)

    async def take_pass(self, kind: str, holder: UUID, *, every_s: float, lease_s: float) -> TakenPass | None:
        return await postgres_passes.take_pass(self._connections, kind, holder, every_s, lease_s)

    async def save_pass(self, taken: TakenPass, progress: str, *, lease_s: float) -> bool:
        return await postgres_passes.save_pass(self._connections, taken, progress, lease_s)

    async def finish_pass(self, taken: TakenPass, report: str) -> bool:
        return await postgres_passes.finish_pass(self._connections, taken, report)

    async def release_pass(self, taken: TakenPass) -> None:
        await postgres_passes.release_pass(self._connections, taken)

    async def read_pass(self, kind: str) -> PassState:
        return await postgres_passes.read_pass(self._connections, kind)

    async def begin_life(self, node: str, life_id: UUID) -> bool:
        return await postgres_passes.begin_life(self._connections, node, life_id)

    async def end_life(self, life_id: UUID) -> None:
        await postgres_passes.end_life(self._connections, life_id)
