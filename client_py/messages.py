"""The messages between the window (JavaScript: view and capture shim) and the worker (Python).

Each is a JSON-like object with a `type`; binary content travels beside it. The window numbers
slices and holds each until `durable`; every decision is the worker's. `epoch` is the worker's life
on this page: the window puts it into `boot`, and both sides ignore messages of another epoch.

A recording in the window's life:

    window                                worker
    boot(settings, formats) ->
                                       <- view(...)                  again whenever something to show changed
    record(source) ->                      chooses recording_id (its folder exists already) and format
                                       <- capture-open(recording_id, run, constraints, mime_types, timeslice)
    capture-started(run, mime_type) ->     or capture-failed(name, message)
    slice(n, blob) ->                      persists, flushes
                                       <- durable(recording_id, n)   the window drops slices up to n
    stop ->
                                       <- capture-stop
    capture-ended(run, last_slice) ->      MediaRecorder's `stop` event; every slice before it was posted before it
"""

from msgspec import Struct

# ------------------------------------------------------------------ window -> worker


class FromWindow(Struct, frozen=True, kw_only=True, tag_field="type", rename="camel"):
    """Root of what the window says."""


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """What may be set by query string on loopback (DESIGN section 7), with the product's defaults."""

    slice_ms: int = 250
    chunk_bytes: int = 1024 * 1024
    chunk_ms: int = 2_000
    verify_after_s: float = 2.0
    keep_verified_s: float = 24 * 3600.0
    reverify_s: float = 3600.0
    source: str = "microphone"


class Boot(FromWindow, frozen=True, kw_only=True, tag="boot"):
    """The first message. `formats` are the MIME types this browser's MediaRecorder supports, of those we know."""

    epoch: int
    settings: Settings
    formats: list[str]
    is_online: bool
    # A recording that this window was capturing when its former worker died; replay starts after `durable`.
    live_recording_id: str | None = None


class Record(FromWindow, frozen=True, kw_only=True, tag="record"):
    """Record was pressed. `source`: microphone, camera, screen; file where the window reads one."""

    source: str


class Pause(FromWindow, frozen=True, kw_only=True, tag="pause"):
    """Pause was pressed."""


class Resume(FromWindow, frozen=True, kw_only=True, tag="resume"):
    """Pause was pressed again."""


class Stop(FromWindow, frozen=True, kw_only=True, tag="stop"):
    """Stop was pressed."""


class DeleteRecording(FromWindow, frozen=True, kw_only=True, tag="delete-recording"):
    """The person asked to delete a recording, here and on the server."""

    recording_id: str


class RetryParked(FromWindow, frozen=True, kw_only=True, tag="retry-parked"):
    """The person wants the recording's parked chunks tried again: asked about first, then sent."""

    recording_id: str


class ReadHeld(FromWindow, frozen=True, kw_only=True, tag="read-held"):
    """Hand over the first chunk from `chunk_index` on whose bytes are still here: `held`, or `nothing-held`.

    For a download of what this device holds: ask from 0, then from the last index + 1, until
    `nothing-held` comes. One chunk is on its way at a time, whatever the recording's size.
    """

    recording_id: str
    chunk_index: int


class ListMore(FromWindow, frozen=True, kw_only=True, tag="list-more"):
    """The list comes to its end: the next page of what the server lists is wanted. -> listed"""


class SearchList(FromWindow, frozen=True, kw_only=True, tag="search-list"):
    """What the person seeks, nothing any more without any of it: the server's matches come first. -> listed

    `query` is a part of title or id; `states` are the server's; times are when a recording began.
    """

    query: str
    states: list[str] = []
    started_from_ms: int | None = None
    started_before_ms: int | None = None


class Rename(FromWindow, frozen=True, kw_only=True, tag="rename"):
    """The person gave a recording a title."""

    recording_id: str
    title: str


class FreeSpace(FromWindow, frozen=True, kw_only=True, tag="free-space"):
    """The person asked to clear verified bytes now."""


class Nudge(FromWindow, frozen=True, kw_only=True, tag="nudge"):
    """`online`, visibility or focus: what waits may be tried now."""

    is_online: bool


class CaptureStarted(FromWindow, frozen=True, kw_only=True, tag="capture-started"):
    """MediaRecorder's `start` event: now its mime_type is final."""

    recording_id: str
    run: int
    mime_type: str


class CaptureFailed(FromWindow, frozen=True, kw_only=True, tag="capture-failed"):
    """No stream or no recorder: `name` is the DOMException's (NotAllowedError, NotFoundError, …)."""

    recording_id: str
    run: int
    name: str
    message: str


class Slice(FromWindow, frozen=True, kw_only=True, tag="slice"):
    """One non-empty `dataavailable`. slice_number counts from 0 through all runs of a recording.

    `content` is the Blob's bytes, read by the browser adapter before the runtime sees the message.
    `captured_at_ms` is Unix time when the event fired.
    """

    recording_id: str
    run: int
    slice_number: int
    captured_at_ms: int
    content: bytes


class CaptureNote(FromWindow, frozen=True, kw_only=True, tag="capture-note"):
    """Something worth a line in the journal: track muted, unmuted, silence, a recorder error."""

    recording_id: str
    run: int
    kind: str
    message: str


class CaptureEnded(FromWindow, frozen=True, kw_only=True, tag="capture-ended"):
    """MediaRecorder's `stop` event. `is_requested` is False when device or browser ended it, or a restart."""

    recording_id: str
    run: int
    slices_captured: int  # slices numbered so far in this recording
    is_requested: bool
    is_restarted: bool = False  # by `capture-restart`


