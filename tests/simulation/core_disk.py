"""The disk of the core's world: full, failing, outliving workers; every flush is shown to the reference model."""

import hashlib

from client_py.core import effects as ef
from client_py.core import events as ev
from client_py.core import journal
from client_py.core.frames import FileKind, encode_file_header
from client_py.core.recovery import RecoveredLog, Recovery
from client_py.core.room import BALLAST_BYTES
from tests.simulation.reference_model import ReferenceModel


class CoreDisk:
    """Answers the core's storage effects at once."""

    def __init__(self, model: ReferenceModel) -> None:
        self.model = model
        self.folders: dict[str, dict[str, bytearray]] = {}
        self.room: int | None = None  # bytes that still fit; None: any number
        self.failures = 0  # so many of the next operations fail

    def append_slice(self, effect: ef.AppendSlice) -> ev.Event:
        recording_id, key = effect.slice.recording_id, (effect.epoch, effect.segment)
        offset, is_full = self._append(recording_id, journal.segment_name(*key), effect.frame)
        if offset is None:
            return ev.SliceRefused(recording_id=recording_id, epoch=effect.epoch, is_full=is_full, message="no")
        self.model.on_slice_flushed(effect.slice, key)
        return ev.SliceWritten(slice=effect.slice, epoch=effect.epoch, segment=effect.segment, offset=offset)

    def append_records(self, effect: ef.AppendRecords) -> ev.Event:
        recording_id, epoch = effect.recording_id, effect.epoch
        offset, is_full = self._append(recording_id, journal.journal_name(epoch), effect.frames)
        if offset is None:
            return ev.RecordsRefused(recording_id=recording_id, epoch=epoch, is_full=is_full, message="no")
        self.model.on_records_flushed(recording_id, epoch, effect.frames)
        return ev.RecordsWritten(recording_id=recording_id, epoch=epoch, count=effect.count)

    def _append(self, folder: str, name: str, content: bytes) -> tuple[int | None, bool]:
        """Where the content begins, or None with whether it is for want of room."""
        if self._fails():
            return None, False
        if self.room is not None:
            if len(content) > self.room:
                return None, True
            self.room -= len(content)
        file = self.folders[folder][name]
        offset = len(file)
        file += content
        return offset, False

    def _fails(self) -> bool:
        if not self.failures:
            return False
        self.failures -= 1
        return True

    def work(self, effect: ef.Effect) -> ev.Event | None:  # noqa: C901 - one line an effect
        match effect:
            case ef.ProbeStorage():
                return ev.StorageProbed(is_persistent=True)
            case ef.ListFolders():
                return ev.FoldersListed(folders=list(self.folders))
            case ef.OpenEpoch():
                return self._open_epoch(effect)
            case ef.OpenSegment():
                return self._open_segment(effect)
            case ef.RemoveSegment():
                return self._remove_segment(effect)
            case ef.RemoveFolder():
                return self._remove_folder(effect)
            case ef.MakeBallast():
                if self._fails() or (self.room is not None and self.room < BALLAST_BYTES):
                    return ev.BallastRefused(folder=effect.folder)
                if self.room is not None:
                    self.room -= BALLAST_BYTES
                self.folders[effect.folder]["ballast"] = bytearray(BALLAST_BYTES)
                return ev.BallastMade(folder=effect.folder)
            case ef.RemoveBallast():
                self._give_back(len(self.folders.get(effect.folder, {}).pop("ballast", b"")))
                return ev.BallastRemoved(folder=effect.folder)
            case ef.AdoptFolder():
                log = recover(effect.recording_id, self.folders.get(effect.recording_id, {}), effect.chunk_bytes)
                if effect.recording_id in self.folders:
                    self.model.check_found(effect.recording_id, log)
                return ev.LogRead(recording_id=effect.recording_id, log=log)
        return None

    def _open_epoch(self, effect: ef.OpenEpoch) -> ev.Event:
        files = self.folders.setdefault(effect.recording_id, {})
        names = [journal.journal_name(effect.epoch)]
        names += [journal.segment_name(effect.epoch, 0)] if effect.with_slices else []
        assert not set(names) & set(files), "an epoch is never opened twice"
        is_full = self.room is not None and self.room < 32
        if is_full or self._fails():
            files[names[0]] = bytearray()  # the name may have come into being
            return ev.EpochRefused(recording_id=effect.recording_id, epoch=effect.epoch, is_full=is_full, message="no")
        for name, kind in zip(names, (FileKind.JOURNAL, FileKind.SLICES), strict=False):
            files[name] = bytearray(encode_file_header(kind))
        return ev.EpochOpened(recording_id=effect.recording_id, epoch=effect.epoch)

    def _open_segment(self, effect: ef.OpenSegment) -> ev.Event:
        recording_id, epoch, segment = effect.recording_id, effect.epoch, effect.segment
        if self._fails() or recording_id not in self.folders:
            return ev.SegmentRefused(recording_id=recording_id, epoch=epoch, segment=segment, is_full=False)
        self.folders[recording_id][journal.segment_name(epoch, segment)] = bytearray(
            encode_file_header(FileKind.SLICES)
        )
        return ev.SegmentOpened(recording_id=recording_id, epoch=epoch, segment=segment)

    def _remove_segment(self, effect: ef.RemoveSegment) -> ev.Event:
        recording_id, key = effect.recording_id, (effect.epoch, effect.segment)
        self.model.on_segment_removed(recording_id, key)
        if self._fails():
            return ev.RemovalRefused(recording_id=recording_id, segment=key, message="locked")
        self._give_back(len(self.folders.get(recording_id, {}).pop(journal.segment_name(*key), b"")))
        return ev.SegmentRemoved(recording_id=recording_id, epoch=key[0], segment=key[1])

    def _remove_folder(self, effect: ef.RemoveFolder) -> ev.Event:
        self.model.on_folder_removed(effect.recording_id)
        if self._fails():
            return ev.RemovalRefused(recording_id=effect.recording_id, segment=None, message="locked")
        self.model.on_folder_gone(effect.recording_id)
        self._give_back(sum(map(len, self.folders.pop(effect.recording_id, {}).values())))
        return ev.FolderRemoved(recording_id=effect.recording_id)

    def _give_back(self, size: int) -> None:
        if self.room is not None:
            self.room += size

    def read_chunk(self, body: ef.ChunkBody) -> bytes:
        """The chunk's bytes as they lie on the disk."""
        files = self.folders[body.recording_id]
        content = b"".join(
            bytes(files[journal.segment_name(piece.epoch, piece.segment)][piece.offset : piece.offset + piece.size])
            for piece in body.pieces
        )
        assert hashlib.sha256(content).digest() == body.sha256, "a chunk that is to be sent is not what was sealed"
        return content


def recover(recording_id: str, files: dict[str, bytearray], chunk_bytes: int) -> RecoveredLog:
    """Read a folder of the world."""
    recovery = Recovery(recording_id, [(name, len(content)) for name, content in files.items()])
    epochs = {epoch: name for name in files if (epoch := journal.parse_journal_name(name)) is not None}
    for epoch in sorted(epochs):
        recovery.take_journal(epoch, bytes(files[epochs[epoch]]))
    for epoch, segment in recovery.segments_to_scan():
        recovery.take_segment(epoch, segment, bytes(files[journal.segment_name(epoch, segment)]))
    return recovery.finish(chunk_bytes)
