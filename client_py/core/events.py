"""What happens to the client: past tense, each with the moment it happened at.

An event is what a port answered to an effect, what the window said, or the passing of time.
"""

from msgspec import Struct

from client_py.core.recovery import RecoveredLog
from client_py.messages import FromWindow, Slice


class Moment(Struct, frozen=True):
    """When an event happened, with the one random number that deciding about it may use.

    `monotonic_ms` measures durations; `unix_ms` is for people and for what outlives the page.
    """

    monotonic_ms: int
    unix_ms: int
    jitter: float  # in [0, 1)


class Event(Struct, frozen=True, kw_only=True):
    """Root of all events."""


class Ticked(Event, frozen=True, kw_only=True):
    """A little time has passed (`Client.tick_ms`)."""


class WindowSaid(Event, frozen=True, kw_only=True):
    """A message of client_py/messages.py came from the window."""

    message: FromWindow


class TabSaid(Event, frozen=True, kw_only=True):
    """Another tab published something; a hint, never relied on."""

    content: bytes


# ------------------------------------------------------------------ storage


class StorageProbed(Event, frozen=True, kw_only=True):
    """A small file was written, flushed and read back. `is_persistent`: exempt from eviction."""

    is_persistent: bool


class StorageUnusable(Event, frozen=True, kw_only=True):
    """The probe failed. `is_full`: only for want of room."""

    is_full: bool
    message: str


class FoldersListed(Event, frozen=True, kw_only=True):
    """The folders that exist, of whatever kind."""

    folders: list[str]


class RecordingIdMade(Event, frozen=True, kw_only=True):
    """A new UUIDv7."""

    recording_id: str


class EpochOpened(Event, frozen=True, kw_only=True):
    """The lock files:<id> is held and this epoch's files are open for appending, their headers flushed."""

    recording_id: str
    epoch: int


class EpochRefused(Event, frozen=True, kw_only=True):
    """The files could not be made. Another try takes another epoch."""

    recording_id: str
    epoch: int
    is_full: bool
    message: str


class SegmentOpened(Event, frozen=True, kw_only=True):
    """A further segment is open for appending, its header flushed."""

    recording_id: str
    epoch: int
    segment: int


class SegmentRefused(Event, frozen=True, kw_only=True):
    """The segment could not be made."""

    recording_id: str
    epoch: int
    segment: int
    is_full: bool


class SliceWritten(Event, frozen=True, kw_only=True):
    """The slice's frame begins at `offset` of the segment, and is flushed."""

    slice: Slice
    epoch: int
    segment: int
    offset: int


class SliceRefused(Event, frozen=True, kw_only=True):
    """The slice is not durable; the window still holds it."""

    recording_id: str
    epoch: int
    is_full: bool
    message: str


class RecordsWritten(Event, frozen=True, kw_only=True):
    """The oldest `count` records that waited are in the journal, and flushed."""

    recording_id: str
    epoch: int
    count: int


class RecordsRefused(Event, frozen=True, kw_only=True):
    """None of the records is known to be in the journal."""

    recording_id: str
    epoch: int
    is_full: bool
    message: str


class SegmentRemoved(Event, frozen=True, kw_only=True):
    """The segment's file is gone."""

    recording_id: str
    epoch: int
    segment: int


class RemovalRefused(Event, frozen=True, kw_only=True):
    """A segment (or the folder, where `segment` is None) could not be removed yet."""

    recording_id: str
    segment: tuple[int, int] | None
    message: str


class FolderRemoved(Event, frozen=True, kw_only=True):
    """The folder is gone and its locks are released."""

    recording_id: str


class BallastMade(Event, frozen=True, kw_only=True):
    """The ballast takes its room in that folder."""

    folder: str


class BallastRefused(Event, frozen=True, kw_only=True):
    """There is no room for the ballast."""

    folder: str


class BallastRemoved(Event, frozen=True, kw_only=True):
    """The ballast's room is free."""

    folder: str


class FolderBusy(Event, frozen=True, kw_only=True):
    """Another tab holds the folder; its locks are waited for."""

    recording_id: str


class LogRead(Event, frozen=True, kw_only=True):
    """Both locks of the folder are held and its files are read."""

    recording_id: str
    log: RecoveredLog


class LogRefused(Event, frozen=True, kw_only=True):
    """Nothing of the folder was taken. `is_newer`: a newer version wrote it, else reading failed this time.

    The locks stay held.
    """

    recording_id: str
    is_newer: bool
    message: str


# ------------------------------------------------------------------ network


class Answered(Event, frozen=True, kw_only=True):
    """A whole answer of any status; header names in lower case."""

    request_id: int
    status: int
    headers: dict[str, str]
    body: bytes


class Unanswered(Event, frozen=True, kw_only=True):
    """No answer came. `is_timeout`: the attempt's own limit ran out."""

    request_id: int
    is_timeout: bool


class ChunkUnreadable(Event, frozen=True, kw_only=True):
    """Nothing was sent. `is_lost`: the local bytes are gone or fail their digest, else the file system failed."""

    request_id: int
    is_lost: bool
    message: str