# ------------------------------------------------------------------ worker -> window


class ToWindow(Struct, frozen=True, kw_only=True, tag_field="type", rename="camel"):
    """Root of what the worker says."""


class Booting(ToWindow, frozen=True, kw_only=True, tag="booting"):
    """Progress of the start, 0..1, with a word for the person."""

    progress: float
    label: str


class HoldCaptureLock(ToWindow, frozen=True, kw_only=True, tag="hold-capture-lock"):
    """Take the Web Lock `capture:<recording_id>` and answer with `capture-lock-held`; before the folder exists."""

    recording_id: str


class CaptureLockHeld(FromWindow, frozen=True, kw_only=True, tag="capture-lock-held"):
    """The window holds `capture:<recording_id>`."""

    recording_id: str


class ReleaseCaptureLock(ToWindow, frozen=True, kw_only=True, tag="release-capture-lock"):
    """The last slice is durable, or the recording never began."""

    recording_id: str


class CaptureOpen(ToWindow, frozen=True, kw_only=True, tag="capture-open"):
    """Get a stream for `source` and start a MediaRecorder with the first of `mime_types` that works."""

    recording_id: str
    run: int
    source: str
    mime_types: list[str]
    timeslice_ms: int
    slice_number: int  # the number of the run's first slice


class CapturePause(ToWindow, frozen=True, kw_only=True, tag="capture-pause"):
    """MediaRecorder.pause()."""


class CaptureResume(ToWindow, frozen=True, kw_only=True, tag="capture-resume"):
    """MediaRecorder.resume()."""


class CaptureStop(ToWindow, frozen=True, kw_only=True, tag="capture-stop"):
    """MediaRecorder.stop(), then the tracks."""


class CaptureRestart(ToWindow, frozen=True, kw_only=True, tag="capture-restart"):
    """MediaRecorder.stop() of a run that gives nothing; `keeps_stream`: its stream is for the next run, if it lives."""

    recording_id: str
    run: int
    keeps_stream: bool


class Durable(ToWindow, frozen=True, kw_only=True, tag="durable"):
    """Every slice up to and including this number is flushed; the window may drop them."""

    recording_id: str
    slice_number: int


class ReplayAfter(ToWindow, frozen=True, kw_only=True, tag="replay-after"):
    """A new worker has read the log: post again every held slice after this number (-1: all)."""

    recording_id: str
    slice_number: int


class Held(ToWindow, frozen=True, kw_only=True, tag="held"):
    """The bytes of one chunk, for the person; `content` crosses beside the message, as a Uint8Array.

    Bytes of two runs are two files. `is_sound` is False where they fail the chunk's digest or a part
    of them is gone: they are what there is.
    """

    recording_id: str
    chunk_index: int
    run: int
    mime_type: str
    is_sound: bool
    content: bytes


class NothingHeld(ToWindow, frozen=True, kw_only=True, tag="nothing-held"):
    """This worker holds no chunk of the recording from `chunk_index` on, or could not read it: `message` says so."""

    recording_id: str
    chunk_index: int
    message: str = ""


class Beat(ToWindow, frozen=True, kw_only=True, tag="beat"):
    """The worker lives; sent about once a second."""


class RecordingView(Struct, frozen=True, kw_only=True, rename="camel"):
    """One row of the recordings list.

    `state`: recording, saved (only on this device), uploading, uploaded, verified, complete, parked, deleting; and of
    recordings that this device does not hold: elsewhere (begun on another device, not complete), stalled, damaged.
    """

    recording_id: str
    state: str
    title: str
    started_at_ms: int
    is_live: bool
    slices_captured: int
    slices_durable: int
    chunks_sealed: int
    chunks_acknowledged: int
    chunks_verified: int
    chunks_cleared: int
    chunks_parked: int
    bytes_captured: int
    bytes_local: int
    problem: str = ""  # words for the person; empty when all is well
    mime_type: str = ""
    duration_ms: int = 0  # 0: not known
    is_certified: bool = False
    play: str = ""  # where it can be played from: device, server, or nowhere yet
    # Of the finished file that the server makes, seekable and with a duration, soon after completion.
    has_media: bool = False
    has_peaks: bool = False
    has_poster: bool = False
    has_mp4: bool = False
    media_note: str = ""  # what is missing in it, in words


class Listed(ToWindow, frozen=True, kw_only=True, tag="listed"):
    """Rows of the server's list, new or anew; where the View has a row of that recording, the View's counts."""

    rows: list[RecordingView]
    gone: list[str]  # ids of rows that are no more
    has_more: bool  # whether `list-more` brings further rows
    is_waiting: bool  # the server did not answer; it is asked again


class View(ToWindow, frozen=True, kw_only=True, tag="view"):
    """All that the page shows. The counts of DESIGN section 7 are those of `current` (None before the first)."""

    state: str  # loading | ready | recording | stopping | idle | failed
    is_paused: bool
    is_online: bool
    is_recovering: bool
    server: str  # "" when it answers, else words: away, overloaded, store-mismatch …
    alarm: str  # a loss of protection, in words for the person; empty when there is none
    storage: str  # words: persistent or not, how much is used
    bytes_local: int
    bytes_freeable: int
    current: RecordingView | None
    recordings: list[RecordingView]


class Failed(ToWindow, frozen=True, kw_only=True, tag="failed"):
    """The worker cannot go on; `message` is for the person."""

    message: str
