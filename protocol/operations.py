"""What an operator is told: reports of audits, scrubs and collects, and findings. Bodies of the wire, like wire.py."""

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from msgspec import Meta, Struct

from protocol.states import FindingKind, HeldBack, PassStanding

_Time = Annotated[datetime, Meta(tz=True)]
# Left alone for a reason that heals by itself, or that the audit repairs.
_HEALS: Final = frozenset({HeldBack.PINNED, HeldBack.LOST})


class AuditReport(Struct, frozen=True, kw_only=True):
    """`GET /api/audit`: the last whole audit. While `standing` is `running`, the next one is under way.

    Counts are of what this audit saw and did; `wanted` and `unresolved` are how it stands now.
    """

    standing: PassStanding
    chunks: int = 0  # rows of the ledger
    objects: int = 0  # packs and chunks of their own in the bucket
    missing: int = 0  # objects that rows point to and the bucket lost
    orphans: int = 0  # objects that hold chunks without a row
    mismatched: int = 0  # objects whose bytes are not what rows say
    adopted: int = 0  # chunks of orphans that have their row now
    rerequested: int = 0  # chunks that are asked for again
    restored: int = 0  # documents and rows written again from the other side
    foreign: int = 0  # objects of somebody else
    young: int = 0  # objects without a row that may still be on their way
    stalled: int = 0  # recordings newly called so
    unrecoverable: int = 0  # chunks newly called so
    duration_s: float = 0.0
    began_at: _Time | None = None
    ended_at: _Time | None = None
    wanted: int = 0
    unresolved: dict[str, int] = {}

    @property
    def is_harmed(self) -> bool:
        """Whether bytes that were acknowledged are lost, damaged, or nobody's, as far as is known."""
        grave = (FindingKind.MISSING, FindingKind.MISMATCHED, FindingKind.DISPUTED, FindingKind.UNRECOVERABLE)
        return bool(self.missing or self.mismatched or self.wanted or any(self.unresolved.get(kind) for kind in grave))


class ScrubReport(Struct, frozen=True, kw_only=True):
    """`POST /api/scrub`, `GET /api/scrub`: the last whole scrub, and how far the one under way is."""

    standing: PassStanding
    objects: int = 0
    bytes: int = 0
    missing: int = 0  # objects
    mismatched: int = 0  # objects
    rerequested: int = 0  # chunks
    duration_s: float = 0.0
    began_at: _Time | None = None
    ended_at: _Time | None = None
    bytes_so_far: int = 0  # of the one under way

    @property
    def is_harmed(self) -> bool:
        """Whether bytes were lost or damaged."""
        return bool(self.missing or self.mismatched)


class CollectReport(Struct, frozen=True, kw_only=True):
    """`POST /api/collect`, `GET /api/collect`: the last whole pass, and how far the one under way is.

    `held_back` counts objects by the reason for which they were left alone (`HeldBack`).
    """

    standing: PassStanding
    examined: int = 0  # objects that were read
    rewritten: int = 0  # objects whose live chunks were copied
    packs_written: int = 0
    chunks_moved: int = 0
    unlinked: int = 0  # objects that a later pass deletes
    deleted: int = 0  # objects
    bytes_deleted: int = 0
    documents_deleted: int = 0  # of deleted recordings
    late_objects: int = 0  # of deleted recordings, stored after the deletion
    erased: int = 0  # deleted recordings of which nothing but the tombstone is left
    held_back: dict[str, int] = {}
    duration_s: float = 0.0
    began_at: _Time | None = None
    ended_at: _Time | None = None
    examined_so_far: int = 0  # by the one under way
    deleted_so_far: int = 0  # by the one under way

    @property
    def is_harmed(self) -> bool:
        """Whether objects were left alone that somebody should look at."""
        return bool(set(self.held_back) - _HEALS)


class Finding(Struct, frozen=True, kw_only=True):
    """One difference that an audit, a scrub or a read saw, what it means, and what to do next."""

    finding_id: int
    kind: FindingKind
    meaning: str
    next_step: str
    detail: str
    recording_id: UUID | None
    first_chunk_index: int | None
    last_chunk_index: int | None
    chunk_count: int
    object_key: str | None
    seen_at: _Time
    resolved_at: _Time | None


class FindingPage(Struct, frozen=True, kw_only=True):
    """`GET /api/findings`, newest first; `next_cursor` is None on the last page."""

    findings: list[Finding]
    next_cursor: str | None = None
