"""The whole of the client's logic: an event goes in, effects come out.

Follow one slice: `WindowSaid(Slice)` -> persisting (step 1) -> `SliceWritten` -> sealing (2) ->
`RecordsWritten` -> queue (3, 7) -> `Answered` -> verifying (8, 9) -> completion -> clearing (10).
"""

from typing import Final

from client_py.core import events as ev
from client_py.core.book import Book
from client_py.core.effects import Effect
from client_py.core.journal import SEGMENT_BYTES
from client_py.core.parts import Parts
from client_py.core.requests import (
    ChunkFlight,
    CompleteFlight,
    DeleteFlight,
    DescribeFlight,
    ListFlight,
    RegisterFlight,
    RenameFlight,
    VerifyFlight,
)
from client_py.core.states import VERIFIED_OR_LATER, RecordingLife
from client_py.core.storage_events import StorageEvents
from client_py.core.tabs import Appeared, DeleteElsewhere
from client_py.messages import (
    Beat,
    Boot,
    CaptureEnded,
    CaptureFailed,
    CaptureLockHeld,
    CaptureNote,
    CaptureStarted,
    DeleteRecording,
    Durable,
    FreeSpace,
    FromWindow,
    ListMore,
    Nudge,
    Pause,
    ReadHeld,
    Record,
    Rename,
    Resume,
    RetryParked,
    SearchList,
    Slice,
    Stop,
)

BEAT_MS: Final = 1_000
TICK_MS_BUSY: Final = 100
TICK_MS_IDLE: Final = 500
# Asked while a recording is not read yet, these wait until it is.
_ABOUT_A_ROW: Final = (DeleteRecording, ReadHeld, Rename, RetryParked)


