"""Adoption: chunks that stand in the bucket, whole, and have no row, get theirs (I5, I8).

    1 rows      what the ledger says of each entry: held here, held elsewhere, wanted, another content, nothing
    2 void      entries that lost a race are never adopted
    3 adopt     one transaction, by the rules of acknowledgement: deleted and unknown recordings refuse theirs
    4 void      entries that contradict a row lose, and the bucket says so from now on

An entry of a recording that nobody knows stays where it is, and is looked at again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import msgspec

from protocol.errors import ErrorCode
from protocol.states import ChunkState
from server.audit.entries import UnreadableObjectError
from server.ingest.voids import VoidedContent, find_voided, store_void
from server.storage.audit_ledger import AuditLedger
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
            elif row.state is not ChunkState.DISPUTED and not _is_same(row, chunk):
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
        # 4 void; beside one that stands, which is never written again (I11)
        losers = [chunk for chunk in losers if _content_of(chunk) not in voided]
        if losers:
            await store_void(self._store, new.object_id, losers, new_uuid7() if voided else None)
        return Adoption(adopted, unknown)

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


def _is_same(row: StoredChunk, chunk: NewChunk) -> bool:
    return row.has_content_of(chunk.run, chunk.size, chunk.sha256)


def _content_of(chunk: NewChunk) -> VoidedContent:
    return VoidedContent(chunk.recording_id, chunk.chunk_index, chunk.run, chunk.size, chunk.sha256)
