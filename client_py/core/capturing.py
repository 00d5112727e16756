"""Drives the window's recorder: Record, runs, pause, stop, and everything a device can do to a recording.

A run ends when MediaRecorder's `stop` event says so and not before. If the device or the browser
ended it, the next run is started; a recording is closed only when every slice that the window
numbered is durable.
"""

from typing import Final

from client_py.core.book import Book, Recording
from client_py.core.formats import SOURCES, rank_formats
from client_py.core.journal import Closed, Noted, Opened, RunStarted
from client_py.core.log_writer import LogWriter
from client_py.core.persisting import Persisting
from client_py.core.preparing import Preparing
from client_py.core.silence import Silence
from client_py.core.states import RecordingLife, RecordingStep
from client_py.messages import (
    CaptureEnded,
    CaptureFailed,
    CaptureNote,
    CaptureOpen,
    CapturePause,
    CaptureResume,
    CaptureStarted,
    CaptureStop,
    Record,
    ReleaseCaptureLock,
)
from protocol.limits import RUN_MAX
from protocol.states import Ending

RUN_AGAIN_MS_FIRST: Final = 1_000
RUN_AGAIN_MS_MAX: Final = 30_000
NOTE_CHARS_MAX: Final = 500

# What ends a recording instead of being tried again: the person said no.
_REFUSALS: Final = ("NotAllowedError", "SecurityError", "PermissionDeniedError")


