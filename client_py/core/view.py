"""What the page shows, said in words where words are needed. It decides nothing and changes nothing."""

from typing import Final

from client_py.core.adopting import Adopting
from client_py.core.book import Book, Recording
from client_py.core.clearing import Clearing
from client_py.core.preparing import Preparing
from client_py.core.room import Room
from client_py.core.starting import Starting
from client_py.core.states import ACKNOWLEDGED_OR_LATER, VERIFIED_OR_LATER, ChunkLife, RecordingLife
from client_py.core.tabs import Tabs
from client_py.messages import RecordingView, View

VIEW_MS_MIN: Final = 100  # ten times a second is as smooth as a counter needs to be

# Lives that are no recording yet, or no more.
_HIDDEN: Final = (RecordingLife.LOCKING, RecordingLife.PREPARING, RecordingLife.PREPARED)
_STOPPING: Final = (RecordingLife.STOPPING, RecordingLife.DRAINING)


class Showing:
    """Makes the `View`, at most ten times a second, and only when it changed."""

    def __init__(
        self,
        book: Book,
        room: Room,
        preparing: Preparing,
        adopting: Adopting,
        clearing: Clearing,
        tabs: Tabs,
        starting: Starting,
    ) -> None:
        self._book = book
        self._room = room
        self._preparing = preparing
        self._adopting = adopting
        self._clearing = clearing
        self._tabs = tabs
        self._starting = starting
        self._shown: View | None = None
        self._looked_at_ms = -VIEW_MS_MIN
        self._rows: dict[str, tuple[int, RecordingView]] = {}  # by recording_id, with its revision

    def show(self) -> None:
        """Tell the window if there is something new to show and it is time; another state is shown at once."""
        now_ms = self._book.now_ms
        is_early = now_ms - self._looked_at_ms < VIEW_MS_MIN
        is_same_state = self._shown is not None and self._shown.state == self._state()
        if not self._starting.has_booted or (is_early and is_same_state):
            return
        self._looked_at_ms = now_ms
        view = self.make_view()
        self._tabs.publish([row for row in view.recordings if row.recording_id in self._book.recordings])
        if view != self._shown:
            self._shown = view
            self._book.tell(view)

    def make_view(self) -> View:
        """All that the page shows at this moment."""
        visible = [each for each in self._book.recordings.values() if each.life not in _HIDDEN]
        rows = {each.recording_id: self._row(each) for each in visible}
        self._rows = {key: value for key, value in self._rows.items() if key in rows}
        current = self._book.current
        return View(
            state=self._state(),
            is_paused=current is not None and current.life is RecordingLife.PAUSED,
            is_online=self._book.is_online,
            is_recovering=self._adopting.is_recovering,
            server=self._book.server_words,
            alarm=self._alarm(),
            storage=self._starting.storage_words,
            bytes_local=sum(each.bytes_local for each in visible),
            bytes_freeable=self._clearing.bytes_freeable(),
            current=rows.get(self._book.current_id or ""),
            recordings=sorted(
                [*rows.values(), *self._tabs.rows_of_others()], key=lambda row: (-row.started_at_ms, row.recording_id)
            ),
        )

    def _state(self) -> str:
        current = self._book.current
        if self._starting.failure_words:
            return "failed"
        if current is not None and current.is_live:
            return "stopping" if current.life in _STOPPING else "recording"
        if current is not None and current.life is not RecordingLife.DELETING:
            return "idle"
        return "ready" if self._preparing.prepared is not None else "loading"

    def _alarm(self) -> str:
        current = self._book.current
        is_live = current is not None and current.is_live
        if self._starting.failure_words:
            return self._starting.failure_words
        if self._room.is_full:
            if is_live:
                return "This device is full: what is being recorded is held in memory only. Free some space now."
            return "This device is full. Free some space before you record."
        if self._preparing.words:
            return self._preparing.words
        return next(iter(self._book.untouched.values()), "")

    def _row(self, recording: Recording) -> RecordingView:
        known = self._rows.get(recording.recording_id)
        if known is not None and known[0] == recording.revision:
            return known[1]
        listed = recording.listed
        row = RecordingView(
            recording_id=recording.recording_id,
            state=_state_of(recording),
            title=recording.title,
            started_at_ms=recording.started_at_ms,
            is_live=recording.is_live,
            slices_captured=recording.slices_captured,
            slices_durable=recording.next_slice,
            chunks_sealed=recording.chunk_count - recording.count(ChunkLife.PLANNED),
            chunks_acknowledged=recording.count(*ACKNOWLEDGED_OR_LATER),
            chunks_verified=recording.count(*VERIFIED_OR_LATER),
            chunks_cleared=recording.count(ChunkLife.CLEARED),
            chunks_parked=recording.count(ChunkLife.PARKED),
            bytes_captured=recording.bytes_captured,
            bytes_local=recording.bytes_local,
            problem=recording.problem,
            mime_type=recording.runs.get(min(recording.runs, default=0), ""),
            duration_ms=recording.duration_ms,
            is_certified=recording.is_certified,
            play=_play_from(recording),
            has_media=listed is not None and listed.has_media,
            has_peaks=listed is not None and listed.has_peaks,
            has_poster=listed is not None and listed.has_poster,
            has_mp4=listed is not None and listed.has_mp4,
            media_note=listed.media_note if listed is not None else "",
        )
        self._rows[recording.recording_id] = (recording.revision, row)
        return row


def _state_of(recording: Recording) -> str:
    """The word of RecordingView.state."""
    if recording.is_live:
        return "recording"
    if recording.life is RecordingLife.DELETING and recording.is_deletion_flushed:
        return "deleting"  # said only when no death of the tab can take it back
    if recording.count(ChunkLife.PARKED):
        return "parked"
    if recording.life is RecordingLife.GONE and recording.listed is not None and recording.listed.state == "damaged":
        return "damaged"
    if recording.is_certified and recording.is_all_in(VERIFIED_OR_LATER):
        return "complete"
    if recording.chunk_count and recording.is_all_in(VERIFIED_OR_LATER):
        return "verified"
    if recording.chunk_count and recording.is_all_in(ACKNOWLEDGED_OR_LATER):
        return "uploaded"
    return "uploading" if recording.count(ChunkLife.SENDING, *ACKNOWLEDGED_OR_LATER) else "saved"


def _play_from(recording: Recording) -> str:
    """The word of RecordingView.play: this device while it has every byte, else whoever has any."""
    is_all_here = recording.count(ChunkLife.CLEARED) == 0 and recording.life is not RecordingLife.GONE
    if recording.chunk_count - recording.count(ChunkLife.PLANNED) and is_all_here:
        return "device"
    return "server" if recording.is_certified or recording.count(*ACKNOWLEDGED_OR_LATER) else ""
