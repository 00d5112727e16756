"""When local bytes may go: step 10 of a chunk's life, under I1.

Only a chunk whose state is `verified` can be cleared; the table of states holds that. Verified
bytes stay as the second chance until the recording has its certificate and `keep_verified_s` has
passed, or until their room is needed or asked for. The `cleared` record is flushed first; then
the segments go whose chunks are all cleared, and at last the folder.
"""

from client_py.core.book import Book, EpochLife, Recording, Segment
from client_py.core.effects import RemoveFolder, RemoveSegment
from client_py.core.events import FolderRemoved, RemovalRefused, SegmentRemoved
from client_py.core.journal import Cleared, Deleted
from client_py.core.log_writer import LogWriter
from client_py.core.room import Room
from client_py.core.states import ChunkLife, ChunkStep, RecordingLife, RecordingStep

REMOVE_AGAIN_MS = 5_000  # a terminated worker's handle lingers for seconds


class Clearing:
    """Frees the space of recordings that the server has."""

    def __init__(self, book: Book, log: LogWriter, room: Room) -> None:
        self._book = book
        self._log = log
        self._room = room
        self._retry_at_ms = 0
        self._counted: dict[str, tuple[int, int]] = {}  # by recording_id: its revision, and its freeable bytes

    def tick(self) -> None:
        """Clear what was kept long enough; make room where the disk is full."""
        for recording in list(self._book.recordings.values()):
            if self._is_kept_long_enough(recording):
                self._clear(recording, sorted(recording.by_life[ChunkLife.VERIFIED]))
        if self._room.is_full:
            self.free_oldest()
        if self._retry_at_ms and self._book.now_ms >= self._retry_at_ms:
            self._retry_at_ms = 0
            for recording in list(self._book.recordings.values()):
                self.remove_cleared(recording)

    def free_oldest(self) -> None:
        """Give up the second chance of the oldest recording that has any, because room is needed."""
        for recording in sorted(self._book.recordings.values(), key=lambda each: each.age_key):
            if freeable := self._freeable(recording):
                self._clear(recording, freeable)
                return

    def free_all(self) -> None:
        """The person asked for the space."""
        for recording in list(self._book.recordings.values()):
            if freeable := self._freeable(recording):
                self._clear(recording, freeable)

    def bytes_freeable(self) -> int:
        """What `free_all` would clear, in bytes. Asked at every view, so only what changed is counted anew."""
        recordings = self._book.recordings
        self._counted = {key: value for key, value in self._counted.items() if key in recordings}
        for recording_id, recording in recordings.items():
            if self._counted.get(recording_id, (-1, 0))[0] != recording.revision:
                size = sum(recording.chunks[index].sealed.size for index in self._freeable(recording))
                self._counted[recording_id] = (recording.revision, size)
        return sum(size for _, size in self._counted.values())

    def on_cleared_flushed(self, recording: Recording) -> None:
        """The record is safe: now files may go."""
        self.remove_cleared(recording)

    def on_segment_removed(self, recording: Recording, event: SegmentRemoved) -> None:
        """There may be room."""
        recording.segments.pop((event.epoch, event.segment), None)
        recording.revision += 1
        self._room.on_freed()

    def on_removal_refused(self, recording: Recording, event: RemovalRefused) -> None:
        """Another handle lingers; later."""
        segment = recording.segments.get(event.segment) if event.segment else None
        if segment:
            segment.is_going = False
        recording.is_folder_going = False
        recording.deleting.fail(self._book.at)
        self._retry_at_ms = self._book.now_ms + REMOVE_AGAIN_MS

    def on_folder_removed(self, recording: Recording, event: FolderRemoved) -> None:
        """Nothing of it is left here. One that was complete stays in the list while this page is open."""
        assert event.recording_id == recording.recording_id
        recording.is_folder_going = False
        recording.files.life = EpochLife.NONE
        if recording.life is RecordingLife.DELETING and not recording.is_deletion_answered:
            # It was deleted while its cleared folder went: the decision needs a new place to stand.
            recording.is_deletion_flushed = False
            recording.files.waiting.clear()
            self._log.write(recording, Deleted(at_ms=self._book.at.unix_ms))
            return
        recording.step(RecordingStep.REMOVED)
        self._room.on_freed()
        if recording.is_certified and not recording.was_deleted:
            recording.chunks.clear()
            recording.segments.clear()
        else:
            del self._book.recordings[recording.recording_id]

    def remove_cleared(self, recording: Recording) -> None:
        """Remove segments whose chunks are all cleared, and the folder when there is nothing more to keep."""
        is_waiting = any(isinstance(record, Cleared) for record in recording.files.waiting)
        if is_waiting or recording.life is RecordingLife.GONE or recording.is_folder_going:
            return
        is_all_cleared = recording.is_all_in(frozenset({ChunkLife.CLEARED}))
        if recording.is_nothing or (recording.life is RecordingLife.COMPLETE and is_all_cleared):
            self._remove_folder(recording)
            return
        for (epoch, number), segment in recording.segments.items():
            if self._is_segment_cleared(recording, (epoch, number), segment):
                segment.is_going = True
                self._book.do(RemoveSegment(recording_id=recording.recording_id, epoch=epoch, segment=number))

    def remove_folder(self, recording: Recording) -> None:
        """The recording is deleted, or nothing was captured."""
        if not recording.is_folder_going:
            self._remove_folder(recording)

    def _remove_folder(self, recording: Recording) -> None:
        recording.is_folder_going = True
        self._room.forget(recording.recording_id)
        self._book.do(RemoveFolder(recording_id=recording.recording_id))

    def _is_segment_cleared(self, recording: Recording, key: tuple[int, int], segment: Segment) -> bool:
        return (
            not segment.is_going
            and not self._is_in_use(recording, key)
            and segment.chunk_indexes <= recording.by_life[ChunkLife.CLEARED]
        )

    def _is_kept_long_enough(self, recording: Recording) -> bool:
        keep_ms = int(self._book.settings.keep_verified_s * 1000)
        return (
            recording.life is RecordingLife.COMPLETE
            and bool(recording.by_life[ChunkLife.VERIFIED])
            and recording.is_all_in(frozenset({ChunkLife.VERIFIED, ChunkLife.CLEARED}))
            and self._book.at.unix_ms >= recording.last_verified_unix_ms + keep_ms
        )

    def _freeable(self, recording: Recording) -> list[int]:
        """The verified chunks whose clearing frees whole segments."""
        if not recording.by_life[ChunkLife.VERIFIED] or recording.life is RecordingLife.DELETING:
            return []
        verified = recording.by_life[ChunkLife.VERIFIED]
        may_go = verified | recording.by_life[ChunkLife.CLEARED]
        indexes: set[int] = set()
        for key, segment in recording.segments.items():
            if segment.chunk_indexes <= may_go and not self._is_in_use(recording, key):
                indexes |= segment.chunk_indexes & verified
        return sorted(indexes)

    def _is_in_use(self, recording: Recording, key: tuple[int, int]) -> bool:
        """Whether slices are still written to the segment, or lie in it unsealed."""
        files = recording.files
        is_open = recording.is_live and key[0] == files.epoch and key[1] >= files.segment
        return is_open or key in recording.sealer.segments()

    def _clear(self, recording: Recording, indexes: list[int]) -> None:
        if not indexes:
            return
        for index in indexes:
            recording.step_chunk(recording.chunks[index], ChunkStep.CLEAR)
        self._log.write(recording, Cleared(chunk_indexes=indexes))
