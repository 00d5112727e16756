"""Takes up what other lives left on this device, with no click: after a crash, a reload, a replaced worker.

A folder is read only once both of its locks are held, so a recording that is live in another tab
is never touched. Its uncovered tail is sealed into new chunks in a new epoch's journal, its
manifest is closed as `recovered`, and from there it goes the way of every other recording.
"""

from typing import Final

from client_py.core.book import Book, Recording
from client_py.core.clearing import Clearing
from client_py.core.deleting import Deleting
from client_py.core.effects import AdoptFolder, ListFolders, ReleaseFolder, RemoveBallast, RemoveFolder
from client_py.core.events import FolderBusy, FoldersListed, LogRead, LogRefused
from client_py.core.journal import Closed, Noted
from client_py.core.log_writer import LogWriter
from client_py.core.recovery import RecoveredLog
from client_py.core.renaming import Renaming
from client_py.core.states import ChunkLife, RecordingLife
from client_py.core.verifying import Verifying
from client_py.messages import ReleaseCaptureLock
from protocol.ids import InvalidIdError, parse_recording_id
from protocol.states import Ending

# So many folders are waited for at one time; each costs a task and two places in lock queues.
ADOPTING_MAX: Final = 512
# A tab that dies unannounced is noticed by its folder at the latest after this.
LIST_AGAIN_MS: Final = 60_000
READ_AGAIN_MS: Final = 1_000


