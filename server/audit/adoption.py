"""Adoption: chunks that stand in the bucket, whole, and have no row, get theirs (I5, I8).

    1 rows      what the ledger says of each entry: held here, held elsewhere, wanted, another content, nothing
    2 void      entries that lost a race are never adopted
    3 adopt     one transaction, by the rules of acknowledgement: deleted and unknown recordings refuse theirs
    4 dispute   entries that contradict a row which was adopted itself, or whose row is disputed: all are kept, because
                nobody is known to hold a receipt for one of them
    5 void      other entries that contradict a row lose, and the bucket says so from now on

An entry of a recording that nobody knows stays where it is, and is looked at again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import msgspec

from protocol.errors import ErrorCode
from protocol.states import ChunkState, FindingKind
from server.audit.entries import UnreadableObjectError
from server.ingest.voids import VoidedContent, find_voided, store_void
from server.storage.audit_ledger import AuditLedger, NewFinding
from server.storage.blob_store import BlobStore
from server.storage.keys import new_uuid7
from server.storage.ledger import FIND_ROWS_MAX, Acknowledged, Ledger, NewChunk, NewObject, StoredChunk

_CONTRADICTS: Final = frozenset({ErrorCode.CHUNK_DIFFERS, ErrorCode.RECORDING_COMPLETE})
_ChunkKey = tuple[UUID, int]


@dataclass(frozen=True, slots=True)
class Adoption:
    """`adopted` chunks have a row now; `unknown` ones belong to recordings that nobody registered."""

    adopted: list[NewChunk]
    unknown: list[NewChunk]


NOTHING_ADOPTED: Final = Adoption([], [])


class Adopter:
    """Adopts entries of objects that were read back whole.

    Raises `BlobStoreError`, `LedgerError`, and `UnreadableObjectError` where the object's void cannot be read.
    """

    def __init__(self, ledger: Ledger, audit_ledger: AuditLedger, store: BlobStore) -> None:
        self._ledger = ledger
        self._audit_ledger = audit_ledger
        self._store = store

    async def adopt(self, new: NewObject, good: Sequence[NewChunk], *, has_row: bool) -> Adoption:
        """`good` are entries of the object `new` whose digests were checked; `has_row`: the ledger knows the object."""
        # 1 rows
        rows = await self._find_rows(good)
        candidates, losers = [], []
        for chunk in good:
            row = rows.get((chunk.recording_id, chunk.chunk_index))
            if row is None or (row.state is ChunkState.WANTED and _is_same(row, chunk)):
                candidates.append(chunk)
            elif row.state is ChunkState.DISPUTED or not _is_same(row, chunk):
                losers.append(chunk)
        if has_row and not candidates and not losers:
            return NOTHING_ADOPTED
        # 2 void
        voided = await self._read_voids(new.object_id)
        candidates = [chunk for chunk in candidates if _content_of(chunk) not in voided]
        # 3 adopt
        outcomes = await self._audit_ledger.adopt(new, candidates)
        if outcomes is None:
            return NOTHING_ADOPTED  # it is on its way out of the bucket, so nothing may point to it
        adopted, unknown = [], []
        for chunk, outcome in zip(candidates, outcomes, strict=True):
            if isinstance(outcome, Acknowledged):
                if outcome.is_new:
                    adopted.append(chunk)
            elif outcome.code is ErrorCode.RECORDING_UNKNOWN:
                unknown.append(chunk)
            elif outcome.code in _CONTRADICTS:
                losers.append(chunk)
        losers = [chunk for chunk in losers if _content_of(chunk) not in voided]
        if losers:
            await self._settle_losers(new, losers, has_void=bool(voided))
        return Adoption(adopted, unknown)

    async def _settle_losers(self, new: NewObject, losers: Sequence[NewChunk], *, has_void: bool) -> None:
        # 4 dispute
        disputed = await self._audit_ledger.dispute(new, losers)
        for chunk in disputed:
            await self._audit_ledger.note_finding(describe_dispute(chunk))
        # 5 void; beside one that stands, which is never written again (I11)
        voidable = [chunk for chunk in losers if chunk not in disputed]
        if voidable:
            await store_void(self._store, new.object_id, voidable, new_uuid7() if has_void else None)

    async def _find_rows(self, chunks: Sequence[NewChunk]) -> dict[_ChunkKey, StoredChunk]:
        rows: dict[_ChunkKey, StoredChunk] = {}
        for first in range(0, len(chunks), FIND_ROWS_MAX):
            batch = chunks[first : first + FIND_ROWS_MAX]
            rows |= await self._ledger.find_rows([(chunk.recording_id, chunk.chunk_index) for chunk in batch])
        return rows

    async def _read_voids(self, object_id: UUID) -> frozenset[VoidedContent]:
        try:
            return await find_voided(self._store, object_id)
        except msgspec.MsgspecError as error:
            raise UnreadableObjectError(f"its void cannot be read, so nothing says what lost: {error}") from error


def describe_dispute(chunk: NewChunk | StoredChunk) -> NewFinding:
    """The finding, one a recording: the chunk named is the first that was found so."""
    return NewFinding(
        FindingKind.DISPUTED,
        f"the bucket holds two contents of chunk {chunk.chunk_index}, and nothing says which one counts",
        recording_id=chunk.recording_id,
        chunk_count=1,
    )


def _is_same(row: StoredChunk, chunk: NewChunk) -> bool:
    return row.has_content_of(chunk.run, chunk.size, chunk.sha256)


def _content_of(chunk: NewChunk) -> VoidedContent:
    return VoidedContent(chunk.recording_id, chunk.chunk_index, chunk.run, chunk.size, chunk.sha256)
