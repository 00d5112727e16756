"""The JSON bodies of DESIGN's wire, as msgspec Structs that both sides share.

The wire only grows: unknown fields are ignored on decoding, and a new field always has a default.
Times are RFC 3339 with an offset; sizes are bytes; digests are SHA-256 in lower-case hexadecimal.
"""

from datetime import UTC, datetime
from typing import Annotated, Final
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from protocol import limits
from protocol.states import ChunkState, Ending, MediaState, RecordingState, Verification

# `$` alone would let a trailing line break pass, into a header or a comparison; `(?!\n)$` is the end in every dialect.
Sha256Hex = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}(?!\n)$")]
ChunkIndex = Annotated[int, Meta(ge=0, le=limits.CHUNK_INDEX_MAX)]
RunNumber = Annotated[int, Meta(ge=0, le=limits.RUN_MAX)]
ChunkSize = Annotated[int, Meta(ge=1, le=limits.CHUNK_MAX_BYTES)]
MimeType = Annotated[str, Meta(min_length=1, max_length=limits.MIME_TYPE_MAX_CHARS, pattern=r"^[ -~]+(?!\n)$")]
# No control characters: PostgreSQL's text holds no U+0000, and a page shows none of the others.
Title = Annotated[
    str,
    Meta(min_length=1, max_length=limits.TITLE_MAX_CHARS, pattern=r"^[^\u0000-\u001f\u007f]+(?!\n)$"),
]
Time = Annotated[datetime, Meta(tz=True)]

# A time near the ends of the calendar leaves it when it is turned to UTC, and a row that cannot be read back
# would make every listing fail.
STARTED_AT_MIN: Final = datetime(1970, 1, 1, tzinfo=UTC)
STARTED_AT_MAX: Final = datetime(9999, 1, 1, tzinfo=UTC)


