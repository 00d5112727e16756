"""Which part of the core takes which answer of the storage.

The order in which a flushed record's consequences follow is safety: a chunk is queued only after
its seal record, capturing begins only after `opened`, files go only after `cleared` or `deleted`.
"""

from client_py.core import events as ev
from client_py.core import journal
from client_py.core.book import Recording
from client_py.core.parts import Parts
from client_py.core.states import ChunkStep, RecordingLife
from client_py.core.tabs import Appeared


class StorageEvents:
    """Dispatches; decides nothing that a part could decide."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def handle(self, event: ev.Event) -> None:  # noqa: C901 - one line an event
        """An event that is about the storage as a whole, or else about one recording's files."""
        parts = self._parts
        match event:
            case ev.StorageProbed():
                parts.starting.on_probed(event)
            case ev.StorageUnusable():
                parts.starting.on_unusable(event)
            case ev.FoldersListed():
                parts.adopting.on_listed(event)
            case ev.RecordingIdMade():
                parts.tabs.name(event.recording_id)
                parts.preparing.on_id(event)
            case ev.FolderBusy():
                parts.adopting.on_busy(event)
            case ev.LogRead():
                self._on_log_read(event)
            case ev.LogRefused():
                parts.adopting.on_refused(event)
                parts.starting.prepare_if_none_live()
            case ev.BallastMade():
                if parts.room.on_made(event):
                    self._on_room()
            case ev.BallastRefused():
                parts.room.on_refused(event)
            case ev.BallastRemoved():
                if parts.room.on_removed(event):
                    parts.log.retry_now()
            case _:
                recording = parts.book.recordings.get(_recording_id_of(event))
                if recording is not None:  # else its folder went meanwhile
                    self._on_files(recording, event)

    def _on_files(self, recording: Recording, event: ev.Event) -> None:  # noqa: C901 - one line an event
        parts = self._parts
        match event:
            case ev.SliceWritten():
                parts.persisting.on_slice_written(recording, event)
                parts.capturing.on_slice_durable(recording)
            case ev.SliceRefused():
                parts.persisting.on_slice_refused(recording, event)
            case ev.RecordsWritten():
                for record in parts.log.on_records_written(recording, event):
                    self._on_record_flushed(recording, record)
                parts.log.flush(recording)
            case ev.RecordsRefused():
                parts.log.on_records_refused(recording, event)
                if event.is_full:
                    parts.room.on_full()
            case ev.EpochOpened():
                self._on_epoch_opened(recording, event)
            case ev.EpochRefused():
                self._on_epoch_refused(recording, event)
            case ev.SegmentOpened():
                parts.persisting.on_segment_opened(recording, event)
            case ev.SegmentRefused():
                parts.persisting.on_segment_refused(recording, event)
            case ev.SegmentRemoved():
                parts.clearing.on_segment_removed(recording, event)
            case ev.RemovalRefused():
                parts.clearing.on_removal_refused(recording, event)
            case ev.FolderRemoved():
                parts.clearing.on_folder_removed(recording, event)
            case _:
                raise TypeError(f"the core has no event {type(event).__name__}")

    def _on_log_read(self, event: ev.LogRead) -> None:
        recording = self._parts.adopting.on_read(event)
        if recording is not None:
            self._parts.capturing.resume_live(recording)
        self._parts.starting.prepare_if_none_live()

    def _on_epoch_opened(self, recording: Recording, event: ev.EpochOpened) -> None:
        parts = self._parts
        if recording.life is RecordingLife.PREPARING:
            parts.preparing.on_epoch_opened(recording, event)
            parts.starting.on_folder_prepared()
            return
        parts.log.on_epoch_opened(recording, event, is_recorded=True)
        if recording.is_live:
            parts.room.place(recording.recording_id)
            parts.persisting.ask_replay(recording, is_urgent=True)

    def _on_epoch_refused(self, recording: Recording, event: ev.EpochRefused) -> None:
        parts = self._parts
        if recording.life is RecordingLife.PREPARING:
            parts.preparing.on_epoch_refused(recording, event)
            parts.starting.on_folder_prepared()
            return
        parts.log.on_epoch_refused(recording, event)
        if event.is_full:
            parts.room.on_full()

    def _on_room(self) -> None:
        """There is room again: first the records that wait, then the slices that the window holds."""
        self._parts.log.retry_now()
        current = self._parts.book.current
        if current is not None and current.is_live:
            self._parts.persisting.ask_replay(current, is_urgent=True)

    def _on_record_flushed(self, recording: Recording, record: journal.AnyRecord) -> None:
        parts = self._parts
        match record:
            case journal.Sealed():
                chunk = recording.chunks[record.chunk_index]
                recording.step_chunk(chunk, ChunkStep.SEAL_FLUSHED)
                parts.queue.add(recording, chunk)
            case journal.Opened():
                parts.capturing.on_opened_flushed(recording, record)
                if recording.is_live:
                    parts.tabs.tell(Appeared(recording_id=recording.recording_id))
            case journal.Closed():
                parts.capturing.on_closed_flushed(recording, record)
                if recording.is_nothing:
                    parts.clearing.remove_folder(recording)
            case journal.Cleared():
                parts.clearing.on_cleared_flushed(recording)
            case journal.Deleted():
                parts.deleting.on_deleted_flushed(recording)


def _recording_id_of(event: ev.Event) -> str:
    if isinstance(event, ev.SliceWritten):
        return event.slice.recording_id
    return str(getattr(event, "recording_id", ""))
