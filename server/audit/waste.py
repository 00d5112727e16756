"""What of an object is still needed: the rule by which collect copies, drops or leaves alone (I5).

An entry is live where its row is `stored` and points to exactly this object and place. It is dead only
where that can be shown: its recording is deleted, a void names it, its key is held with another content
(I3), its own content stands elsewhere and was read there just now, or a certificate leaves no room for
it. Everything else is left alone, with its object: an entry without a row may be a chunk whose row was
lost, and the last copy of something acknowledged looks like waste until somebody looks closely.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final
from uuid import UUID

from protocol.ids import is_recording_id
from protocol.states import ChunkState, FindingKind, HeldBack, RecordingState
from server.ingest.voids import VoidedContent, find_voided
from server.recordings.damage import ask_again, find_damaged
from server.recordings.describing import ConfirmInstallation
from server.storage.acknowledge_rules import read_contents
from server.storage.blob_store import BlobNotFoundError, BlobStore
from server.storage.collect_ledger import CollectLedger
from server.storage.keys import ChunkKey, InvalidKeyError, parse_key
from server.storage.ledger import FIND_ROWS_MAX, Ledger, StoredChunk, StoredObject
from server.storage.pack_format import PackEntry, PackError, read_pack_index

_CERTIFIED: Final = frozenset({RecordingState.COMPLETE, RecordingState.DAMAGED})


@dataclass(frozen=True, slots=True)
class Inspection:
    """An object's live rows with their bytes; or why it is left alone."""

    held: StoredObject
    live: list[tuple[StoredChunk, bytes]] = field(default_factory=list)
    dead_count: int = 0
    held_back: HeldBack | None = None


class Inspector:
    """Looks at one object at a time; holds its bytes only as long as the caller holds the answer."""

    def __init__(
        self,
        ledger: Ledger,
        collected: CollectLedger,
        store: BlobStore,
        confirm_installation: ConfirmInstallation,
    ) -> None:
        self._ledger = ledger
        self._collected = collected
        self._store = store
        self._confirm_installation = confirm_installation

    async def inspect(self, held: StoredObject) -> Inspection:
        """Raises `BlobStoreError`, `LedgerError`, and what `confirm_installation` raises."""
        rows = await self._ledger.list_chunks_of_object(held.object_id)
        if any(row.state is not ChunkState.STORED for row in rows):
            return Inspection(held, held_back=HeldBack.PINNED)
        try:
            body = await self._store.get(held.key)
        except BlobNotFoundError:
            # Without a row nobody misses it; absent already is what a deletion wants.
            return Inspection(held, held_back=HeldBack.LOST if rows else None)
        damaged = await find_damaged(held, rows, body)
        if damaged:
            await ask_again(self._ledger, self._confirm_installation, held, damaged, FindingKind.MISMATCHED)
            return Inspection(held, held_back=HeldBack.DAMAGED)
        try:
            entries = read_entries(held.key, body)
        except (PackError, InvalidKeyError):
            return Inspection(held, held_back=HeldBack.UNREADABLE)
        places = {(row.recording_id.bytes, row.chunk_index, row.offset) for row in rows}
        others = [entry for entry in entries if (entry.recording_id, entry.chunk_index, entry.offset) not in places]
        if others and not await self._are_dead(held, others):
            return Inspection(held, held_back=HeldBack.UNDECIDED)
        live = [(row, body[row.offset : row.offset + row.size]) for row in rows]
        return Inspection(held, live, len(others))

    async def _are_dead(self, held: StoredObject, entries: Sequence[PackEntry]) -> bool:
        rows: dict[tuple[UUID, int], StoredChunk] = {}
        keys = [_key_of(entry) for entry in entries]
        for first in range(0, len(keys), FIND_ROWS_MAX):
            rows |= await self._ledger.find_rows(keys[first : first + FIND_ROWS_MAX])
        rowless = [entry for entry in entries if _key_of(entry) not in rows]
        voided = await find_voided(self._store, held.object_id) if rowless else frozenset[VoidedContent]()
        for entry in entries:
            row = rows.get(_key_of(entry))
            if row is None:
                if content_of(entry) not in voided and not await self._has_no_place(entry):
                    return False
            elif not await self._is_superseded(entry, row):
                return False
        return True

    async def _is_superseded(self, entry: PackEntry, row: StoredChunk) -> bool:
        """Whether the row holds the key for good with bytes other than these."""
        if row.state is ChunkState.DISPUTED:
            return False
        if not row.has_content_of(entry.run, entry.size, entry.sha256):
            return True
        # The same content: this copy goes only where the row's own was read a moment ago.
        if row.state is not ChunkState.STORED:
            return False
        located = (await self._ledger.find_chunks(row.recording_id, [row.chunk_index])).get(row.chunk_index)
        if located is None or located.chunk.state is not ChunkState.STORED:
            return False
        try:
            own = await self._store.get_range(located.object.key, located.chunk.offset, located.chunk.size)
        except BlobNotFoundError:
            return False
        return sha256(own).digest() == row.sha256

    async def _has_no_place(self, entry: PackEntry) -> bool:
        """Whether an entry without a row can never get one: deleted, or outside of its recording's certificate."""
        recording_id = UUID(bytes=entry.recording_id)
        if not is_recording_id(recording_id):
            return False
        state = (await self._collected.find_states([recording_id])).get(recording_id)
        if state is RecordingState.DELETED:
            return True
        if state not in _CERTIFIED:
            return False
        decided = await self._ledger.find_certificate(recording_id)
        if decided is None:
            return False
        certified = read_contents(decided.certificate).get(entry.chunk_index)
        return certified != (entry.run, entry.size, entry.sha256)


def read_entries(key: str, body: bytes) -> list[PackEntry]:
    """Which chunks the object says it holds (I8). Raises `PackError`, `InvalidKeyError`."""
    parsed = parse_key(key)
    if not isinstance(parsed, ChunkKey):
        return read_pack_index(body)
    return [PackEntry(parsed.recording_id.bytes, parsed.chunk_index, parsed.run, 0, len(body), parsed.sha256, None)]


def content_of(entry: PackEntry) -> VoidedContent:
    """The entry as a void names it."""
    return VoidedContent(UUID(bytes=entry.recording_id), entry.chunk_index, entry.run, entry.size, entry.sha256)


def _key_of(entry: PackEntry) -> tuple[UUID, int]:
    return UUID(bytes=entry.recording_id), entry.chunk_index
