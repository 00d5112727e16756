"""What the audit needs of a ledger in memory: over the rows of a `MemoryLedger`, the contract of `AuditLedger`."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from protocol.states import ChunkState, FindingKind, ObjectState, RecordingState
from server.storage.audit_ledger import (
    WANTED_COUNT_MAX,
    AuditedObject,
    AuditedRecording,
    FindingFilter,
    NewFinding,
    RecordingDocuments,
    SettledFindings,
    SettledRecordings,
    StoredFinding,
)
from server.storage.ledger import NewChunk, NewObject, Outcome, StoredObject, check_page_limit
from server.storage.memory_ledger import MemoryLedger
from server.storage.memory_passes import MemoryPasses
from server.storage.memory_rows import FindingRow, ObjectRow, RecordingRow
from server.storage.rebuild_rules import Placement, is_kept

_LOST = (FindingKind.MISSING, FindingKind.MISMATCHED)


@dataclass(slots=True)
class MemoryAuditLedger(MemoryPasses):
    """Over the rows of one `MemoryLedger`, and by its clock."""

    ledger: MemoryLedger
    lives: dict[UUID, str] = field(default_factory=dict)

    def read_now(self) -> datetime:
        """The ledger's clock."""
        return self.ledger.now()

    # -- objects

    async def list_objects(self, *, after_key: str, up_to_key: str, limit: int) -> list[AuditedObject]:
        check_page_limit(limit)
        rows = [row for row in self.ledger.objects.values() if after_key < row.stored.key <= up_to_key]
        rows.sort(key=lambda row: row.stored.key)
        return [self._describe(row) for row in rows[:limit]]

    async def find_object(self, key: str) -> AuditedObject | None:
        return next((self._describe(row) for row in self.ledger.objects.values() if row.stored.key == key), None)

    async def adopt(self, new: NewObject, chunks: Sequence[NewChunk]) -> list[Outcome] | None:
        standing = self.ledger.objects.get(new.object_id)
        if standing is not None and standing.stored.state is not ObjectState.STORED:
            return None
        if chunks:
            fresh = {chunk.key for chunk in chunks}
            fresh -= {key for key in fresh if self.ledger.chunks.find(key) is not None}
            outcomes = await self.ledger.acknowledge([new], chunks)
            self.ledger.chunks.adopted |= {key for key in fresh if self.ledger.chunks.find(key) is not None}
            return outcomes
        self._add_waste(new)
        return []

    async def dispute(self, new: NewObject, chunks: Sequence[NewChunk]) -> list[NewChunk]:
        self._add_waste(new)
        if self.ledger.objects[new.object_id].stored.state is not ObjectState.STORED:
            return []
        return [chunk for chunk in chunks if is_kept(self._place_beside(chunk))]

    def _place_beside(self, chunk: NewChunk) -> Placement | None:
        row, recording = self.ledger.chunks.find(chunk.key), self.ledger.recordings.get(chunk.recording_id)
        if row is None:
            return None
        is_certified = recording is not None and recording.certificate is not None
        is_acknowledged = is_certified or chunk.key not in self.ledger.chunks.adopted
        return self.ledger.place_beside(chunk, row, is_acknowledged=is_acknowledged)

    def _add_waste(self, new: NewObject) -> None:
        stored = StoredObject(new.object_id, new.key, new.size, new.etag, ObjectState.STORED, None)
        self.ledger.objects.setdefault(new.object_id, ObjectRow(stored, has_waste=True))

    async def note_entries(self, object_id: UUID, entry_count: int, *, open_count: int = 0) -> None:
        row = self.ledger.objects.get(object_id)
        if row is not None:
            row.entry_count = entry_count
            row.waste_count = max(0, entry_count - open_count - len(self.ledger.chunks.of_object(object_id)))
            row.has_waste = row.has_waste or row.waste_count > 0

    async def count_wanted(self) -> int:
        wanted = sum(self._describe(row).wanted_count for row in self.ledger.objects.values())
        return min(wanted, WANTED_COUNT_MAX)

    # -- recordings

    async def list_recordings(self, *, after: UUID | None, up_to: UUID | None, limit: int) -> list[AuditedRecording]:
        check_page_limit(limit)
        return [
            AuditedRecording(row.recording_id, row.state, row.certificate is not None, row.is_certificate_stored)
            for row in self._between(after, up_to)[:limit]
        ]

    async def read_documents(self, recording_id: UUID) -> RecordingDocuments | None:
        row = self.ledger.recordings.get(recording_id)
        return None if row is None else RecordingDocuments(row.document, row.certificate, row.tombstone)

    async def restore_certificate(self, recording_id: UUID, certificate: bytes, chunk_count: int) -> bool:
        row = self.ledger.recordings.get(recording_id)
        if row is None or row.certificate is not None or row.state is RecordingState.DELETED:
            return False
        row.state, row.certificate, row.certified_at = RecordingState.DAMAGED, certificate, self.read_now()
        row.certified_chunks, row.is_certificate_stored = chunk_count, True
        self.ledger.complete_again(row)
        return True

    async def complete_again(self, recording_id: UUID) -> None:
        row = self.ledger.recordings.get(recording_id)
        if row is not None:
            self.ledger.complete_again(row)

    async def note_sighting(self, recording_id: UUID) -> None:
        row = self.ledger.recordings.get(recording_id)
        if row is not None:
            row.last_seen_at = self.read_now()
            if row.state is RecordingState.STALLED:
                row.state = RecordingState.OPEN

    async def settle_stalled(
        self, *, after: UUID | None, up_to: UUID | None, stalled_after_s: float
    ) -> SettledRecordings:
        settled = SettledRecordings([], [])
        limit = self.read_now() - timedelta(seconds=stalled_after_s)
        for row in self._between(after, up_to):
            seen_at = self._seen_at(row)
            if row.state is RecordingState.OPEN and seen_at < limit:
                row.state = RecordingState.STALLED
                settled.stalled.append(row.recording_id)
            elif row.state is RecordingState.STALLED and seen_at >= limit:
                row.state = RecordingState.OPEN
                settled.returned.append(row.recording_id)
        return settled

    # -- findings

    async def note_finding(self, finding: NewFinding) -> bool:
        for row in self.ledger.findings:
            if row.resolved_at is None and (row.kind, row.subject) == (finding.kind, finding.subject):
                return False
        self.ledger.findings.append(
            FindingRow(
                finding.kind,
                finding.object_key,
                (),
                self.read_now(),
                subject=finding.subject,
                object_id=finding.object_id,
                recording_id=finding.recording_id,
                chunk_count=finding.chunk_count,
                detail=finding.detail,
                resolved_at=self.read_now() if finding.is_resolved else None,
            )
        )
        return True

    async def list_findings(self, which: FindingFilter, *, before: int | None, limit: int) -> list[StoredFinding]:
        check_page_limit(limit)
        numbered = [_describe(number, row) for number, row in enumerate(self.ledger.findings, start=1)]
        matching = [
            found
            for found in reversed(numbered)
            if (before is None or found.finding_id < before)
            and which.kind in (None, found.kind)
            and which.recording_id in (None, found.recording_id)
            and which.is_resolved in (None, found.resolved_at is not None)
        ]
        return matching[:limit]

    async def resolve_finding(self, finding_id: int) -> None:
        row = self.ledger.findings[finding_id - 1]
        row.resolved_at = row.resolved_at or self.read_now()

    async def count_unresolved(self) -> dict[FindingKind, int]:
        return dict(Counter(row.kind for row in self.ledger.findings if row.resolved_at is None))

    async def settle_findings(self, unrecoverable_after_s: float) -> SettledFindings:
        now = self.read_now()
        resolved = [row for row in self.ledger.findings if row.resolved_at is None and self._came_true(row)]
        for row in resolved:
            row.resolved_at = now
        limit = now - timedelta(seconds=unrecoverable_after_s)
        called: list[StoredFinding] = []
        for row in list(self.ledger.findings):
            if row.resolved_at is None and row.kind in _LOST and row.seen_at < limit and self._is_given_up(row):
                finding = NewFinding(
                    FindingKind.UNRECOVERABLE,
                    "nobody sent the chunks again",
                    object_key=row.object_key,
                    recording_id=row.recording_id,
                    object_id=row.object_id,
                    chunk_count=row.chunk_count,
                )
                if await self.note_finding(finding):
                    called.append(_describe(len(self.ledger.findings), self.ledger.findings[-1]))
        return SettledFindings(len(resolved), called)

    # -- lives

    async def begin_life(self, node: str, life_id: UUID) -> bool:
        lost = [known for known, where in self.lives.items() if where == node and known != life_id]
        for known in lost:
            del self.lives[known]
        self.lives[life_id] = node
        return not lost

    async def end_life(self, life_id: UUID) -> None:
        self.lives.pop(life_id, None)

    # -- parts

    def _describe(self, row: ObjectRow) -> AuditedObject:
        chunks = self.ledger.chunks.of_object(row.stored.object_id)
        wanted = sum(chunk.state is ChunkState.WANTED for chunk in chunks)
        return AuditedObject(row.stored, row.entry_count, row.waste_count, len(chunks), wanted)

    def _between(self, after: UUID | None, up_to: UUID | None) -> list[RecordingRow]:
        rows = self.ledger.recordings.values()
        chosen = [
            row
            for row in rows
            if (after is None or row.recording_id > after) and (up_to is None or row.recording_id <= up_to)
        ]
        return sorted(chosen, key=lambda row: row.recording_id)

    def _seen_at(self, row: RecordingRow) -> datetime:
        chunks = (chunk.acknowledged_at for chunk in self.ledger.chunks.of_recording(row.recording_id))
        return max([row.registered_at, *([row.last_seen_at] if row.last_seen_at else []), *chunks])

    def _came_true(self, row: FindingRow) -> bool:
        if row.kind is FindingKind.STALLED and row.recording_id is not None:
            recording = self.ledger.recordings.get(row.recording_id)
            return recording is None or recording.state is not RecordingState.STALLED
        is_about_chunks = row.kind in (*_LOST, FindingKind.UNRECOVERABLE) and row.object_id is not None
        return is_about_chunks and not self._has_wanted(row)

    def _has_wanted(self, row: FindingRow) -> bool:
        assert row.object_id is not None
        return any(chunk.state is ChunkState.WANTED for chunk in self.ledger.chunks.of_object(row.object_id))

    def _is_given_up(self, row: FindingRow) -> bool:
        if row.object_id is None or not self._has_wanted(row):
            return False
        recording = None if row.recording_id is None else self.ledger.recordings.get(row.recording_id)
        if recording is None or recording.state is not RecordingState.OPEN:
            return True
        return recording.last_seen_at is not None and recording.last_seen_at > row.seen_at


def _describe(number: int, row: FindingRow) -> StoredFinding:
    indexes = [index for _, index in row.chunks] if row.recording_id is not None else []
    return StoredFinding(
        number,
        row.kind,
        row.recording_id,
        min(indexes, default=None),
        max(indexes, default=None),
        row.chunk_count,
        row.object_key,
        row.seen_at,
        row.resolved_at,
        row.detail,
    )
