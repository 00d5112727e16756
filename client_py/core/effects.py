"""What the client decides: imperative, carried out by the runtime through the ports.

Beside each stands the event that answers it. Appending is synchronous: its answer is handled before any
other event, so the core never has two appends to one file under way.
"""

from msgspec import Struct

from client_py.core.journal import Piece
from client_py.messages import Slice, ToWindow


class Effect(Struct, frozen=True, kw_only=True):
    """Root of all effects."""


class TellWindow(Effect, frozen=True, kw_only=True):
    """Post a message to the window."""

    message: ToWindow


class TellTabs(Effect, frozen=True, kw_only=True):
    """Publish to the other tabs."""

    content: bytes


# ------------------------------------------------------------------ storage


class ProbeStorage(Effect, frozen=True, kw_only=True):
    """-> StorageProbed, StorageUnusable"""


class ListFolders(Effect, frozen=True, kw_only=True):
    """-> FoldersListed"""


class MakeRecordingId(Effect, frozen=True, kw_only=True):
    """-> RecordingIdMade"""


class OpenEpoch(Effect, frozen=True, kw_only=True):
    """Hold files:<id>, make the folder, the journal and, `with_slices`, segment 0 of this epoch.

    Files of an earlier epoch that are still open are closed first. -> EpochOpened, EpochRefused
    """

    recording_id: str
    epoch: int
    with_slices: bool


class OpenSegment(Effect, frozen=True, kw_only=True):
    """-> SegmentOpened, SegmentRefused"""

    recording_id: str
    epoch: int
    segment: int


class CloseSegment(Effect, frozen=True, kw_only=True):
    """Release the handle of a segment that takes no more slices."""

    recording_id: str
    epoch: int
    segment: int


class CloseEpoch(Effect, frozen=True, kw_only=True):
    """Release every handle of the recording; the locks stay."""

    recording_id: str


class AppendSlice(Effect, frozen=True, kw_only=True):
    """Append the frame and flush. -> SliceWritten, SliceRefused"""

    slice: Slice
    epoch: int
    segment: int
    frame: bytes


class AppendRecords(Effect, frozen=True, kw_only=True):
    """Append `count` records to the epoch's journal and flush. -> RecordsWritten, RecordsRefused"""

    recording_id: str
    epoch: int
    frames: bytes
    count: int


class RemoveSegment(Effect, frozen=True, kw_only=True):
    """Release its handle if it is open, then remove the file. -> SegmentRemoved, RemovalRefused"""

    recording_id: str
    epoch: int
    segment: int


class RemoveFolder(Effect, frozen=True, kw_only=True):
    """Close what is open, remove the folder, release its locks. -> FolderRemoved, RemovalRefused"""

    recording_id: str


class ReleaseFolder(Effect, frozen=True, kw_only=True):
    """Release the locks of a folder that this page leaves as it is."""

    recording_id: str


class MakeBallast(Effect, frozen=True, kw_only=True):
    """-> BallastMade, BallastRefused"""

    folder: str


class RemoveBallast(Effect, frozen=True, kw_only=True):
    """-> BallastRemoved"""

    folder: str


class AdoptFolder(Effect, frozen=True, kw_only=True):
    """Wait for the folder's locks, keep them, read its files.

    `is_captured_here`: this page's window holds capture:<id>, so only files:<id> is waited for.
    Uncovered slices are sealed into chunks of at most `chunk_bytes`. -> LogRead, LogRefused, after a
    FolderBusy where another tab holds a lock
    """

    recording_id: str
    is_captured_here: bool
    chunk_bytes: int


# ------------------------------------------------------------------ network


class ChunkBody(Struct, frozen=True):
    """A body that lies in the log: read the pieces, check the digest, only then send."""

    recording_id: str
    pieces: list[Piece]
    sha256: bytes


class SendRequest(Effect, frozen=True, kw_only=True):
    """Wait for one of the slots that all tabs share, then send; the limit begins when the slot is held.

    -> Answered, Unanswered, ChunkUnreadable
    """

    request_id: int
    method: str
    path: str
    headers: dict[str, str]
    body: bytes | ChunkBody | None
    timeout_ms: int


class HandOver(Effect, frozen=True, kw_only=True):
    """Read a chunk's bytes and post them to the window as `held`; no event answers it."""

    chunk_index: int
    run: int
    mime_type: str
    body: ChunkBody


class CancelRequest(Effect, frozen=True, kw_only=True):
    """Abort; no event answers it."""

    request_id: int
