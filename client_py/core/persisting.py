"""From a slice to durable bytes to a sealed chunk (steps 1 and 2 of a chunk's life).

Slices are taken strictly in the order of their numbers: one that was taken before is ignored, and
where one is missing the window is asked to post again what it still holds. `durable(n)` is said
only after slice n's frame is flushed.
"""

from typing import Final

from client_py.core.book import Book, EpochLife, Recording
from client_py.core.effects import AppendSlice, CloseSegment, OpenSegment
from client_py.core.events import SegmentOpened, SegmentRefused, SliceRefused, SliceWritten
from client_py.core.journal import SLICE_CONTENT_OFFSET, Noted, Sealed, encode_slice
from client_py.core.log_writer import LogWriter
from client_py.core.room import Room
from client_py.core.sealing import SliceRef
from client_py.core.states import ChunkLife
from client_py.messages import Durable, ReplayAfter, Slice

REPLAY_MS_MIN: Final = 1_000  # the window is not asked more often to post everything again
GAP_ASKS: Final = 2


class Persisting:
    """The slices of the recordings that this page captures."""

    def __init__(self, book: Book, log: LogWriter, room: Room) -> None:
        self._book = book
        self._log = log
        self._room = room
        self._replay_asked_at_ms = -REPLAY_MS_MIN

    def take(self, recording: Recording, message: Slice) -> None:
        """Persist the slice if it is the next one and there are files and room for it."""
        recording.last_slice_at_ms = self._book.now_ms
        if message.slice_number >= recording.slices_captured:
            recording.slices_captured = message.slice_number + 1
            recording.bytes_captured += len(message.content)
            recording.count_time(message.captured_at_ms)
            recording.revision += 1
        files = recording.files
        if message.slice_number < recording.next_slice:
            self._say_durable(recording)
            return
        if files.life is not EpochLife.OPEN or not self._room.takes_slices:
            return  # the window keeps it; it is asked for when there are files and room
        if message.slice_number > recording.next_slice and not self._is_gap_final(recording, message.slice_number):
            recording.gap_asks += 1 if self.ask_replay(recording) else 0
            return
        frame = encode_slice(
            recording.recording_id,
            files.epoch,
            files.segment,
            run=message.run,
            slice_number=message.slice_number,
            captured_at_ms=message.captured_at_ms,
            content=message.content,
        )
        self._book.do(AppendSlice(slice=message, epoch=files.epoch, segment=files.segment, frame=frame))

    def on_slice_written(self, recording: Recording, event: SliceWritten) -> None:
        """The slice is flushed: say so, and seal what is full."""
        message, files = event.slice, recording.files
        recording.next_slice = message.slice_number + 1
        recording.gap_asks = 0
        recording.revision += 1
        offset = event.offset + SLICE_CONTENT_OFFSET
        ref = SliceRef(message.slice_number, message.run, event.epoch, event.segment, offset, len(message.content))
        self._say_durable(recording)
        self._plan(recording, recording.sealer.add(ref, message.content, at_ms=self._book.now_ms))
        if (event.epoch, event.segment) == (files.epoch, files.segment):
            files.segment_end = offset + len(message.content)
            self._turn_segment(recording)

    def on_slice_refused(self, recording: Recording, event: SliceRefused) -> None:
        """The slice stays in the window. What is durable is sealed now, so that sending it makes room."""
        if recording.files.epoch != event.epoch:
            return
        if event.is_full:
            self._room.on_full()
        else:
            self._log.on_file_failed(recording)
        self.seal(recording)

    def seal(self, recording: Recording) -> None:
        """Seal the tail: at pause, stop, the end of a run, and when storage fails."""
        self._plan(recording, recording.sealer.seal())

    def tick(self) -> None:
        """Seal tails that are old enough."""
        for recording in list(self._book.recordings.values()):
            if recording.sealer.is_due(self._book.now_ms):
                self.seal(recording)

    def ask_replay(self, recording: Recording, *, is_urgent: bool = False) -> bool:
        """Have the window post again every slice that is not durable, unless it was asked just now."""
        now_ms = self._book.now_ms
        is_due = is_urgent or now_ms - self._replay_asked_at_ms >= REPLAY_MS_MIN
        if is_due:
            self._replay_asked_at_ms = now_ms
            self._book.tell(ReplayAfter(recording_id=recording.recording_id, slice_number=recording.next_slice - 1))
        return is_due

    def on_segment_opened(self, recording: Recording, event: SegmentOpened) -> None:
        """The next segment is ready, before it is needed."""
        files = recording.files
        if files.epoch == event.epoch:
            files.is_making_segment = False
            files.ready_segment = event.segment
            self._turn_segment(recording)

    def on_segment_refused(self, recording: Recording, event: SegmentRefused) -> None:
        """Go on in the old segment; its size is a goal, not a bound."""
        if recording.files.epoch == event.epoch:
            recording.files.is_making_segment = False
        if event.is_full:
            self._room.on_full()

    def _is_gap_final(self, recording: Recording, slice_number: int) -> bool:
        """Whether the missing slices are nowhere: the window was asked twice, and this is the lowest it has.

        That happens only where storage lost slices that it had flushed; waiting would lose the rest.
        """
        if not recording.gap_asks:
            recording.gap_lowest = slice_number
        recording.gap_lowest = min(recording.gap_lowest, slice_number)
        if recording.gap_asks < GAP_ASKS or slice_number != recording.gap_lowest:
            return False
        message = f"slices {recording.next_slice} to {slice_number - 1} were lost by the storage"
        recording.problem = message
        self._log.write(recording, Noted(note="slices-lost", message=message, at_ms=self._book.at.unix_ms))
        return True

    def _plan(self, recording: Recording, sealed: list[Sealed]) -> None:
        for record in sealed:
            recording.add_chunk(record, ChunkLife.PLANNED)
        if sealed:
            self._log.write(recording, *sealed)

    def _say_durable(self, recording: Recording) -> None:
        if recording.next_slice:
            self._book.tell(Durable(recording_id=recording.recording_id, slice_number=recording.next_slice - 1))

    def _turn_segment(self, recording: Recording) -> None:
        """Make the next segment when this one is half full; take it when this one is full."""
        files, limit = recording.files, self._book.segment_bytes
        if files.segment_end >= limit and files.ready_segment is not None:
            self._book.do(CloseSegment(recording_id=recording.recording_id, epoch=files.epoch, segment=files.segment))
            files.segment, files.segment_end, files.ready_segment = files.ready_segment, 0, None
        elif (
            files.segment_end >= limit // 2
            and files.ready_segment is None
            and not files.is_making_segment
            and not self._room.is_full
        ):
            files.is_making_segment = True
            self._book.do(
                OpenSegment(recording_id=recording.recording_id, epoch=files.epoch, segment=files.segment + 1)
            )
