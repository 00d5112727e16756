"""What the client knows: its recordings with their chunks, the moment, and the effects decided so far.

The parts of the core share one `Book`. A chunk's state changes only through `Recording.step_chunk`
and a recording's only through `Recording.step`, so the tables of core/states.py hold everywhere.
"""

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum

from client_py.core.backoff import Backoff
from client_py.core.effects import Effect, TellWindow
from client_py.core.events import Moment
from client_py.core.journal import SEGMENT_BYTES, AnyRecord, Sealed
from client_py.core.sealing import Sealer
from client_py.core.states import (
    LIVE,
    ChunkLife,
    ChunkStep,
    RecordingLife,
    RecordingStep,
    after_chunk_step,
    after_recording_step,
)
from client_py.messages import RecordingView, Settings, ToWindow
from protocol.limits import CHUNK_MAX_BYTES

GAP_MS_MAX = 10_000  # the browser is silent for so long before it is said; a sleeping laptop is for longer


@dataclass(slots=True)
class Chunk:
    """A sealed chunk, and what sending it has met so far."""

    sealed: Sealed
    life: ChunkLife
    failures: int = 0  # in a row, of its own
    timeouts: int = 0  # in a row
    problem: str = ""


@dataclass(slots=True)
class Segment:
    """A segment's file on this device. `is_going`: its removal was asked for."""

    chunk_indexes: set[int] = field(default_factory=set)
    is_going: bool = False


class EpochLife(StrEnum):
    """Whether this worker's own files of a recording can be written."""

    NONE = "none"
    OPENING = "opening"
    OPEN = "open"


@dataclass(slots=True)
class LogFiles:
    """This worker's own files of one recording, and the records that wait to be written to its journal."""

    next_epoch: int = 1
    epoch: int = 0
    life: EpochLife = EpochLife.NONE
    with_slices: bool = False
    segment: int = 0  # the one that takes slices
    segment_end: int = 0  # its size in bytes
    ready_segment: int | None = None  # the next one, made before it is needed
    is_making_segment: bool = False
    waiting: deque[AnyRecord] = field(default_factory=deque)
    is_writing: bool = False
    retry_at_ms: int = 0
    failures: int = 0


class Registration(StrEnum):
    """Whether the server has been told of the recording, as far as this page has heard in its own life."""

    UNREGISTERED = "unregistered"
    REGISTERING = "registering"
    REGISTERED = "registered"