class Adopting:
    """The folders of dead tabs and former lives."""

    def __init__(
        self,
        book: Book,
        log: LogWriter,
        verifying: Verifying,
        clearing: Clearing,
        deleting: Deleting,
        renaming: Renaming,
    ) -> None:
        self._book = book
        self._log = log
        self._verifying = verifying
        self._clearing = clearing
        self._deleting = deleting
        self._renaming = renaming
        self._live_id: str | None = None
        self._live_retry_at_ms: int | None = None
        self._unread: set[str] = set()  # untouched folders whose reading is tried again at the next listing
        self._asked: dict[str, bool] = {}  # recording_id -> whether another tab holds it
        self._is_listing = False
        self._has_listed = False
        self._list_at_ms = 0

    @property
    def is_recovering(self) -> bool:
        """Whether folders that could be read are still being taken up."""
        return self.is_reading or any(each.life is RecordingLife.RECOVERING for each in self._book.recordings.values())

    @property
    def is_reading(self) -> bool:
        """Whether a recording may lie here that is not known yet, but for those that other tabs hold."""
        return not self._has_listed or not all(self._asked.values())

    @property
    def is_live_pending(self) -> bool:
        """Whether the window's own recording is still being read."""
        return self._live_id is not None

    def start(self, live_id: str | None) -> None:
        """At page load: first the recording that the window is capturing, then all others."""
        if live_id is not None:
            self._live_id = live_id
            self._adopt(live_id, is_captured_here=True)
        self.list_folders()

    def list_folders(self) -> None:
        """Look what lies on the device."""
        self._list_at_ms = self._book.now_ms + LIST_AGAIN_MS
        if not self._is_listing:
            self._is_listing = True
            self._book.do(ListFolders())

    def adopt(self, recording_id: str) -> None:
        """Queue for a folder that another tab made."""
        self._adopt(recording_id, is_captured_here=False)

    def is_asked(self, recording_id: str) -> bool:
        """Whether its folder lies here and is still waited for."""
        return recording_id in self._asked

    def on_listed(self, event: FoldersListed) -> None:
        """Take up each folder that is a recording's, oldest first; whatever else lies here stays."""
        self._is_listing, self._has_listed = False, True
        for folder in sorted(event.folders):
            if _is_recording_id(folder):
                self._adopt(folder, is_captured_here=False)

    def on_busy(self, event: FolderBusy) -> None:
        """It is live in another tab; its turn comes when that dies."""
        if event.recording_id in self._asked:
            self._asked[event.recording_id] = True

    def on_refused(self, event: LogRefused) -> None:
        """Leave it as it is, say why, and try again where that may help.

        What the window captures is never given up: it keeps its slices until the log can be read.
        """
        self._asked.pop(event.recording_id, None)
        self._book.untouched[event.recording_id] = event.message
        self._book.do(ReleaseFolder(recording_id=event.recording_id))
        if event.recording_id == self._live_id:
            self._live_retry_at_ms = self._book.now_ms + READ_AGAIN_MS
        elif not event.is_newer:
            self._unread.add(event.recording_id)

    def on_read(self, event: LogRead) -> Recording | None:
        """Take the recording up; returns it if it is the one that this page's window is capturing."""
        self._asked.pop(event.recording_id, None)
        self._book.untouched.pop(event.recording_id, None)
        self._unread.discard(event.recording_id)
        log, is_captured_here = event.log, event.recording_id == self._live_id
        if not log.is_recording and not is_captured_here:
            self._leave(log)
            return None
        is_live = is_captured_here and log.ended is None and not log.is_deleted
        if is_captured_here:
            self._live_id = None
            if not is_live:  # what the window still holds is in the log, or is not wanted any more
                self._book.tell(ReleaseCaptureLock(recording_id=event.recording_id))
        recording = self._take_up(log, is_live=is_live)
        self._book.do(RemoveBallast(folder=recording.recording_id))
        if recording.life is RecordingLife.DELETING:
            self._deleting.resume(recording)
            return None
        self._write_down(recording, log, is_live=is_live)
        if log.titled is not None and not log.titled.is_known:
            self._renaming.resume(recording)
        self._verifying.ask_now(recording)
        self._clearing.remove_cleared(recording)
        if recording.is_nothing:
            self._clearing.remove_folder(recording)
        return recording if is_live else None

    def tick(self) -> None:
        """Look again now and then: a tab may have died without a word."""
        retry_at_ms = self._live_retry_at_ms
        if self._live_id is not None and retry_at_ms is not None and self._book.now_ms >= retry_at_ms:
            self._live_retry_at_ms = None
            self._adopt(self._live_id, is_captured_here=True)
        if self._has_listed and self._book.now_ms >= self._list_at_ms:
            self.list_folders()

    def _adopt(self, recording_id: str, *, is_captured_here: bool) -> None:
        is_live = recording_id == self._live_id
        is_left = recording_id in self._book.untouched and recording_id not in self._unread and not is_live
        if recording_id in self._book.recordings or is_left or (is_live and not is_captured_here):
            return
        if recording_id in self._asked or len(self._asked) >= ADOPTING_MAX:
            return
        self._asked[recording_id] = False
        chunk_bytes = self._book.settings.chunk_bytes
        self._book.do(
            AdoptFolder(recording_id=recording_id, is_captured_here=is_captured_here, chunk_bytes=chunk_bytes)
        )

    def _leave(self, log: RecoveredLog) -> None:
        """No recording: left over from a page load, unless there are bytes that cannot be read."""
        if log.unread_bytes:
            self._book.untouched[log.recording_id] = (
                f"{log.unread_bytes} bytes on this device cannot be read; they were left as they are"
            )
            self._book.do(ReleaseFolder(recording_id=log.recording_id))
        else:
            self._book.do(RemoveFolder(recording_id=log.recording_id))

    def _take_up(self, log: RecoveredLog, *, is_live: bool) -> Recording:
        if log.is_deleted:
            life = RecordingLife.DELETING
        elif log.ended is not None:
            life = RecordingLife.CLOSED
        else:
            life = RecordingLife.RECORDING if is_live else RecordingLife.RECOVERING
        recording = Recording(
            log.recording_id,
            life=life,
            started_at_ms=log.started_at_ms,
            source=log.source,
            settings=self._book.settings,
        )
        self._book.recordings[log.recording_id] = recording
        recording.runs.update(log.runs)
        recording.run = max(log.runs, default=0)
        recording.ended = log.ended
        recording.files.next_epoch = log.next_epoch
        recording.next_slice = recording.slices_captured = log.next_slice
        recording.problem = log.problem
        recording.unread_bytes = log.unread_bytes
        if log.unread_bytes and not (log.sealed or log.recovered):
            recording.problem = f"{log.unread_bytes} bytes of it cannot be read; they were left as they are"
        recording.duration_ms = log.duration_ms
        recording.title = log.titled.title if log.titled else ""
        for sealed in log.sealed:
            index = sealed.chunk_index
            life_of_chunk = ChunkLife.VERIFIED if index in log.verified_at_ms else ChunkLife.PENDING
            recording.add_chunk(sealed, ChunkLife.CLEARED if index in log.cleared else life_of_chunk)
        for sealed in log.recovered:
            recording.add_chunk(sealed, ChunkLife.PLANNED)
        for key in log.segments.keys() if log.is_deleted else ():
            recording.add_segment(key)
        recording.sealer.next_index = max(recording.chunks, default=-1) + 1
        recording.bytes_captured = sum(chunk.sealed.size for chunk in recording.chunks.values())
        recording.last_verified_unix_ms = max(log.verified_at_ms.values(), default=0)
        return recording

    def _write_down(self, recording: Recording, log: RecoveredLog, *, is_live: bool) -> None:
        at_ms = self._book.at.unix_ms
        if is_live:
            self._log.open_epoch(recording, with_slices=True)
        notes = [Noted(note="damage", message=words, at_ms=at_ms) for words in log.notes] if log.recovered else []
        closed = [Closed(ended=Ending.RECOVERED, at_ms=at_ms)] if recording.life is RecordingLife.RECOVERING else []
        self._log.write(recording, *log.recovered, *notes, *closed)


def _is_recording_id(folder: str) -> bool:
    try:
        parse_recording_id(folder)
    except InvalidIdError:
        return False
    return True
