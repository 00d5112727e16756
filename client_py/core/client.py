"""The whole of the client's logic: an event goes in, effects come out. It composes the parts of the core.

Follow one slice: `WindowSaid(Slice)` -> persisting (step 1) -> `SliceWritten` -> sealing (2) ->
`RecordsWritten` -> queue (3, 7) -> `Answered` -> verifying (8, 9) -> completion -> clearing (10).
"""

from typing import Final

from client_py.core import events as ev
from client_py.core import journal
from client_py.core.adopting import Adopting
from client_py.core.book import Book, Recording
from client_py.core.capturing import Capturing
from client_py.core.clearing import Clearing
from client_py.core.completion import Completion
from client_py.core.deleting import Deleting
from client_py.core.effects import Effect, ProbeStorage
from client_py.core.log_writer import LogWriter
from client_py.core.persisting import Persisting
from client_py.core.preparing import Preparing
from client_py.core.queue import SendQueue
from client_py.core.requests import ChunkFlight, CompleteFlight, DeleteFlight, RegisterFlight, Requests, VerifyFlight
from client_py.core.room import Room
from client_py.core.states import VERIFIED_OR_LATER, ChunkStep, RecordingLife
from client_py.core.tabs import Appeared, DeleteElsewhere, Tabs
from client_py.core.verifying import Verifying
from client_py.core.view import Showing
from client_py.messages import (
    Beat,
    Boot,
    Booting,
    CaptureEnded,
    CaptureFailed,
    CaptureLockHeld,
    CaptureNote,
    CaptureStarted,
    DeleteRecording,
    Durable,
    FreeSpace,
    FromWindow,
    Nudge,
    Pause,
    Record,
    Resume,
    Slice,
    Stop,
)

BEAT_MS: Final = 1_000
TICK_MS_BUSY: Final = 100
TICK_MS_IDLE: Final = 500
PROBE_AGAIN_MS: Final = 5_000


