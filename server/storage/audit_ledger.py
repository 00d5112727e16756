"""The port to what the audit reads and repairs in the ledger, beside what every client needs (`Ledger`).

The same contract holds (server/storage/ledger.py): a method that returns has committed, a repeat is a
success, times are the ledger's own, and every repair repeats its premise in the statement that makes
it, so that two auditors at once do no harm (I5). One suite runs over every adapter:
tests/contracts/test_audit_ledger.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

from protocol.states import FindingKind, RecordingState
from server.storage.ledger import NewChunk, NewObject, Outcome, StoredObject

# Enough to say that it is many; counting on would cost more than anybody learns from it.
WANTED_COUNT_MAX: Final = 100_000


@dataclass(frozen=True, slots=True)
class AuditedObject:
    """An object's row with what points to it: `wanted_count` of the `row_count` rows are `wanted`.

    `entry_count` is how many chunks the object says it holds (None: nobody has read that yet), and
    `waste_count` how many of them need no row, as an audit saw it last.
    """

    object: StoredObject
    entry_count: int | None
    waste_count: int
    row_count: int
    wanted_count: int

    @property
    def is_accounted_for(self) -> bool:
        """Whether every entry has its row or was found to need none; a lost row shows here."""
        return self.entry_count == self.row_count + self.waste_count


@dataclass(frozen=True, slots=True)
class AuditedRecording:
    """What the ledger keeps of a recording beside its chunks."""

    recording_id: UUID
    state: RecordingState
    has_certificate: bool
    is_certificate_stored: bool


@dataclass(frozen=True, slots=True)
class RecordingDocuments:
    """The bytes of `recording.json`, `certificate.json` and `deleted.json` as the ledger keeps them."""

    document: bytes | None
    certificate: bytes | None
    tombstone: bytes | None


@dataclass(frozen=True, slots=True)
class NewFinding:
    """A difference. While one of the same kind and subject is unresolved, it is not noted again.

    `is_resolved`: it was repaired as it was found, and is noted for those who look back.
    """

    kind: FindingKind
    detail: str
    object_key: str | None = None
    recording_id: UUID | None = None
    object_id: UUID | None = None
    chunk_count: int = 0
    is_resolved: bool = False

    @property
    def subject(self) -> str:
        """The bucket key or the recording that it is about."""
        return self.object_key or str(self.recording_id)


@dataclass(frozen=True, slots=True)
class StoredFinding:
    """A finding's row. `first_chunk_index` to `last_chunk_index` where chunks of one recording are concerned."""

    finding_id: int
    kind: FindingKind
    recording_id: UUID | None
    first_chunk_index: int | None
    last_chunk_index: int | None
    chunk_count: int
    object_key: str | None
    seen_at: datetime
    resolved_at: datetime | None
    detail: str


@dataclass(frozen=True, slots=True)
class FindingFilter:
    """Which findings are listed; None does not filter."""

    kind: FindingKind | None = None
    recording_id: UUID | None = None
    is_resolved: bool | None = None


@dataclass(frozen=True, slots=True)
class SettledFindings:
    """What became of findings: how many are resolved now, and which chunks are called unrecoverable since."""

    resolved_count: int
    unrecoverable: list[StoredFinding]


@dataclass(frozen=True, slots=True)
class SettledRecordings:
    """Recordings whose client has not been heard of for long, and those whose client came back."""

    stalled: list[UUID]
    returned: list[UUID]


@dataclass(frozen=True, slots=True)
class TakenPass:
    """A pass that the caller may run now; `progress` is what was saved last, "" at its beginning."""

    kind: str
    holder: UUID
    began_at: datetime
    progress: str


@dataclass(frozen=True, slots=True)
class PassState:
    """The passes of one kind. `now` is the ledger's clock; `progress` is None while none is unfinished."""

    now: datetime
    asked_at: datetime | None
    began_at: datetime | None
    progress: str | None
    ended_at: datetime | None
    report: str | None


