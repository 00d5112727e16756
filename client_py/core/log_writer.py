"""Opens this worker's epoch of a recording and writes its journal; keeps what could not be written yet.

Records reach the journal in the order they were decided, each at least once: where a write fails,
the same records are written again, into a new epoch if the file itself failed. A repeat of a
record changes nothing for the reader.
"""

from typing import Final

from client_py.core.book import Book, EpochLife, Recording
from client_py.core.effects import AppendRecords, CloseEpoch, OpenEpoch
from client_py.core.events import EpochOpened, EpochRefused, RecordsRefused, RecordsWritten
from client_py.core.journal import AnyRecord, Opened, encode_record
from client_py.core.states import RecordingLife

RETRY_MS_FIRST: Final = 1_000
# Open journals of recordings that are not captured. Safari refuses the 253rd open handle of a page.
JOURNALS_OPEN_MAX: Final = 64
RETRY_MS_MAX: Final = 30_000  # a file system that failed once is seldom well again within a second


class LogWriter:
    """The journals of all recordings."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def write(self, recording: Recording, *records: AnyRecord) -> None:
        """Have the records written and flushed, now or as soon as the storage takes them."""
        recording.files.waiting.extend(records)
        self.flush(recording)

    def flush(self, recording: Recording) -> None:
        """Write what waits, or first open an epoch to write it to."""
        files = recording.files
        if not files.waiting or files.is_writing:
            return
        if files.life is EpochLife.NONE:
            self.open_epoch(recording, with_slices=recording.is_live)
        if files.life is not EpochLife.OPEN or self._book.now_ms < files.retry_at_ms:
            return
        files.is_writing = True
        frames = b"".join(encode_record(recording.recording_id, files.epoch, record) for record in files.waiting)
        self._book.do(
            AppendRecords(
                recording_id=recording.recording_id, epoch=files.epoch, frames=frames, count=len(files.waiting)
            )
        )

    def open_epoch(self, recording: Recording, *, with_slices: bool) -> None:
        """Take the next epoch, unless one is being opened or a failed try was just now."""
        files = recording.files
        if files.life is EpochLife.OPENING or self._book.now_ms < files.retry_at_ms:
            return
        files.life = EpochLife.OPENING
        files.epoch, files.next_epoch = files.next_epoch, files.next_epoch + 1
        files.with_slices = with_slices
        self._book.do(OpenEpoch(recording_id=recording.recording_id, epoch=files.epoch, with_slices=with_slices))

    def close(self, recording: Recording) -> None:
        """Release the handles of a recording that will hardly write again; a later record takes a new epoch."""
        files = recording.files
        if files.life is EpochLife.OPEN and not files.waiting:
            files.life = EpochLife.NONE
            files.with_slices = False
            self._book.do(CloseEpoch(recording_id=recording.recording_id))

    def on_epoch_opened(self, recording: Recording, event: EpochOpened, *, is_recorded: bool) -> None:
        """The files are there. `is_recorded`: repeat the `opened` record, so that each journal stands for itself."""
        files = recording.files
        if files.epoch != event.epoch or files.life is not EpochLife.OPENING:
            return
        files.life = EpochLife.OPEN
        files.failures, files.retry_at_ms = 0, 0
        files.segment, files.segment_end = 0, 0
        files.ready_segment, files.is_making_segment = None, False
        if is_recorded:
            files.waiting.appendleft(self.opened_record(recording))
        self.flush(recording)
        self._close_surplus()

    def on_epoch_refused(self, recording: Recording, event: EpochRefused) -> None:
        """Try again later, under the next epoch."""
        files = recording.files
        if files.epoch == event.epoch and files.life is EpochLife.OPENING:
            files.life = EpochLife.NONE
            self._postpone(recording)

    def on_records_written(self, recording: Recording, event: RecordsWritten) -> list[AnyRecord]:
        """The records that are flushed now, in order."""
        files = recording.files
        files.is_writing = False
        if files.epoch != event.epoch:
            return []
        files.failures = 0
        return [files.waiting.popleft() for _ in range(event.count)]

    def on_records_refused(self, recording: Recording, event: RecordsRefused) -> None:
        """Keep the records. A full disk is waited for; a failed file is left behind."""
        files = recording.files
        files.is_writing = False
        if files.epoch != event.epoch:
            return
        if not event.is_full:
            files.life = EpochLife.NONE
        self._postpone(recording)

    def on_file_failed(self, recording: Recording) -> None:
        """A segment failed: nothing more is written to this epoch's files."""
        if recording.files.life is EpochLife.OPEN:
            recording.files.life = EpochLife.NONE
            self._postpone(recording)

    def retry_now(self) -> None:
        """There may be room again."""
        for recording in self._book.recordings.values():
            recording.files.retry_at_ms = 0
            self.flush(recording)

    def tick(self) -> None:
        """Write what waited long enough; reopen the files of a recording that is being captured."""
        for recording in list(self._book.recordings.values()):
            files = recording.files
            if recording.is_live and files.life is EpochLife.NONE:
                self.open_epoch(recording, with_slices=True)
            if files.waiting:
                self.flush(recording)

    def opened_record(self, recording: Recording) -> Opened:
        """The `opened` record of this epoch."""
        return Opened(
            recording_id=recording.recording_id,
            epoch=recording.files.epoch,
            started_at_ms=recording.started_at_ms,
            source=recording.source,
        )

    def _close_surplus(self) -> None:
        """The oldest idle journals beyond the bound are closed; a later record takes a new epoch."""
        at_rest = (RecordingLife.CLOSED, RecordingLife.COMPLETE)
        idle = [
            each
            for each in self._book.recordings.values()
            if each.life in at_rest and each.files.life is EpochLife.OPEN and not each.files.waiting
        ]
        for recording in idle[: max(0, len(idle) - JOURNALS_OPEN_MAX)]:
            self.close(recording)

    def _postpone(self, recording: Recording) -> None:
        files = recording.files
        files.retry_at_ms = self._book.now_ms + min(RETRY_MS_MAX, RETRY_MS_FIRST << min(files.failures, 5))
        files.failures += 1