class Client:
    """One worker's logic. `segment_bytes` is for tests."""

    def __init__(self, *, segment_bytes: int = journal.SEGMENT_BYTES) -> None:
        self.book = Book(segment_bytes)
        self._room = Room(self.book)
        self._log = LogWriter(self.book)
        self._requests = Requests(self.book)
        self._persisting = Persisting(self.book, self._log, self._room)
        self._preparing = Preparing(self.book, self._log, self._room)
        self._capturing = Capturing(self.book, self._log, self._persisting, self._preparing)
        self.queue = SendQueue(self.book, self._requests)
        self._verifying = Verifying(self.book, self._requests, self._log, self.queue)
        self._completion = Completion(self.book, self._requests, self.queue)
        self._clearing = Clearing(self.book, self._log, self._room)
        self._deleting = Deleting(self.book, self._requests, self._log, self.queue, self._clearing)
        self._adopting = Adopting(self.book, self._log, self._verifying, self._clearing, self._deleting)
        self._tabs = Tabs(self.book)
        self._showing = Showing(self.book, self._room, self._preparing, self._adopting, self._clearing, self._tabs)
        self._live_id: str | None = None  # what the window was capturing when this worker was started
        self._beat_at_ms = 0
        self._probe_at_ms: int | None = None

    @property
    def tick_ms(self) -> int:
        """How soon the next `Ticked` is wanted."""
        is_live = self.book.current is not None and self.book.current.is_live
        return TICK_MS_BUSY if is_live or not self._requests.is_idle else TICK_MS_IDLE

    def handle(self, event: ev.Event, at: ev.Moment) -> list[Effect]:
        """Decide what follows from the event."""
        self.book.at = at
        match event:
            case ev.WindowSaid():
                self._on_window(event.message)
            case ev.Ticked():
                self._on_tick()
            case ev.Answered() | ev.Unanswered() | ev.ChunkUnreadable():
                self._on_answer(event)
            case ev.TabSaid():
                self._on_tab(event.content)
            case _:
                self._on_storage(event)
        if not isinstance(event, ev.SliceWritten):
            self._pump()
        self._showing.show()
        return self.book.take_effects()

    # ------------------------------------------------------------------ the window

    def _on_window(self, message: FromWindow) -> None:  # noqa: C901 - one line a message
        match message:
            case Slice():
                self._on_slice(message)
            case Boot():
                self._boot(message)
            case CaptureLockHeld():
                self._preparing.on_lock_held(message.recording_id)
            case Record():
                self._capturing.record(message)
            case Pause():
                self._capturing.pause()
            case Resume():
                self._capturing.resume()
            case Stop():
                self._capturing.stop()
            case CaptureStarted():
                self._capturing.on_started(message)
            case CaptureFailed():
                self._capturing.on_failed(message)
            case CaptureEnded():
                self._capturing.on_ended(message)
            case CaptureNote():
                self._capturing.on_note(message)
            case DeleteRecording():
                self._delete(message.recording_id)
            case FreeSpace():
                self._clearing.free_all()
            case Nudge():
                self._nudge(message)
            case _:
                raise TypeError(f"the window has no message {type(message).__name__}")

    def _boot(self, message: Boot) -> None:
        self.book.settings = message.settings
        self.book.formats = message.formats
        self.book.is_online = message.is_online
        self._live_id = message.live_recording_id
        self.book.tell(Booting(progress=0.9, label="Looking at this device's storage"))
        self.book.do(ProbeStorage())

    def _on_slice(self, message: Slice) -> None:
        recording = self.book.recordings.get(message.recording_id)
        if recording is not None and recording.is_live:
            self._persisting.take(recording, message)
        elif recording is not None and recording.life is not RecordingLife.LOCKING:
            # Closed or deleted: nothing will ever need it, and the window may let it go.
            self.book.tell(Durable(recording_id=message.recording_id, slice_number=message.slice_number))

    def _delete(self, recording_id: str) -> None:
        recording = self.book.recordings.get(recording_id)
        if recording is None:
            self._tabs.tell(DeleteElsewhere(recording_id=recording_id))
            return
        self._deleting.delete(recording)
        self._prepare_if_none_live()

    def _nudge(self, message: Nudge) -> None:
        self.book.is_online = message.is_online
        for part in (self.queue, self._verifying, self._completion, self._deleting):
            part.nudge()

    # ------------------------------------------------------------------ time, tabs

    def _on_tick(self) -> None:
        if self.book.now_ms >= self._beat_at_ms:
            self._beat_at_ms = self.book.now_ms + BEAT_MS
            self.book.tell(Beat())
        if self._probe_at_ms is not None and self.book.now_ms >= self._probe_at_ms:
            self._probe_at_ms = None
            self.book.do(ProbeStorage())
        self._persisting.tick()
        self._room.tick()
        self._log.tick()
        self._capturing.tick()
        self._preparing.tick()
        self._clearing.tick()
        self._adopting.tick()
        self._close_idle_files()

    def _close_idle_files(self) -> None:
        for recording in self.book.recordings.values():
            if recording.life is RecordingLife.COMPLETE and recording.is_all_in(VERIFIED_OR_LATER):
                self._log.close(recording)

    def _on_tab(self, content: bytes) -> None:
        match self._tabs.decode(content):
            case Appeared(recording_id=recording_id):
                self._adopting.adopt(recording_id)
            case DeleteElsewhere(recording_id=recording_id) if recording_id in self.book.recordings:
                self._deleting.delete(self.book.recordings[recording_id])

    def _pump(self) -> None:
        self._deleting.pump()
        self._verifying.pump()
        self.queue.pump()
        self._completion.pump()

    # ------------------------------------------------------------------ storage

    def _on_storage(self, event: ev.Event) -> None:  # noqa: C901 - one line an event
        match event:
            case ev.StorageProbed():
                self._on_probed(event)
            case ev.StorageUnusable():
                self._on_unusable(event)
            case ev.FoldersListed():
                self._adopting.on_listed(event)
            case ev.RecordingIdMade():
                self._tabs.name(event.recording_id)
                self._preparing.on_id(event)
            case ev.FolderBusy():
                self._adopting.on_busy(event)
            case ev.LogRead():
                self._on_log_read(event)
            case ev.LogRefused():
                self._adopting.on_refused(event)
                self._prepare_if_none_live()
            case ev.BallastMade():
                if self._room.on_made(event):
                    self._on_room()
            case ev.BallastRefused():
                self._room.on_refused(event)
            case ev.BallastRemoved():
                if self._room.on_removed(event):
                    self._log.retry_now()
            case _:
                self._on_files(event)

    def _on_files(self, event: ev.Event) -> None:  # noqa: C901 - one line an event
        recording = self.book.recordings.get(_recording_id_of(event))
        if recording is None:
            return  # its folder went meanwhile
        match event:
            case ev.SliceWritten():
                self._persisting.on_slice_written(recording, event)
                self._capturing.on_slice_durable(recording)
            case ev.SliceRefused():
                self._persisting.on_slice_refused(recording, event)
            case ev.RecordsWritten():
                for record in self._log.on_records_written(recording, event):
                    self._on_record_flushed(recording, record)
                self._log.flush(recording)
            case ev.RecordsRefused():
                self._log.on_records_refused(recording, event)
                if event.is_full:
                    self._room.on_full()
            case ev.EpochOpened():
                self._on_epoch_opened(recording, event)
            case ev.EpochRefused():
                self._on_epoch_refused(recording, event)
            case ev.SegmentOpened():
                self._persisting.on_segment_opened(recording, event)
            case ev.SegmentRefused():
                self._persisting.on_segment_refused(recording, event)
            case ev.SegmentRemoved():
                self._clearing.on_segment_removed(recording, event)
            case ev.RemovalRefused():
                self._clearing.on_removal_refused(recording, event)
            case ev.FolderRemoved():
                self._clearing.on_folder_removed(recording, event)
            case _:
                raise TypeError(f"the core has no event {type(event).__name__}")

    def _on_probed(self, event: ev.StorageProbed) -> None:
        self._showing.storage_words = (
            "This browser keeps what is saved here until it is cleared."
            if event.is_persistent
            else "This browser may clear what is saved here when the device runs out of room."
        )
        self._showing.has_booted = True
        self._showing.failure_words = ""
        live_id, self._live_id = self._live_id, None
        self._adopting.start(live_id)
        self._prepare_if_none_live()

    def _on_unusable(self, event: ev.StorageUnusable) -> None:
        self._showing.has_booted = True
        self._probe_at_ms = self.book.now_ms + PROBE_AGAIN_MS
        if event.is_full:
            self._showing.failure_words = "This device has no room left. Free some space to record."
            live_id, self._live_id = self._live_id, None
            self._adopting.start(live_id)  # what lies here is sent all the same, and that makes room
        else:
            self._showing.failure_words = (
                f"Nothing can be saved in this window ({event.message}). A private window, or blocked site data, "
                "cannot keep a recording safe: open this page in an ordinary window."
            )

    def _on_log_read(self, event: ev.LogRead) -> None:
        recording = self._adopting.on_read(event)
        if recording is not None:
            self._capturing.resume_live(recording)
        self._prepare_if_none_live()

    def _prepare_if_none_live(self) -> None:
        is_live = self.book.current is not None and self.book.current.is_live
        if not is_live and not self._adopting.is_live_pending and not self._showing.failure_words:
            self._preparing.prepare()

    def _on_epoch_opened(self, recording: Recording, event: ev.EpochOpened) -> None:
        if recording.life is RecordingLife.PREPARING:
            self._preparing.on_epoch_opened(recording, event)
            return
        self._log.on_epoch_opened(recording, event, is_recorded=True)
        if recording.is_live:
            self._room.place(recording.recording_id)
            self._persisting.ask_replay(recording, is_urgent=True)

    def _on_epoch_refused(self, recording: Recording, event: ev.EpochRefused) -> None:
        if recording.life is RecordingLife.PREPARING:
            self._preparing.on_epoch_refused(recording, event)
            return
        self._log.on_epoch_refused(recording, event)
        if event.is_full:
            self._room.on_full()

    def _on_room(self) -> None:
        """There is room again: first the records that wait, then the slices that the window holds."""
        self._log.retry_now()
        current = self.book.current
        if current is not None and current.is_live:
            self._persisting.ask_replay(current, is_urgent=True)

    def _on_record_flushed(self, recording: Recording, record: journal.AnyRecord) -> None:
        match record:
            case journal.Sealed():
                chunk = recording.chunks[record.chunk_index]
                recording.step_chunk(chunk, ChunkStep.SEAL_FLUSHED)
                self.queue.add(recording, chunk)
            case journal.Opened():
                self._capturing.on_opened_flushed(recording, record)
                if recording.is_live:
                    self._tabs.tell(Appeared(recording_id=recording.recording_id))
            case journal.Closed():
                self._capturing.on_closed_flushed(recording, record)
                if recording.is_nothing:
                    self._clearing.remove_folder(recording)
            case journal.Cleared():
                self._clearing.on_cleared_flushed(recording)
            case journal.Deleted():
                self._deleting.on_deleted_flushed(recording)

    # ------------------------------------------------------------------ network

    def _on_answer(self, event: ev.Answered | ev.Unanswered | ev.ChunkUnreadable) -> None:
        flight = self._requests.finish(event.request_id)
        if flight is None:
            return  # cancelled
        recording = self.book.recordings[flight.recording_id]
        match flight, event:
            case ChunkFlight(), ev.ChunkUnreadable():
                self.queue.on_unreadable(recording, flight, event)
            case ChunkFlight(), ev.Answered() | ev.Unanswered():
                self.queue.on_sent(recording, flight, event)
                self._verifying.note_receipt(recording)
            case RegisterFlight(), ev.Answered() | ev.Unanswered():
                self.queue.on_registered(recording, event)
            case VerifyFlight(), ev.Answered() | ev.Unanswered():
                self._verifying.on_answer(recording, flight, event)
            case CompleteFlight(), ev.Answered() | ev.Unanswered():
                self._completion.on_answer(recording, event)
            case DeleteFlight(), ev.Answered() | ev.Unanswered():
                self._deleting.on_answer(recording, event)


def _recording_id_of(event: ev.Event) -> str:
    if isinstance(event, ev.SliceWritten):
        return event.slice.recording_id
    return str(getattr(event, "recording_id", ""))
