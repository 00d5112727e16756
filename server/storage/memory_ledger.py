"""A ledger in memory: for unit tests and simulations, with the whole contract of `Ledger`.

One event loop uses it and no method awaits in the middle, so each call is one transaction.
"""

from asyncio import Future
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from protocol.ids import is_recording_id
from protocol.limits import VERIFY_CHUNKS_MAX
from protocol.states import ChunkState, FindingKind, ObjectState, RecordingState
from protocol.wire import IndexGap, ManifestEntry
from server.storage.acknowledge_rules import Standing, judge_chunk, points_to, read_contents, row_of
from server.storage.ledger import (
    EVERY_RECORDING,
    Acknowledged,
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
    StoredObject,
    StoredRecording,
    check_key_count,
    check_page_limit,
)
from server.storage.memory_rows import ChunkKey, ChunkTable, FindingRow, ObjectRow, RecordingRow
from server.storage.rebuild_rules import Placement, content_of, copy_of, place_found


@dataclass(slots=True)
class MemoryLedger:
    """The rows are open to tests: `objects`, `chunks`, `findings`. `now` is the ledger's own clock, in UTC."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    installation_id: UUID | None = None
    recordings: dict[UUID, RecordingRow] = field(default_factory=dict)
    objects: dict[UUID, ObjectRow] = field(default_factory=dict)
    chunks: ChunkTable = field(default_factory=ChunkTable)
    findings: list[FindingRow] = field(default_factory=list)
    disputed: dict[ChunkKey, list[NewChunk]] = field(default_factory=dict)

    async def read_installation(self) -> Installation:
        return Installation(self.installation_id, is_empty=not (self.recordings or self.objects or self.chunks))

    async def write_installation(self, installation_id: UUID) -> UUID:
        if self.installation_id is None:
            self.installation_id = installation_id
        return self.installation_id

    async def check(self) -> None:
        return None

    async def close(self) -> None:
        return None

    # -- recordings

    async def find_recording(self, recording_id: UUID) -> StoredRecording | None:
        row = self.recordings.get(recording_id)
        return None if row is None else self._describe(row)

    async def register_recording(
        self, *, recording_id: UUID, mime_type: str, title: str | None, started_at: datetime, document: bytes
    ) -> bool:
        if recording_id in self.recordings:
            return False
        self.recordings[recording_id] = RecordingRow(
            recording_id, mime_type, title, started_at.astimezone(UTC), self.now(), document
        )
        return True

    async def find_recording_document(self, recording_id: UUID) -> bytes | None:
        row = self.recordings.get(recording_id)
        return None if row is None else row.document

    async def rename_recording(self, recording_id: UUID, title: str) -> bool:
        row = self.recordings.get(recording_id)
        if row is None or row.state is RecordingState.DELETED:
            return False
        row.title = title
        return True

    async def list_recordings(
        self, *, before: UUID | None, limit: int, which: RecordingFilter = EVERY_RECORDING
    ) -> list[StoredRecording]:
        check_page_limit(limit)
        shown = [
            row
            for row in self.recordings.values()
            if row.state is not RecordingState.DELETED
            and (before is None or row.recording_id < before)
            and row.is_among(which)
        ]
        shown.sort(key=lambda row: row.recording_id, reverse=True)
        return [self._describe(row) for row in shown[:limit]]

    async def list_gaps(self, recording_id: UUID, limit: int) -> list[IndexGap]:
        check_page_limit(limit)
        gaps: list[IndexGap] = []
        expected = 0
        for row in self.chunks.of_recording(recording_id):
            if row.chunk_index > expected:
                gaps.append(IndexGap(expected, row.chunk_index - 1))
            expected = row.chunk_index + 1
        return gaps[:limit]

    async def delete_recording(self, recording_id: UUID, tombstone: bytes) -> bytes:
        now = self.now()
        row = self.recordings.setdefault(recording_id, RecordingRow(recording_id, "", None, now, now, None))
        if row.tombstone is not None:
            return row.tombstone
        row.state, row.tombstone, row.deleted_at = RecordingState.DELETED, tombstone, now
        row.title = row.document = row.certificate = row.certified_at = row.media = None
        self.disputed = {key: contents for key, contents in self.disputed.items() if key[0] != recording_id}
        for object_id in self.chunks.remove_recording(recording_id):
            held = self.objects[object_id]
            held.has_waste = True
            if not self.is_pointed_to(object_id) and held.stored.state is ObjectState.STORED:
                held.stored, held.unlinked_at = replace(held.stored, state=ObjectState.UNLINKED), now
        return tombstone

    # -- chunks

    async def acknowledge(self, objects: Sequence[NewObject], chunks: Sequence[NewChunk]) -> list[Outcome]:
        for new in objects:
            stored = StoredObject(new.object_id, new.key, new.size, new.etag, ObjectState.STORED, None)
            entry_count = sum(chunk.object_id == new.object_id for chunk in chunks)
            self.objects.setdefault(new.object_id, ObjectRow(stored, entry_count=entry_count))
        now = self.now()
        return [await self._acknowledge_one(chunk, now) for chunk in chunks]

    async def acknowledge_coming(
        self, coming: NewObject, etag: "Future[str]", chunks: Sequence[NewChunk]
    ) -> list[Outcome]:
        return await self.acknowledge([msgspec.structs.replace(coming, etag=await etag)], chunks)

    async def look_up(self, keys: Sequence[tuple[UUID, int]]) -> LookedUp:
        sought = {key[0] for key in keys if is_recording_id(key[0])}
        known = {each: row for each in sought if (row := self.recordings.get(each)) is not None}
        deleted = {each for each, row in known.items() if row.state is RecordingState.DELETED}
        return LookedUp(await self.find_rows(keys), frozenset(sought - known.keys()), frozenset(deleted))

    async def find_rows(self, keys: Sequence[tuple[UUID, int]]) -> dict[tuple[UUID, int], StoredChunk]:
        check_key_count(len(keys))
        return {key: row for key in keys if (row := self.chunks.find(key)) is not None}

    async def find_chunks(self, recording_id: UUID, indexes: Sequence[int]) -> dict[int, LocatedChunk]:
        if len(indexes) > VERIFY_CHUNKS_MAX:
            raise ValueError(f"at most {VERIFY_CHUNKS_MAX} chunks at once, asked for {len(indexes)}")
        found = (self.chunks.find((recording_id, index)) for index in indexes)
        return {row.chunk_index: LocatedChunk(row, self.objects[row.object_id].stored) for row in found if row}

    async def list_chunks(self, recording_id: UUID, *, after_index: int, limit: int) -> list[StoredChunk]:
        check_page_limit(limit)
        return [row for row in self.chunks.of_recording(recording_id) if row.chunk_index > after_index][:limit]

    async def list_chunks_of_object(self, object_id: UUID) -> list[StoredChunk]:
        return self.chunks.of_object(object_id)

    async def find_disputed(self, recording_id: UUID, indexes: Sequence[int]) -> list[DisputedCopy]:
        copies = [copy for index in indexes for copy in self.disputed.get((recording_id, index), [])]
        return [DisputedCopy(copy, self.objects[copy.object_id].stored.key) for copy in copies]

    async def settle_dispute(self, winner: NewChunk) -> list[NewChunk]:
        key = (winner.recording_id, winner.chunk_index)
        row, copies = self.chunks.find(key), self.disputed.get(key, [])
        if row is None or not any(_has_same_content(copy, winner) for copy in copies):
            return []
        moved = msgspec.structs.replace(row, state=ChunkState.STORED, object_id=winner.object_id, offset=winner.offset)
        self.chunks.write(msgspec.structs.replace(moved, run=winner.run, size=winner.size, sha256=winner.sha256))
        for copy in self.disputed.pop(key):
            if copy.object_id != winner.object_id:
                self.objects[copy.object_id].has_waste = True
        return [copy for copy in copies if not _has_same_content(copy, winner)]

    # -- verification and repair

    async def mark_verified(self, object_id: UUID, etag: str) -> None:
        held = self.objects.get(object_id)
        if held is None or held.stored.state is not ObjectState.STORED:
            return
        held.stored = replace(held.stored, etag=etag, verified_at=self.now())
        for recording_id in {row.recording_id for row in self.chunks.of_object(object_id)}:
            row = self.recordings.get(recording_id)
            if row is not None:
                self.complete_again(row)

    async def mark_wanted(self, object_id: UUID, chunks: Sequence[StoredChunk], kind: FindingKind) -> int:
        changed = [row for row in chunks if self._still_stands(row, object_id)]
        if not changed:
            return 0
        for row in changed:
            self.chunks.write(msgspec.structs.replace(row, state=ChunkState.WANTED))
            recording = self.recordings.get(row.recording_id)
            if recording is not None and recording.state is RecordingState.COMPLETE:
                recording.state = RecordingState.DAMAGED
        held = self.objects[object_id]
        held.stored, held.has_waste = replace(held.stored, verified_at=None), True
        recordings = {row.recording_id for row in changed}
        self.findings.append(
            FindingRow(
                kind,
                held.stored.key,
                tuple(row.key for row in changed),
                self.now(),
                object_id=object_id,
                recording_id=recordings.pop() if len(recordings) == 1 else None,
                chunk_count=len(changed),
            )
        )
        return len(changed)

    # -- completion

    async def compare_manifest(self, recording_id: UUID, entries: Sequence[ManifestEntry]) -> ManifestComparison:
        comparison = ManifestComparison([], [], [], [])
        rows = {row.chunk_index: row for row in self.chunks.of_recording(recording_id)}
        for entry in entries:
            row = rows.pop(entry.chunk_index, None)
            if row is None:
                comparison.missing.append(entry.chunk_index)
            elif row.state is ChunkState.DISPUTED or not row.has_content_of(
                entry.run, entry.size, bytes.fromhex(entry.sha256)
            ):
                comparison.differing.append(entry.chunk_index)
            elif row.state is ChunkState.WANTED:
                comparison.missing.append(entry.chunk_index)
            elif self.objects[row.object_id].stored.verified_at is None:
                comparison.unverified.append(entry.chunk_index)
        comparison.surplus.extend(sorted(rows))
        return comparison

    async def decide_certificate(
        self, recording_id: UUID, entries: Sequence[ManifestEntry], certificate: bytes
    ) -> Decided | ManifestComparison:
        row = self.recordings.get(recording_id)
        if row is not None and row.certificate is not None:
            return Decided(row.certificate, row.is_certificate_stored)
        comparison = await self.compare_manifest(recording_id, entries)
        if row is None or row.state is RecordingState.DELETED or not comparison.is_equal:
            return comparison
        row.state, row.certificate, row.certified_at = RecordingState.COMPLETE, certificate, self.now()
        row.certified_chunks = len(entries)
        return Decided(certificate, is_stored=False)

    async def find_certificate(self, recording_id: UUID) -> Decided | None:
        row = self.recordings.get(recording_id)
        if row is None or row.certificate is None:
            return None
        return Decided(row.certificate, row.is_certificate_stored)

    async def mark_certificate_stored(self, recording_id: UUID) -> None:
        row = self.recordings.get(recording_id)
        if row is not None and row.certificate is not None:
            row.is_certificate_stored = True

    # -- parts

    def is_pointed_to(self, object_id: UUID) -> bool:
        """Whether a row, or a content of a disputed chunk, points to the object."""
        return bool(self.chunks.of_object(object_id)) or any(
            copy.object_id == object_id for copies in self.disputed.values() for copy in copies
        )

    def place_beside(self, chunk: NewChunk, row: StoredChunk, *, is_acknowledged: bool) -> Placement:
        """What becomes of a chunk found in the bucket that has this row already, by `place_found`."""
        contents = self.disputed.get(row.key, [])
        placement = place_found(chunk, row, contents, is_acknowledged=is_acknowledged)
        if placement is Placement.REPOINT:
            self.chunks.write(row_of(chunk, row.acknowledged_at))
        elif placement is Placement.DISPUTE:
            self.chunks.write(msgspec.structs.replace(row, state=ChunkState.DISPUTED))
            self.disputed[row.key] = [copy_of(row), chunk]
        elif placement is Placement.ADD_COPY:
            others = [copy for copy in contents if content_of(copy) != content_of(chunk)]
            self.disputed[row.key] = [*others, chunk]
            if content_of(copy_of(row)) == content_of(chunk):
                self.chunks.write(msgspec.structs.replace(row, object_id=chunk.object_id, offset=chunk.offset))
        return placement

    async def _acknowledge_one(self, chunk: NewChunk, now: datetime) -> Outcome:
        recording = self.recordings.get(chunk.recording_id)
        key = (chunk.recording_id, chunk.chunk_index)
        existing = self.chunks.find(key)
        outcome = judge_chunk(chunk, _standing_of(recording), existing, self.disputed.get(key, []))
        if outcome is None:
            overruled = await self.settle_dispute(chunk)
            # A receipt stays the same for ever (I3).
            row = row_of(chunk, existing.acknowledged_at if existing else now)
            self.chunks.write(row)
            return Acknowledged(row, is_new=True, overruled=tuple(overruled))
        if not (isinstance(outcome, Acknowledged) and points_to(outcome.chunk, chunk)):
            self.objects[chunk.object_id].has_waste = True
        return outcome

    def _still_stands(self, row: StoredChunk, object_id: UUID) -> bool:
        current = self.chunks.find(row.key)
        return (
            current is not None
            and current.state is ChunkState.STORED
            and (current.object_id, current.offset) == (object_id, row.offset)
        )

    def complete_again(self, row: RecordingRow) -> None:
        """I4 in the other direction, where every chunk of a damaged recording is stored and verified again."""
        if row.state is RecordingState.DAMAGED and self._is_whole(row):
            row.state = RecordingState.COMPLETE

    def _is_whole(self, row: RecordingRow) -> bool:
        rows = self.chunks.of_recording(row.recording_id)
        return len(rows) == row.certified_chunks and all(
            chunk.state is ChunkState.STORED and self.objects[chunk.object_id].stored.verified_at is not None
            for chunk in rows
        )

    def _describe(self, row: RecordingRow) -> StoredRecording:
        rows = self.chunks.of_recording(row.recording_id)
        return StoredRecording(
            row.recording_id,
            row.mime_type,
            row.title,
            row.started_at,
            row.registered_at,
            row.state,
            chunk_count=len(rows),
            byte_count=sum(chunk.size for chunk in rows),
            wanted_count=_count_wanted(rows),
            certified_at=row.certified_at,
            media=None if row.media is None else row.media.summary,
        )


def _standing_of(recording: RecordingRow | None) -> Standing | None:
    if recording is None:
        return None
    contents = None if recording.certificate is None else read_contents(recording.certificate)
    return Standing(recording.state, contents)


def _has_same_content(one: NewChunk, other: NewChunk) -> bool:
    return (one.run, one.size, one.sha256) == (other.run, other.size, other.sha256)


def _count_wanted(rows: Iterable[StoredChunk]) -> int:
    return sum(row.state is ChunkState.WANTED for row in rows)