class Client:
    """One worker's logic. `segment_bytes` is for tests."""

    def __init__(self, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._parts = Parts(segment_bytes)
        self._storage = StorageEvents(self._parts)
        self._beat_at_ms = 0
        self._early: list[FromWindow] = []  # about recordings that may still be read

    @property
    def book(self) -> Book:
        """What the client knows."""
        return self._parts.book

    @property
    def tick_ms(self) -> int:
        """How soon the next `Ticked` is wanted."""
        current = self.book.current
        is_busy = (current is not None and current.is_live) or not self._parts.requests.is_idle
        return TICK_MS_BUSY if is_busy else TICK_MS_IDLE

    def waiting_to_be_sent(self, recording_id: str) -> set[int]:
        """The chunk indexes of the recording that the send queue holds."""
        return self._parts.queue.waiting_of(recording_id)

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
                self._storage.handle(event)
        if self._early:
            self._take_up_early()
        if self._parts.starting.may_send and not isinstance(event, ev.SliceWritten):
            self._start_requests()
        self._parts.showing.show()
        return self.book.take_effects()

    def _on_window(self, message: FromWindow) -> None:  # noqa: C901 - one line a message
        parts = self._parts
        if isinstance(message, _ABOUT_A_ROW) and self._may_still_be_read(message.recording_id):
            self._early.append(message)
            return
        match message:
            case Slice():
                self._on_slice(message)
            case Boot():
                parts.starting.boot(message)
            case CaptureLockHeld():
                parts.preparing.on_lock_held(message.recording_id)
            case Record():
                parts.capturing.record(message)
            case Pause():
                parts.capturing.pause()
            case Resume():
                parts.capturing.resume()
            case Stop():
                parts.capturing.stop()
            case CaptureStarted():
                parts.capturing.on_started(message)
            case CaptureFailed():
                parts.capturing.on_failed(message)
            case CaptureEnded():
                parts.capturing.on_ended(message)
            case CaptureNote():
                parts.capturing.on_note(message)
            case DeleteRecording():
                self._delete(message.recording_id)
            case RetryParked():
                parts.parked.retry(message.recording_id)
            case ReadHeld():
                parts.parked.hand_over(message)
            case ListMore():
                parts.listing.want_more()
            case SearchList():
                parts.listing.search(message)
            case Rename():
                parts.renaming.rename(message.recording_id, message.title)
            case FreeSpace():
                parts.clearing.free_all()
            case Nudge():
                self._nudge(message)
            case _:
                raise TypeError(f"the window has no message {type(message).__name__}")

    def _on_slice(self, message: Slice) -> None:
        recording = self.book.recordings.get(message.recording_id)
        if recording is not None and recording.is_live:
            self._parts.persisting.take(recording, message)
        elif recording is not None and recording.life is not RecordingLife.LOCKING:
            # Closed or deleted: nothing will ever need it, and the window may let it go.
            self.book.tell(Durable(recording_id=message.recording_id, slice_number=message.slice_number))

    def _may_still_be_read(self, recording_id: str) -> bool:
        """Whether it is not known to this worker, only because what lies on the device is not all read yet."""
        is_reading = self._parts.adopting.is_reading and not self._parts.starting.failure_words
        return is_reading and recording_id not in self.book.recordings

    def _take_up_early(self) -> None:
        early, self._early = self._early, []
        for message in early:
            self._on_window(message)

    def _delete(self, recording_id: str) -> None:
        parts = self._parts
        recording = self.book.recordings.get(recording_id)
        if recording is None and (parts.tabs.holds(recording_id) or parts.adopting.is_asked(recording_id)):
            parts.tabs.tell(DeleteElsewhere(recording_id=recording_id))
            return
        parts.deleting.delete(recording or parts.listing.give_up(recording_id))
        self._parts.starting.prepare_if_none_live()

    def _nudge(self, message: Nudge) -> None:
        self.book.is_online = message.is_online
        parts = self._parts
        for part in (parts.queue, parts.verifying, parts.completion, parts.deleting, parts.renaming, parts.listing):
            part.nudge()

    def _on_tick(self) -> None:
        if self.book.now_ms >= self._beat_at_ms:
            self._beat_at_ms = self.book.now_ms + BEAT_MS
            self.book.tell(Beat())
        parts = self._parts
        parts.starting.tick()
        parts.persisting.tick()
        parts.room.tick()
        parts.log.tick()
        parts.capturing.tick()
        parts.preparing.tick()
        parts.clearing.tick()
        parts.adopting.tick()
        for recording in self.book.recordings.values():
            if recording.life is RecordingLife.COMPLETE and recording.is_all_in(VERIFIED_OR_LATER):
                parts.log.close(recording)

    def _on_tab(self, content: bytes) -> None:
        match self._parts.tabs.decode(content):
            case Appeared(recording_id=recording_id):
                self._parts.adopting.adopt(recording_id)
            case None:
                for recording_id in self._parts.tabs.deleted_elsewhere():
                    self._parts.listing.forget(recording_id)
            case DeleteElsewhere(recording_id=recording_id) if recording_id in self.book.recordings:
                self._parts.deleting.delete(self.book.recordings[recording_id])

    def _start_requests(self) -> None:
        """What is small and seldom goes before sending; verifying, at start, tells what need not be sent."""
        parts = self._parts
        for part in (parts.listing, parts.renaming, parts.deleting, parts.verifying, parts.queue, parts.completion):
            part.pump()

    def _on_answer(self, event: ev.Answered | ev.Unanswered | ev.ChunkUnreadable) -> None:
        parts = self._parts
        flight = parts.requests.finish(event.request_id)
        if flight is None:
            return  # cancelled
        match flight, event:
            case ListFlight(), ev.Answered() | ev.Unanswered():
                parts.listing.on_answer(flight, event)
                return
            case DescribeFlight(), ev.Answered() | ev.Unanswered():
                parts.listing.on_described(event)
                return
            case RenameFlight(), ev.Answered() | ev.Unanswered():
                parts.renaming.on_answer(flight, event)
                return
        recording = self.book.recordings[flight.recording_id]
        match flight, event:
            case ChunkFlight(), ev.ChunkUnreadable():
                parts.queue.on_unreadable(recording, flight, event)
            case ChunkFlight(), ev.Answered() | ev.Unanswered():
                parts.queue.on_sent(recording, flight, event)
                parts.verifying.note_receipt(recording)
            case RegisterFlight(), ev.Answered() | ev.Unanswered():
                parts.queue.on_registered(recording, event)
            case VerifyFlight(), ev.Answered() | ev.Unanswered():
                parts.verifying.on_answer(recording, flight, event)
            case CompleteFlight(), ev.Answered() | ev.Unanswered():
                parts.completion.on_answer(recording, event)
            case DeleteFlight(), ev.Answered() | ev.Unanswered():
                parts.deleting.on_answer(recording, event)
