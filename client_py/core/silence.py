"""When a recorder that gives nothing is replaced by the next run.

The window asks a silent recorder for its data and, when nothing comes of that, says so once a run. A recorder that
hangs holds what it has until it is stopped, as Chromium's does after the machine slept; so it is stopped, which hands
that over, and the next run begins on the same stream, or on a new one where that did not help. Nothing is gained
while the device itself says that it is muted: the recorder goes on when that ends.
"""

from typing import Final

from client_py.core.book import Book, Recording
from client_py.core.states import RecordingLife
from client_py.messages import CaptureRestart

# Restarts of a recorder that goes on giving nothing: at once, then ever more seldom, for each costs a run of RUN_MAX.
RESTART_MS_FIRST: Final = 4_000
RESTART_MS_MAX: Final = 5 * 60_000


class Silence:
    """The silent recorder of the live recording."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._muted_tracks = 0
        self._silent_since_ms: int | None = None
        self._restarts = 0  # in a row
        self._started_at_ms = 0
        self._restart_at_ms = 0

    def on_started(self) -> None:
        """A run began: what was said of the former one is over."""
        self._muted_tracks = 0
        self._started_at_ms = self._book.now_ms

    def on_note(self, recording: Recording, run: int, kind: str) -> None:
        """What the window noticed of the recorder."""
        match kind:
            case "muted":
                self._muted_tracks += 1
            case "unmuted":
                self._muted_tracks -= 1
            case "silence" if run == recording.run:
                self._fall_silent(recording)

    def tick(self, recording: Recording) -> None:
        """Have the recorder replaced when it is time and nothing came meanwhile."""
        if self._silent_since_ms is None:
            return
        if recording.life is not RecordingLife.RECORDING or recording.last_slice_at_ms > self._silent_since_ms:
            self._silent_since_ms = None
        elif self._muted_tracks <= 0 and self._book.now_ms >= self._restart_at_ms:
            self._silent_since_ms = None
            # A screen can be asked for only when the person presses something.
            keeps_stream = self._restarts == 0 or recording.source == "screen"
            self._restarts += 1
            self._book.tell(
                CaptureRestart(recording_id=recording.recording_id, run=recording.run, keeps_stream=keeps_stream)
            )

    def _fall_silent(self, recording: Recording) -> None:
        now_ms = self._book.now_ms
        if recording.last_slice_at_ms - self._started_at_ms >= RESTART_MS_MAX:
            self._restarts = 0  # the last one helped for long
        delay_ms = min(RESTART_MS_MAX, RESTART_MS_FIRST << (self._restarts - 1)) if self._restarts else 0
        self._silent_since_ms = now_ms
        self._restart_at_ms = now_ms + delay_ms
