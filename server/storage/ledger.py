"""The port to the ledger: what is acknowledged, and which object holds it.

Every adapter keeps this contract, and one suite (tests/contracts/test_ledger.py) runs over all:

- A method that returns has committed. One that raises `LedgerUnavailableError` has not: an adapter
  settles a COMMIT whose outcome is unknown by the transaction's own id before it answers or raises.
  Only where even that gets no answer, `LedgerUnsettledError` says that the outcome is unknown.
- A repeat is a success: the same call again returns the same rows (I3).
- Ages and times come from the ledger's own clock.
- Every repair repeats its premise in the statement that makes it, so two repairers do no harm.
"""

from asyncio import Future
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple, Protocol
from uuid import UUID

from msgspec import Struct

from protocol.errors import ErrorCode
from protocol.limits import PAGE_ROWS_MAX
from protocol.states import ChunkState, FindingKind, ObjectState, RecordingState
from protocol.wire import IndexGap, ManifestEntry

# A page, and one row more to see whether another page follows.
LIST_ROWS_MAX: Final = PAGE_ROWS_MAX + 1

# One flush looks all its keys up at once.
FIND_ROWS_MAX: Final = 4_096


class LedgerError(Exception):
    """Root of what a ledger raises.

    LedgerError
    +-- LedgerUnavailableError  nothing was committed; the same call may succeed later
    |   +-- LedgerUnsettledError    it may have been committed after all; repeat the same call
    +-- LedgerRefusedError      the database answers, and will not do this (schema, rights); a person must act
    """


class LedgerUnavailableError(LedgerError):
    """The database cannot be reached, failed, or took too long; nothing of this call is committed."""


class LedgerUnsettledError(LedgerUnavailableError):
    """COMMIT was sent, and the database could not be asked in time what became of it.

    Repeating the same call is right in both cases; concluding that nothing happened is not.
    """


class LedgerRefusedError(LedgerError):
    """The database refused: schema too new, missing rights, a constraint that states an invariant."""


# Values made once or more for every chunk are Structs, which cost a tenth of what a frozen dataclass does.


class NewObject(Struct, frozen=True):
    """A bucket object that was just stored. `object_id` is the UUIDv7 in its key."""

    object_id: UUID
    key: str
    size: int
    etag: str


class NewChunk(Struct, frozen=True, gc=False):
    """A chunk whose bytes stand in the object `object_id` from `offset`; `chunk_id` only for loose chunks."""

    recording_id: UUID
    chunk_index: int
    run: int
    object_id: UUID
    offset: int
    size: int
    sha256: bytes
    chunk_id: str | None = None

    @property
    def key(self) -> tuple[UUID, int]:
        """What has one content for ever (I3), and one row."""
        return (self.recording_id, self.chunk_index)


class StoredChunk(Struct, frozen=True, gc=False):
    """A chunk's row."""

    recording_id: UUID
    chunk_index: int
    run: int
    state: ChunkState
    object_id: UUID
    offset: int
    size: int
    sha256: bytes
    acknowledged_at: datetime
    chunk_id: str | None = None

    @property
    def key(self) -> tuple[UUID, int]:
        """Its primary key."""
        return (self.recording_id, self.chunk_index)

    def has_content_of(self, run: int, size: int, sha256: bytes) -> bool:
        """Whether run and bytes are the same (I3)."""
        return (self.run, self.size, self.sha256) == (run, size, sha256)


class LookedUp(NamedTuple):
    """What the ledger knows of some chunks: the rows that exist, and the recordings that take none.

    Loose chunks need no recording, so their ids are never among those.
    """

    rows: dict[tuple[UUID, int], StoredChunk]
    unknown: frozenset[UUID]
    deleted: frozenset[UUID]


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object's row; `verified_at` is when all its chunks were read back and found right."""

    object_id: UUID
    key: str
    size: int
    etag: str
    state: ObjectState
    verified_at: datetime | None


@dataclass(frozen=True, slots=True)
class LocatedChunk:
    """A chunk's row with the row of its object."""

    chunk: StoredChunk
    object: StoredObject


@dataclass(frozen=True, slots=True)
class DisputedCopy:
    """One content of a disputed chunk, and the key of the object that holds it."""

    chunk: NewChunk
    key: str