class Capturing:
    """The recording that this page captures; at most one."""

    def __init__(self, book: Book, log: LogWriter, persisting: Persisting, preparing: Preparing) -> None:
        self._book = book
        self._log = log
        self._persisting = persisting
        self._preparing = preparing
        self._wished_source: str | None = None  # Record was pressed while the folder was still being made
        self._run_again_at_ms: int | None = None
        self._run_failures = 0
        self._run_since_ms = 0
        self._silence = Silence(book)

    # ------------------------------------------------------------------ what the person does

    def record(self, message: Record) -> None:
        """Open the prepared recording; what is captured begins only when its `opened` record is flushed."""
        current = self._book.current
        if (current is not None and current.is_live) or message.source not in SOURCES:
            return
        recording = self._preparing.prepared
        if recording is None:
            self._wished_source = message.source
            return
        self._wished_source = None
        self._book.prepared_id = None
        self._book.current_id = recording.recording_id
        self._run_failures = 0
        recording.started_at_ms = self._book.at.unix_ms
        recording.source = message.source
        recording.step(RecordingStep.RECORD)
        self._log.write(recording, self._log.opened_record(recording))

    def pause(self) -> None:
        """Pause, and seal what there is."""
        recording = self._live()
        if recording is not None and recording.life is RecordingLife.RECORDING:
            recording.step(RecordingStep.PAUSE)
            recording.count_time(self._book.at.unix_ms)
            recording.is_time_still = True
            self._book.tell(CapturePause())
            self._persisting.seal(recording)

    def resume(self) -> None:
        """Go on."""
        recording = self._live()
        if recording is not None and recording.life is RecordingLife.PAUSED:
            recording.step(RecordingStep.RESUME)
            recording.last_slice_at_ms = self._book.now_ms
            recording.captured_until_ms = self._book.at.unix_ms
            recording.is_time_still = False
            self._book.tell(CaptureResume())

    def stop(self) -> None:
        """Stop the recorder; its last slices are still to come."""
        self._wished_source = None
        recording = self._live()
        if recording is None or recording.life in (RecordingLife.STOPPING, RecordingLife.DRAINING):
            return
        was_asked = recording.life is not RecordingLife.OPENING
        was_waiting = self._run_again_at_ms is not None
        self._run_again_at_ms = None
        recording.step(RecordingStep.STOP)
        if not was_asked:  # the recorder was never asked to start
            self._close_if_durable(recording)
        elif was_waiting:
            self._end(recording)
        else:
            self._book.tell(CaptureStop())

    # ------------------------------------------------------------------ what the recorder does

    def on_opened_flushed(self, recording: Recording, record: Opened) -> None:
        """The recording exists: the window may start capturing."""
        if record.epoch == recording.files.epoch and recording.life is RecordingLife.OPENING:
            recording.step(RecordingStep.OPEN)
            self._open_run(recording)

    def on_started(self, message: CaptureStarted) -> None:
        """Only now is the MIME type final. A repeat, after a replacement of the worker, changes nothing."""
        recording = self._live()
        if recording is None or recording.recording_id != message.recording_id:
            return
        if recording.life is RecordingLife.STARTING:
            recording.step(RecordingStep.STARTED)
        self._run_since_ms = recording.last_slice_at_ms = self._book.now_ms
        self._silence.on_started()
        recording.run = max(recording.run, message.run)
        recording.captured_until_ms = self._book.at.unix_ms
        recording.is_time_still = False
        if message.run not in recording.runs:
            recording.runs[message.run] = message.mime_type
            self._log.write(recording, RunStarted(run=message.run, mime_type=message.mime_type))

    def on_failed(self, message: CaptureFailed) -> None:
        """Nothing could be captured. The first run's failure ends the recording, a later one's is tried again."""
        recording = self._live()
        if recording is None or recording.recording_id != message.recording_id:
            return
        is_refused = message.name in _REFUSALS
        if recording.life is RecordingLife.RECORDING and message.run not in recording.runs:
            recording.step(RecordingStep.CAPTURE_LOST)  # a worker that was replaced before the run began
        if recording.life is not RecordingLife.STARTING:
            if recording.life is RecordingLife.STOPPING:
                self._end(recording)
            return
        if recording.slices_captured == 0 or is_refused or recording.source == "screen":
            self._end(recording)
        else:
            self._run_later(recording)

    def on_ended(self, message: CaptureEnded) -> None:
        """MediaRecorder's `stop` event: the run is over, and every slice of it was posted before."""
        recording = self._live()
        if recording is None or recording.recording_id != message.recording_id:
            return
        if recording.life is RecordingLife.DRAINING or message.run < recording.run:
            return
        recording.slices_captured = max(recording.slices_captured, message.slices_captured)
        self._persisting.seal(recording)
        # Whoever stops sharing a screen by the browser's own button has pressed Stop.
        is_ended_there = message.is_requested or (recording.source == "screen" and not message.is_restarted)
        if is_ended_there or recording.life is RecordingLife.STOPPING or message.run >= RUN_MAX:
            self._end(recording)
            return
        self._note(recording, "run-lost", "the device or the browser ended the recording; it is started again")
        recording.step(RecordingStep.CAPTURE_LOST)
        recording.run = message.run + 1
        if message.is_restarted:
            self._open_run(recording)
        elif self._book.now_ms - self._run_since_ms < RUN_AGAIN_MS_MAX and self._run_failures:
            self._run_later(recording)
        else:
            self._run_failures = 1
            self._open_run(recording)

    def on_note(self, message: CaptureNote) -> None:
        """Something worth a line in the journal, and perhaps another recorder."""
        recording = self._live()
        if recording is not None and recording.recording_id == message.recording_id:
            self._note(recording, message.kind, message.message)
            self._silence.on_note(recording, message.run, message.kind)

    def on_slice_durable(self, recording: Recording) -> None:
        """It may have been the last one."""
        if recording.life is RecordingLife.DRAINING:
            self._close_if_durable(recording)

    def on_closed_flushed(self, recording: Recording, record: Closed) -> None:
        """The manifest is closed: the next recording may be prepared."""
        was_live = recording.is_live
        if recording.life not in (RecordingLife.DRAINING, RecordingLife.RECOVERING):
            return
        recording.ended = record.ended
        recording.step(RecordingStep.CLOSE)
        if was_live:
            self._book.tell(ReleaseCaptureLock(recording_id=recording.recording_id))
            self._preparing.prepare()

    def resume_live(self, recording: Recording) -> None:
        """A new worker goes on with the window's recording: it was `recording` when the old one died."""
        self._book.current_id = recording.recording_id
        self._run_since_ms = recording.last_slice_at_ms = self._book.now_ms

    def tick(self) -> None:
        """Record what was wished, start the next run, replace a silent recorder, drain."""
        if self._wished_source is not None and self._preparing.prepared is not None:
            self.record(Record(source=self._wished_source))
        recording = self._live()
        if recording is None:
            return
        now_ms = self._book.now_ms
        if self._run_again_at_ms is not None and now_ms >= self._run_again_at_ms:
            self._open_run(recording)
        self._silence.tick(recording)
        if recording.life is RecordingLife.DRAINING:
            self._close_if_durable(recording)

    # ------------------------------------------------------------------ steps

    def _live(self) -> Recording | None:
        current = self._book.current
        return current if current is not None and current.is_live else None

    def _open_run(self, recording: Recording) -> None:
        self._run_again_at_ms = None
        self._book.tell(
            CaptureOpen(
                recording_id=recording.recording_id,
                run=recording.run,
                source=recording.source,
                mime_types=rank_formats(recording.source, self._book.formats),
                timeslice_ms=self._book.settings.slice_ms,
                slice_number=recording.slices_captured,
            )
        )

    def _run_later(self, recording: Recording) -> None:
        if recording.life is not RecordingLife.STARTING:
            return
        delay_ms = min(RUN_AGAIN_MS_MAX, RUN_AGAIN_MS_FIRST << min(self._run_failures, 5))
        self._run_failures += 1
        self._run_again_at_ms = self._book.now_ms + delay_ms

    def _end(self, recording: Recording) -> None:
        self._run_again_at_ms = None
        recording.step(RecordingStep.CAPTURE_ENDED)
        self._close_if_durable(recording)

    def _close_if_durable(self, recording: Recording) -> None:
        is_closing = any(isinstance(record, Closed) for record in recording.files.waiting)
        if recording.life is not RecordingLife.DRAINING or is_closing:
            return
        if recording.next_slice < recording.slices_captured:
            self._persisting.ask_replay(recording)
            return
        self._persisting.seal(recording)
        self._log.write(
            recording, Closed(ended=Ending.STOPPED, at_ms=self._book.at.unix_ms, duration_ms=recording.duration_ms)
        )

    def _note(self, recording: Recording, note: str, message: str) -> None:
        self._log.write(recording, Noted(note=note, message=message[:NOTE_CHARS_MAX], at_ms=self._book.at.unix_ms))
