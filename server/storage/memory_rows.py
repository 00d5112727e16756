"""The rows of the ledger in memory, and the two indexes that keep simulations of many chunks quick."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from protocol.states import FindingKind, RecordingState
from server.storage.ledger import RecordingFilter, StoredChunk, StoredObject
from server.storage.media_ledger import StoredMedia

ChunkKey = tuple[UUID, int]


@dataclass(slots=True)
class RecordingRow:
    """A recording's row; one without a document was deleted before it was ever registered."""

    recording_id: UUID
    mime_type: str
    title: str | None
    started_at: datetime
    registered_at: datetime
    document: bytes | None
    state: RecordingState = RecordingState.OPEN
    certificate: bytes | None = None
    certified_at: datetime | None = None
    certified_chunks: int = 0
    is_certificate_stored: bool = False
    tombstone: bytes | None = None
    media: StoredMedia | None = None
    last_seen_at: datetime | None = None  # None: not since it was registered
    deleted_at: datetime | None = None
    is_erased: bool = False

    def is_among(self, which: RecordingFilter) -> bool:
        """Whether the filter lets it pass."""
        part = (which.part or "").lower()
        return (
            (part in (self.title or "").lower() or part in str(self.recording_id))
            and (which.states is None or self.state in which.states)
            and (which.started_from is None or self.started_at >= which.started_from)
            and (which.started_before is None or self.started_at < which.started_before)
        )


@dataclass(slots=True)
class ObjectRow:
    """An object's row with the mark that collect looks for, and what the audit counts."""

    stored: StoredObject
    has_waste: bool = False
    entry_count: int | None = None
    waste_count: int = 0
    unlinked_at: datetime | None = None


@dataclass(slots=True)
class FindingRow:
    """A finding; `chunks` as `mark_wanted` noted them, `subject` as an audit did."""

    kind: FindingKind
    object_key: str | None
    chunks: tuple[ChunkKey, ...]
    seen_at: datetime
    subject: str | None = None
    object_id: UUID | None = None
    recording_id: UUID | None = None
    chunk_count: int = 0
    detail: str = ""
    resolved_at: datetime | None = None


@dataclass(slots=True)
class ChunkTable:
    """The chunks' rows by key, by recording and by object."""

    _by_recording: dict[UUID, dict[int, StoredChunk]] = field(default_factory=dict)
    _keys_by_object: defaultdict[UUID, set[ChunkKey]] = field(default_factory=lambda: defaultdict(set))
    adopted: set[ChunkKey] = field(default_factory=set)  # rows that an audit gave to bytes it found

    def __bool__(self) -> bool:
        return bool(self._by_recording)

    def find(self, key: ChunkKey) -> StoredChunk | None:
        return self._by_recording.get(key[0], {}).get(key[1])

    def write(self, row: StoredChunk) -> None:
        """Insert the row or replace the one under its key."""
        replaced = self.find(row.key)
        if replaced is not None:
            self._keys_by_object[replaced.object_id].discard(row.key)
        self._by_recording.setdefault(row.recording_id, {})[row.chunk_index] = row
        self._keys_by_object[row.object_id].add(row.key)

    def remove(self, key: ChunkKey) -> None:
        """Remove a row behind the ledger's back, as a test of damage does."""
        row = self._by_recording[key[0]].pop(key[1])
        self._keys_by_object[row.object_id].discard(key)
        self.adopted.discard(key)

    def remove_recording(self, recording_id: UUID) -> set[UUID]:
        """Remove all rows of the recording; the objects they pointed to."""
        rows = self._by_recording.pop(recording_id, {}).values()
        for row in rows:
            self._keys_by_object[row.object_id].discard(row.key)
            self.adopted.discard(row.key)
        return {row.object_id for row in rows}

    def of_recording(self, recording_id: UUID) -> list[StoredChunk]:
        """In order of chunk_index."""
        rows = self._by_recording.get(recording_id, {})
        return [rows[index] for index in sorted(rows)]

    def of_object(self, object_id: UUID) -> list[StoredChunk]:
        """In order of their keys."""
        keys = sorted(self._keys_by_object.get(object_id, ()))
        return [self._by_recording[recording_id][index] for recording_id, index in keys]