class RecordingRegistration(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`POST /api/recordings`: a browser announces a recording under the id it has already persisted."""

    recording_id: UUID
    mime_type: MimeType
    started_at: Time
    title: Title | None = None

    def __post_init__(self) -> None:
        if not STARTED_AT_MIN <= self.started_at < STARTED_AT_MAX:
            raise ValueError(f"started_at is a time of the years 1970 to 9998, got {self.started_at.isoformat()}")


class RecordingTitle(Struct, frozen=True, kw_only=True):
    """`PATCH /api/recordings/{id}`."""

    title: Title


class IndexGap(Struct, frozen=True, array_like=True):
    """An inclusive range of chunk indexes, as `[first, last]`."""

    first: ChunkIndex
    last: ChunkIndex


class MediaStream(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One stream of a finished file; sizes in pixels, the rate in samples a second."""

    kind: str  # audio or video
    codec: str
    width: int = 0
    height: int = 0
    sample_rate: int = 0
    channels: int = 0


class Media(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The finished file of a complete recording; one that is `unplayable` has no file, and `detail` says why."""

    state: MediaState
    detail: str = ""
    mime_type: str = ""
    size: int = 0
    sha256: Sha256Hex | None = None
    duration_s: float = 0.0
    streams: list[MediaStream] = []
    runs_left_out: list[RunNumber] = []  # their original bytes can still be had
    has_peaks: bool = False
    has_poster: bool = False
    has_mp4: bool = False  # `?download=mp4` gives one without encoding anew


class Peaks(Struct, frozen=True, kw_only=True):
    """`GET /api/recordings/{id}/peaks`: the loudest moment, 0 to 255, of each of many equal parts of the duration."""

    duration_s: float
    peaks: Annotated[list[Annotated[int, Meta(ge=0, le=255)]], Meta(max_length=limits.PEAKS_MAX)]


class Recording(Struct, frozen=True, kw_only=True):
    """What the server knows of one recording; `gaps` are indexes below the highest that it does not hold."""

    recording_id: UUID
    mime_type: str
    title: str | None
    started_at: Time
    registered_at: Time
    state: RecordingState
    chunk_count: int
    byte_count: int
    wanted_count: int
    certified_at: Time | None = None
    gaps: list[IndexGap] = []
    media: Media | UnsetType = UNSET  # there once it is made, soon after completion


class RecordingPage(Struct, frozen=True, kw_only=True):
    """`GET /api/recordings`, newest first; `next_cursor` is None on the last page."""

    recordings: list[Recording]
    next_cursor: str | None = None


class Receipt(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The server's answer that a chunk is acknowledged (I2). It names no object, so it never goes stale."""

    recording_id: UUID
    chunk_index: int
    run: int
    size: int
    sha256: Sha256Hex
    acknowledged_at: Time
    chunkId: str | None = None  # noqa: N815 - loose chunks only, in the spelling of the assignment


class LooseChunk(Struct, frozen=True, kw_only=True):
    """`POST /api/chunks/upload`, in the spelling of the assignment; `data` is stored as its UTF-8 bytes."""

    chunkId: str  # noqa: N815
    data: str


class ChunkRow(Struct, frozen=True, kw_only=True):
    """One acknowledged chunk as the ledger has it."""

    chunk_index: int
    run: int
    state: ChunkState
    size: int
    sha256: Sha256Hex
    acknowledged_at: Time


class ChunkPage(Struct, frozen=True, kw_only=True):
    """`GET /api/recordings/{id}/chunks`, in order of chunk_index."""

    chunks: list[ChunkRow]
    next_cursor: str | None = None


class ChunkClaim(Struct, frozen=True, kw_only=True):
    """A chunk that the client holds and asks about."""

    chunk_index: ChunkIndex
    sha256: Sha256Hex


class VerifyRequest(Struct, frozen=True, kw_only=True):
    """`POST /api/recordings/{id}/verify`."""

    chunks: Annotated[list[ChunkClaim], Meta(min_length=1, max_length=limits.VERIFY_CHUNKS_MAX)]


class ChunkVerification(Struct, frozen=True, kw_only=True):
    """The answer for one claim; size and sha256 are the ledger's, None where it has no such row."""

    chunk_index: int
    state: Verification
    size: int | None = None
    sha256: Sha256Hex | None = None


class VerifyResponse(Struct, frozen=True, kw_only=True):
    """One verification for each claim, in the order of the claims."""

    recording_id: UUID
    chunks: list[ChunkVerification]


class ManifestRun(Struct, frozen=True, kw_only=True):
    """One run of the recording and the MIME type its MediaRecorder really used."""

    run: RunNumber
    mime_type: MimeType


class ManifestEntry(Struct, frozen=True, kw_only=True):
    """One sealed chunk."""

    run: RunNumber
    chunk_index: ChunkIndex
    size: ChunkSize
    sha256: Sha256Hex


class Manifest(Struct, frozen=True, kw_only=True):
    """`POST /api/recordings/{id}/complete`: all sealed chunks in order of chunk_index, from 0 without a gap."""

    runs: Annotated[list[ManifestRun], Meta(max_length=limits.RUN_MAX + 1)]
    chunks: Annotated[list[ManifestEntry], Meta(max_length=limits.MANIFEST_CHUNKS_MAX)]
    ended: Ending


class Certificate(Struct, frozen=True, kw_only=True):
    """The server's statement that manifest, ledger and bucket agree; `root` is `protocol.merkle.merkle_root`."""

    recording_id: UUID
    root: Sha256Hex
    chunk_count: int
    byte_count: int
    manifest: Manifest
    started_at: Time
    certified_at: Time
    server_version: str


class CompletePending(Struct, frozen=True, kw_only=True):
    """`202` of complete: so many of its chunks are not read back yet; ask again."""

    recording_id: UUID
    verified_count: int
    chunk_count: int


class Tombstone(Struct, frozen=True, kw_only=True):
    """`deleted.json`: the recording was deleted by its user; it never comes back."""

    recording_id: UUID
    deleted_at: Time


class Health(Struct, frozen=True, kw_only=True):
    """`/api/health/ready`: each part as `ok` or a sentence that says what is ill and what to do."""

    status: str
    checks: dict[str, str]