class Acknowledged(Struct, frozen=True, gc=False):
    """The chunk's row is committed. `is_new`: it now points to the object of this call.

    `overruled` are the contents that lost a dispute by it; they are voided before anybody is answered.
    """

    chunk: StoredChunk
    is_new: bool
    overruled: tuple[NewChunk, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """The chunk was not acknowledged. `existing` is the row that holds another content, for CHUNK_DIFFERS.

    Codes: CHUNK_DIFFERS, CHUNK_DISPUTED, RECORDING_UNKNOWN, RECORDING_COMPLETE, RECORDING_DELETED.
    """

    code: ErrorCode
    existing: StoredChunk | None = None


Outcome = Acknowledged | Refused


@dataclass(frozen=True, slots=True)
class StoredRecording:
    """A recording's row with the counts of its chunks' rows (`byte_count` in bytes)."""

    recording_id: UUID
    mime_type: str
    title: str | None
    started_at: datetime
    registered_at: datetime
    state: RecordingState
    chunk_count: int
    byte_count: int
    wanted_count: int
    certified_at: datetime | None
    media: bytes | None = None  # the summary of its finished file (server/storage/media_ledger.py)


@dataclass(frozen=True, slots=True)
class RecordingFilter:
    """Which recordings are listed; None does not filter."""

    part: str | None = None  # of the title or of the id in hyphens, whatever its case
    states: frozenset[RecordingState] | None = None
    started_from: datetime | None = None
    started_before: datetime | None = None  # exclusive


EVERY_RECORDING: Final = RecordingFilter()


@dataclass(frozen=True, slots=True)
class ManifestComparison:
    """How a manifest differs from the ledger's rows, as chunk indexes; all empty: they are equal (I4)."""

    missing: list[int]  # in the manifest, and no row or a row in state `wanted`
    surplus: list[int]  # a row, and not in the manifest
    differing: list[int]  # a row of another run, size or digest, or a disputed one
    unverified: list[int]  # equal, and the object has not been read back yet

    @property
    def is_equal(self) -> bool:
        """Whether the manifest may be certified."""
        return not (self.missing or self.surplus or self.differing or self.unverified)


@dataclass(frozen=True, slots=True)
class Decided:
    """The one certificate of this recording, now or from earlier: its bytes, and whether the bucket has them."""

    certificate: bytes
    is_stored: bool


@dataclass(frozen=True, slots=True)
class Installation:
    """The id that bucket and ledger must share, and whether the ledger holds any row besides."""

    installation_id: UUID | None
    is_empty: bool


def check_page_limit(limit: int) -> None:
    """Every listing is bounded (I6): raise `ValueError` unless `limit` is 1..LIST_ROWS_MAX."""
    if not 1 <= limit <= LIST_ROWS_MAX:
        raise ValueError(f"a listing gives 1 to {LIST_ROWS_MAX} rows at once, asked for {limit}")


def check_key_count(count: int) -> None:
    """Raise `ValueError` for more keys at once than FIND_ROWS_MAX (I6)."""
    if count > FIND_ROWS_MAX:
        raise ValueError(f"at most {FIND_ROWS_MAX} rows at once, asked for {count}")


class Ledger(Protocol):
    """One PostgreSQL database, or its stand-in. Every `limit` is 1..LIST_ROWS_MAX."""

    # -- installation and health

    async def read_installation(self) -> Installation: ...

    async def write_installation(self, installation_id: UUID) -> UUID:
        """Write the id unless one stands; return the one that stands."""
        ...

    async def check(self) -> None:
        """Return when the ledger answers and can be written; raise `LedgerError` otherwise."""
        ...

    async def close(self) -> None: ...

    # -- recordings

    async def find_recording(self, recording_id: UUID) -> StoredRecording | None:
        """Also deleted ones, with state `deleted`."""
        ...

    async def register_recording(
        self, *, recording_id: UUID, mime_type: str, title: str | None, started_at: datetime, document: bytes
    ) -> bool:
        """Insert the row with the bytes of `recording.json`; False where one stands already (unchanged)."""
        ...

    async def find_recording_document(self, recording_id: UUID) -> bytes | None:
        """The bytes of `recording.json` as registered."""
        ...

    async def rename_recording(self, recording_id: UUID, title: str) -> bool:
        """False where there is no such recording or it is deleted."""
        ...

    async def list_recordings(
        self, *, before: UUID | None, limit: int, which: RecordingFilter = EVERY_RECORDING
    ) -> list[StoredRecording]:
        """Newest first by recording_id, deleted ones left out; `before` is exclusive."""
        ...

    async def list_gaps(self, recording_id: UUID, limit: int) -> list[IndexGap]:
        """Ranges of indexes below the highest row that have no row, lowest first."""
        ...

    async def delete_recording(self, recording_id: UUID, tombstone: bytes) -> bytes:
        """Set the state to `deleted`, keep the tombstone, remove the chunks' rows; under `for update`.

        Works for an unknown recording too, so that a late chunk is refused. Objects left without a
        row become `unlinked`, all get `has_waste`. Title, document and certificate are erased with the
        rows. Returns the tombstone that stands: a repeat returns the first one.
        """
        ...

    # -- chunks

    async def acknowledge(self, objects: Sequence[NewObject], chunks: Sequence[NewChunk]) -> list[Outcome]:
        """One transaction: the rows of freshly stored objects and of the chunks in them; outcomes in order.

        The keys of `chunks` are distinct. Locks the recordings it touches `for share` in key order.
        A row in state `wanted` with the same content is pointed to the new object and becomes
        `stored`; a stored row with the same content stays as it is. A `disputed` row takes one of the
        contents that the bucket holds of it, and is settled. Loose chunks (recording ids that
        are not version 7) need no recording. Objects with an entry that no row points to get
        `has_waste`. A complete recording takes only chunks of its manifest.
        """
        ...

    async def acknowledge_coming(
        self, coming: NewObject, etag: "Future[str]", chunks: Sequence[NewChunk]
    ) -> list[Outcome]:
        """`acknowledge` for one object that is on its way into the bucket, with the ETag that the future gives.

        Nothing is committed before the future has given it. Where it raises, its error comes out of here and nothing
        is committed at all. The rows may be written meanwhile, seen by nobody.
        """
        ...

    async def look_up(self, keys: Sequence[tuple[UUID, int]]) -> LookedUp:
        """What a flush asks before it stores anything of these chunks, in one statement; at most FIND_ROWS_MAX."""
        ...

    async def find_rows(self, keys: Sequence[tuple[UUID, int]]) -> dict[tuple[UUID, int], StoredChunk]:
        """The rows that exist among these (recording_id, chunk_index), of any recordings; at most FIND_ROWS_MAX."""
        ...

    async def find_chunks(self, recording_id: UUID, indexes: Sequence[int]) -> dict[int, LocatedChunk]:
        """The rows that exist among `indexes` (at most VERIFY_CHUNKS_MAX), by chunk_index."""
        ...

    async def list_chunks(self, recording_id: UUID, *, after_index: int, limit: int) -> list[StoredChunk]:
        """In order of chunk_index, greater than `after_index` (-1 for the first page)."""
        ...

    async def list_chunks_of_object(self, object_id: UUID) -> list[StoredChunk]:
        """The rows that point to the object, whatever their recording."""
        ...

    async def find_disputed(self, recording_id: UUID, indexes: Sequence[int]) -> list[DisputedCopy]:
        """Every content that the bucket holds of those chunks that are `disputed`."""
        ...

    async def settle_dispute(self, winner: NewChunk) -> list[NewChunk]:
        """The row of a disputed chunk holds `winner`, one of its copies, from now on; the contents that lost.

        None lost where it is settled already, or where the winner is none of its copies.
        """
        ...

    # -- verification and repair

    async def mark_verified(self, object_id: UUID, etag: str) -> None:
        """Note that every chunk that pointed to the object was read back and found right under this ETag.

        A `damaged` recording whose manifest is whole, stored and verified again becomes `complete` (I4).
        """
        ...

    async def mark_wanted(self, object_id: UUID, chunks: Sequence[StoredChunk], kind: FindingKind) -> int:
        """Those of `chunks` that still are `stored` in exactly this object become `wanted`; one finding.

        Clears the object's `verified_at` and sets its `has_waste` where any did; a complete recording
        with such a chunk becomes `damaged`. Returns how many rows changed.
        """
        ...

    # -- completion

    async def compare_manifest(self, recording_id: UUID, entries: Sequence[ManifestEntry]) -> ManifestComparison: ...

    async def decide_certificate(
        self, recording_id: UUID, entries: Sequence[ManifestEntry], certificate: bytes
    ) -> Decided | ManifestComparison:
        """Under `for update`: keep these bytes as the certificate if the manifest equals the rows, all verified.

        Where a certificate stands already, that one is returned, whatever `entries` say (the caller
        compares). The state becomes `complete`. Raises nothing for a difference: returns it; an unknown
        or deleted recording has no rows, so its whole manifest is `missing`.
        """
        ...

    async def find_certificate(self, recording_id: UUID) -> Decided | None: ...

    async def mark_certificate_stored(self, recording_id: UUID) -> None: ...
