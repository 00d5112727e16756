"""Makes the next recording's folder and first files before they are needed.

The window holds capture:<id> before the folder exists, so no other tab ever takes the folder for a
dead one's. Without an `opened` record it is no recording, and a later page load removes it.
"""

from typing import Final

from client_py.core.book import Book, EpochLife, Recording
from client_py.core.effects import MakeRecordingId, RemoveFolder
from client_py.core.events import EpochOpened, EpochRefused, RecordingIdMade
from client_py.core.log_writer import LogWriter
from client_py.core.room import Room
from client_py.core.states import RecordingLife, RecordingStep
from client_py.messages import HoldCaptureLock, ReleaseCaptureLock

PREPARE_AGAIN_MS: Final = 2_000


class Preparing:
    """The folder that waits for Record."""

    def __init__(self, book: Book, log: LogWriter, room: Room) -> None:
        self._book = book
        self._log = log
        self._room = room
        self._is_asking_id = False
        self._may_open = False
        self._locked: Recording | None = None  # it waits for the storage to be proved
        self._retry_at_ms: int | None = None
        self.words = ""  # why Record cannot be pressed

    @property
    def prepared(self) -> Recording | None:
        """The recording that Record would open now."""
        recording = self._book.recordings.get(self._book.prepared_id or "")
        is_ready = recording is not None and recording.life is RecordingLife.PREPARED and not self._room.is_full
        return recording if is_ready else None

    def prepare(self) -> None:
        """Begin, unless it is done or under way. The lock may come before the storage is proved, the folder not."""
        if self._book.prepared_id is None and not self._is_asking_id:
            self._is_asking_id = True
            self._retry_at_ms = None
            self._book.do(MakeRecordingId())

    def allow(self) -> None:
        """The storage works: the folder may exist."""
        self._may_open = True
        if self._locked is not None:
            recording, self._locked = self._locked, None
            self._log.open_epoch(recording, with_slices=True)

    def on_id(self, event: RecordingIdMade) -> None:
        """The id is made; the window locks it first."""
        self._is_asking_id = False
        self._book.prepared_id = event.recording_id
        self._book.recordings[event.recording_id] = Recording(
            event.recording_id, life=RecordingLife.LOCKING, started_at_ms=0, source="", settings=self._book.settings
        )
        self._book.tell(HoldCaptureLock(recording_id=event.recording_id))

    def on_lock_held(self, recording_id: str) -> None:
        """No other tab will take its folder for a dead one's."""
        recording = self._book.recordings.get(recording_id)
        if recording is not None and recording.life is RecordingLife.LOCKING:
            recording.step(RecordingStep.LOCKED)
            self._locked = recording
            if self._may_open:
                self.allow()

    def on_epoch_opened(self, recording: Recording, event: EpochOpened) -> None:
        """The files exist; the ballast comes to lie beside them."""
        recording.step(RecordingStep.FILES_MADE)
        self._log.on_epoch_opened(recording, event, is_recorded=False)
        self._room.place(recording.recording_id)
        self.words = ""

    def on_epoch_refused(self, recording: Recording, event: EpochRefused) -> None:
        """Say why, and try again with another folder."""
        recording.step(RecordingStep.FILES_FAILED)
        recording.files.life = EpochLife.NONE
        del self._book.recordings[recording.recording_id]
        self._book.prepared_id = None
        self._book.do(RemoveFolder(recording_id=recording.recording_id))
        self._book.tell(ReleaseCaptureLock(recording_id=recording.recording_id))
        self._retry_at_ms = self._book.now_ms + PREPARE_AGAIN_MS
        self.words = (
            "This device has no room left. Free some space to record."
            if event.is_full
            else f"Nothing can be saved on this device: {event.message}"
        )

    def tick(self) -> None:
        """Try again after a failure."""
        if self._retry_at_ms is not None and self._book.now_ms >= self._retry_at_ms:
            self.prepare()
