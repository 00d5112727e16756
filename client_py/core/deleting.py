"""A recording that its person deleted: local bytes go at once, and the server is told until it knows.

The `deleted` record is flushed first, so that a tab that dies in between goes on deleting at the
next start; the folder goes last, when the server has answered that the recording is gone. For one
whose bytes were all cleared a folder is made anew, to hold that record.
"""

from client_py.core.answers import read_refusal
from client_py.core.book import Book, Recording
from client_py.core.clearing import Clearing
from client_py.core.effects import RemoveSegment
from client_py.core.events import Answered, Unanswered
from client_py.core.journal import Deleted
from client_py.core.listing import Listing
from client_py.core.log_writer import LogWriter
from client_py.core.queue import SendQueue
from client_py.core.requests import DeleteFlight, Requests
from client_py.core.states import RecordingLife, RecordingStep
from client_py.messages import CaptureStop, ReleaseCaptureLock
from protocol.errors import ErrorCode

_DELETABLE = (RecordingLife.RECOVERING, RecordingLife.CLOSED, RecordingLife.COMPLETE, RecordingLife.GONE)
_GONE_CODES = (ErrorCode.RECORDING_DELETED, ErrorCode.RECORDING_UNKNOWN)


class Deleting:
    """Carries deletions out."""

    def __init__(
        self,
        book: Book,
        requests: Requests,
        log: LogWriter,
        queue: SendQueue,
        clearing: Clearing,
        listing: Listing,
    ) -> None:
        self._book = book
        self._requests = requests
        self._log = log
        self._queue = queue
        self._clearing = clearing
        self._listing = listing

    def delete(self, recording: Recording) -> None:
        """The person asked for it (again: nothing changes)."""
        was_live = recording.is_live
        if not was_live and recording.life not in _DELETABLE:
            return
        recording.step(RecordingStep.DELETE)
        recording.was_deleted = True
        if was_live:
            self._book.tell(CaptureStop())
            self._book.tell(ReleaseCaptureLock(recording_id=recording.recording_id))
        self._forget(recording)
        self._log.write(recording, Deleted(at_ms=self._book.at.unix_ms))

    def resume(self, recording: Recording) -> None:
        """The log says that the recording was deleted: go on."""
        self._forget(recording)
        self.on_deleted_flushed(recording)

    def on_deleted_flushed(self, recording: Recording) -> None:
        """The decision is safe: the bytes go now."""
        recording.is_deletion_flushed = True
        recording.revision += 1
        files = recording.files
        if files.with_slices:  # the open segments may hold slices that no chunk names
            for open_number in {files.segment, files.ready_segment or files.segment}:
                recording.add_segment((files.epoch, open_number))
        for (epoch, number), segment in recording.segments.items():
            if not segment.is_going:
                segment.is_going = True
                self._book.do(RemoveSegment(recording_id=recording.recording_id, epoch=epoch, segment=number))

    def nudge(self) -> None:
        """Try now what waits after a failure."""
        for recording in self._book.recordings.values():
            recording.deleting.nudge()

    def pump(self) -> None:
        """Tell the server."""
        for recording in self._book.recordings.values():
            if (
                self._requests.has_room
                and recording.life is RecordingLife.DELETING
                and recording.is_deletion_flushed
                and not recording.is_folder_going
                and recording.deleting.is_open(self._book.at)
                and not self._requests.is_flying(DeleteFlight, recording.recording_id)
            ):
                path = f"/api/recordings/{recording.recording_id}"
                self._requests.start(DeleteFlight(recording_id=recording.recording_id), "DELETE", path)

    def on_answer(self, recording: Recording, event: Answered | Unanswered) -> None:
        """`204`, or a problem that says the same, ends it."""
        if not (isinstance(event, Answered) and event.status == 204):
            refusal = read_refusal(event)
            if refusal.code not in _GONE_CODES:
                recording.deleting.fail(self._book.at, refusal.retry_after_ms)
                if refusal.words:
                    self._book.server_words = refusal.words
                return
        recording.is_deletion_answered = True
        self._clearing.remove_folder(recording)

    def _forget(self, recording: Recording) -> None:
        """Send nothing more of it, and show no row that the server listed before it knew."""
        self._listing.forget(recording.recording_id)
        self._requests.cancel_all_of(recording.recording_id)
        self._queue.remove(recording)