class AuditLedger(Protocol):
    """The same database as the `Ledger`, or its stand-in. Every `limit` is 1..LIST_ROWS_MAX."""

    # -- objects

    async def list_objects(self, *, after_key: str, up_to_key: str, limit: int) -> list[AuditedObject]:
        """Rows with a key above `after_key` and not above `up_to_key`, in byte order of the keys."""
        ...

    async def find_object(self, key: str) -> AuditedObject | None:
        """The row of that key as it is now."""
        ...

    async def adopt(self, new: NewObject, chunks: Sequence[NewChunk]) -> list[Outcome] | None:
        """As `Ledger.acknowledge`, for an object that was found and read back whole; None where it is on its way out.

        A row may only point to a `stored` object, so a row of it that stands is locked `for share`
        first. Without chunks only the object gets its row, with `has_waste`. New rows are noted as adopted.
        """
        ...

    async def dispute(self, new: NewObject, chunks: Sequence[NewChunk]) -> list[NewChunk]:
        """Of entries that contradict their rows, or whose rows are `disputed`: those that are kept beside them.

        A row that was adopted itself becomes `disputed`: nobody is known to hold a receipt for either content. A
        disputed one gets the entry as a copy. A recording's certificate has decided already, and an object that is on
        its way out disputes nothing.
        """
        ...

    async def note_entries(self, object_id: UUID, entry_count: int, *, open_count: int = 0) -> None:
        """The object holds so many entries; those that no row points to now are waste, but for `open_count`."""
        ...

    async def count_wanted(self) -> int:
        """How many chunks are asked for again now, at most WANTED_COUNT_MAX."""
        ...

    # -- recordings

    async def list_recordings(self, *, after: UUID | None, up_to: UUID | None, limit: int) -> list[AuditedRecording]:
        """In order of recording_id, above `after` and not above `up_to`; deleted ones too."""
        ...

    async def read_documents(self, recording_id: UUID) -> RecordingDocuments | None:
        """None where there is no row."""
        ...

    async def restore_certificate(self, recording_id: UUID, certificate: bytes, chunk_count: int) -> bool:
        """A certificate that the bucket holds and the ledger lost, where it still has none (I4).

        The recording is `complete` if every row of it is stored and verified, else `damaged`.
        """
        ...

    async def complete_again(self, recording_id: UUID) -> None:
        """A `damaged` recording whose manifest is whole, stored and verified is `complete` from now on (I4)."""
        ...

    async def note_sighting(self, recording_id: UUID) -> None:
        """Its client was heard of; a `stalled` recording is `open` again. Waits for no flush, which proves the same."""
        ...

    async def settle_stalled(
        self, *, after: UUID | None, up_to: UUID | None, stalled_after_s: float
    ) -> SettledRecordings:
        """Among these recordings: `open` ones not heard of for so long become `stalled`, heard ones `open` again."""
        ...

    # -- findings

    async def note_finding(self, finding: NewFinding) -> bool:
        """False where the same is noted already and unresolved."""
        ...

    async def list_findings(self, which: FindingFilter, *, before: int | None, limit: int) -> list[StoredFinding]:
        """Newest first; `before` is exclusive."""
        ...

    async def resolve_finding(self, finding_id: int) -> None: ...

    async def count_unresolved(self) -> dict[FindingKind, int]:
        """How many findings of each kind are unresolved; kinds without one are left out."""
        ...

    async def settle_findings(self, unrecoverable_after_s: float) -> SettledFindings:
        """Resolve what came true again; call unrecoverable what nobody can be expected to send any more.

        Resolved: `missing` and `mismatched` without a row that is still `wanted`, `stalled` of a
        recording that is not, `unrecoverable` of chunks that came after all. Unrecoverable: chunks
        that have been wanted for so long, of a recording that is not open, or whose client was heard
        of since and did not send them. It stays revocable: the row stays `wanted`.
        """
        ...

    # -- passes and lives

    async def ask_pass(self, kind: str) -> datetime:
        """Somebody wants a pass that begins from now on; the ledger's time."""
        ...

    async def take_pass(self, kind: str, holder: UUID, *, every_s: float, lease_s: float) -> TakenPass | None:
        """The unfinished pass, or a new one that was asked for or is due, unless another holder runs it.

        One that was asked for after the unfinished one began starts over. `every_s` 0: never due by itself.
        """
        ...

    async def save_pass(self, taken: TakenPass, progress: str, *, lease_s: float) -> bool:
        """Keep where it stands, and the lease; False where another holder has taken it."""
        ...

    async def finish_pass(self, taken: TakenPass, report: str) -> bool:
        """Keep the report; False where another holder has taken it."""
        ...

    async def release_pass(self, taken: TakenPass) -> None:
        """Let another holder go on with it at once."""
        ...

    async def read_pass(self, kind: str) -> PassState: ...

    async def begin_life(self, node: str, life_id: UUID) -> bool:
        """A server starts; False where its last life has not ended well."""
        ...

    async def end_life(self, life_id: UUID) -> None:
        """It ended well."""
        ...