class Recording:
    """One recording on this device that this worker holds the locks of."""

    def __init__(
        self, recording_id: str, *, life: RecordingLife, started_at_ms: int, source: str, settings: Settings
    ) -> None:
        self.recording_id = recording_id
        self.life = life
        self.started_at_ms = started_at_ms
        self.source = source
        self.runs: dict[int, str] = {}
        self.run = 0
        self.ended: str | None = None

        self.chunks: dict[int, Chunk] = {}
        self.by_life: dict[ChunkLife, set[int]] = {life: set() for life in ChunkLife}
        self.bytes_by_life: dict[ChunkLife, int] = dict.fromkeys(ChunkLife, 0)
        self.segments: dict[tuple[int, int], Segment] = {}
        self.sealer = Sealer(
            chunk_bytes=min(settings.chunk_bytes, CHUNK_MAX_BYTES), chunk_ms=settings.chunk_ms, next_index=0
        )
        self.files = LogFiles()

        self.next_slice = 0  # every slice below it is durable, or was lost and noted
        self.slices_captured = 0
        self.bytes_captured = 0
        self.duration_ms = 0  # of what was captured, without the pauses; 0 where it is not known
        self.captured_until_ms = 0  # Unix time up to which `duration_ms` has counted
        self.is_time_still = False  # in a pause, whose last slice may come when it ends
        self.last_slice_at_ms = 0
        self.gap_asks = 0  # how often the window was asked for slices before the ones it posts
        self.gap_lowest = 0

        self.registration = Registration.UNREGISTERED
        self.registering = Backoff()
        self.verifying = Backoff()
        self.completing = Backoff()
        self.deleting = Backoff()
        self.verify_due_ms: int | None = None
        self.reverify_due_ms = 0
        self.reverified_up_to = -1
        self.last_verified_unix_ms = 0

        self.is_certified = False  # stays True when its folder is gone
        self.was_deleted = False
        self.is_certifiable = True  # False after a final refusal of the manifest, until the next start
        self.is_deletion_flushed = False
        self.is_deletion_answered = False  # the server said that it is gone
        self.unread_bytes = 0  # in its segments, found at recovery
        self.is_folder_going = False
        self.problem = ""  # words for the person
        self.title = ""
        self.is_title_own = False  # given here, and the server does not know it yet
        self.listed: RecordingView | None = None  # the server's last word, where it listed the recording
        self.revision = 0  # grows with every change that a row of the page may show

    @property
    def is_live(self) -> bool:
        """Whether it is being captured."""
        return self.life in LIVE

    @property
    def is_nothing(self) -> bool:
        """Whether it is closed without a single byte, readable or not."""
        return self.life is RecordingLife.CLOSED and self.chunk_count == 0 and not self.unread_bytes

    @property
    def age_key(self) -> tuple[int, str]:
        """Oldest first."""
        return (self.started_at_ms, self.recording_id)

    def count_time(self, captured_at_ms: int) -> None:
        """A slice came: what was captured lasts until now. A longer gap is a device that slept."""
        if not self.is_time_still:
            self.duration_ms += min(GAP_MS_MAX, max(0, captured_at_ms - self.captured_until_ms))
        self.captured_until_ms = captured_at_ms

    def take_word(self, row: RecordingView) -> None:
        """What the server lists of this recording."""
        self.listed = row
        self.duration_ms = row.duration_ms or self.duration_ms
        if row.title and not self.is_title_own:
            self.title = row.title
        self.revision += 1

    def step(self, step: RecordingStep) -> None:
        """Change the recording's state by its table."""
        self.life = after_recording_step(self.life, step)
        self.revision += 1

    def add_chunk(self, sealed: Sealed, life: ChunkLife) -> Chunk:
        """Take up a chunk. Its index must be new (I3)."""
        if sealed.chunk_index in self.chunks:
            raise ValueError(f"chunk {sealed.chunk_index} of {self.recording_id} exists; its content is fixed (I3)")
        chunk = Chunk(sealed, life)
        self.chunks[sealed.chunk_index] = chunk
        self.by_life[life].add(sealed.chunk_index)
        self.bytes_by_life[life] += sealed.size
        for piece in sealed.pieces:
            self.add_segment((piece.epoch, piece.segment)).chunk_indexes.add(sealed.chunk_index)
        self.revision += 1
        return chunk

    def add_segment(self, key: tuple[int, int]) -> Segment:
        """The segment (epoch, number), known from now on."""
        return self.segments.setdefault(key, Segment())

    def step_chunk(self, chunk: Chunk, step: ChunkStep) -> None:
        """Change a chunk's state by its table."""
        index, size, before = chunk.sealed.chunk_index, chunk.sealed.size, chunk.life
        chunk.life = after_chunk_step(before, step)
        self.by_life[before].discard(index)
        self.by_life[chunk.life].add(index)
        self.bytes_by_life[before] -= size
        self.bytes_by_life[chunk.life] += size
        self.revision += 1

    def count(self, *lives: ChunkLife) -> int:
        """How many chunks are in one of these states."""
        return sum(len(self.by_life[life]) for life in lives)

    def is_all_in(self, lives: frozenset[ChunkLife]) -> bool:
        """Whether every chunk is in one of these states."""
        return self.count(*lives) == self.chunk_count

    @property
    def chunk_count(self) -> int:
        """All chunks, also of a recording whose folder is gone."""
        return sum(len(indexes) for indexes in self.by_life.values())

    @property
    def bytes_local(self) -> int:
        """Bytes of chunks that are not cleared, and of the unsealed tail."""
        return sum(self.bytes_by_life.values()) - self.bytes_by_life[ChunkLife.CLEARED] + self.sealer.size


class Book:
    """The shared knowledge of the core's parts."""

    def __init__(self, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.segment_bytes = segment_bytes
        self.settings = Settings()
        self.formats: list[str] = []
        self.is_online = True
        self.at = Moment(0, 0, 0.0)
        self.recordings: dict[str, Recording] = {}
        self.current_id: str | None = None  # live, or the last one captured on this page
        self.prepared_id: str | None = None  # the folder made for the next recording, or being made
        self.server_words = ""
        self.untouched: dict[str, str] = {}  # folders left as they are, with the reason in words
        self._effects: list[Effect] = []

    @property
    def now_ms(self) -> int:
        """Monotonic time of the event at hand."""
        return self.at.monotonic_ms

    @property
    def current(self) -> Recording | None:
        """The recording that the page names."""
        return self.recordings.get(self.current_id) if self.current_id else None

    def do(self, effect: Effect) -> None:
        """Decide an effect; the order is kept."""
        self._effects.append(effect)

    def tell(self, message: ToWindow) -> None:
        """Decide to post a message to the window."""
        self._effects.append(TellWindow(message=message))

    def take_effects(self) -> list[Effect]:
        """What was decided since the last call."""
        effects, self._effects = self._effects, []
        return effects
