"""Carries the core's storage effects out, one at a time, and says what came of each as an event.

A port's error becomes a refusal that the core decides about; none is swallowed here.
"""

import logging
from typing import Final

from client_py.core import effects as ef
from client_py.core import events as ev
from client_py.core.journal import journal_name, segment_name
from client_py.folders import Folders
from client_py.ports import FileTree, PortError, StorageFullError

_LOG: Final = logging.getLogger(__name__)


class FolderWork:
    """Effects on folders and files."""

    def __init__(self, files: FileTree, folders: Folders) -> None:
        self._files: Final = files
        self._folders: Final = folders

    def append_slice(self, effect: ef.AppendSlice) -> ev.Event:
        recording_id, name = effect.slice.recording_id, segment_name(effect.epoch, effect.segment)
        try:
            offset = self._folders.append(recording_id, name, effect.frame)
        except PortError as error:
            is_full = isinstance(error, StorageFullError)
            return ev.SliceRefused(recording_id=recording_id, epoch=effect.epoch, is_full=is_full, message=str(error))
        return ev.SliceWritten(slice=effect.slice, epoch=effect.epoch, segment=effect.segment, offset=offset)

    def append_records(self, effect: ef.AppendRecords) -> ev.Event:
        recording_id, epoch = effect.recording_id, effect.epoch
        try:
            self._folders.append(recording_id, journal_name(epoch), effect.frames)
        except PortError as error:
            is_full = isinstance(error, StorageFullError)
            return ev.RecordsRefused(recording_id=recording_id, epoch=epoch, is_full=is_full, message=str(error))
        return ev.RecordsWritten(recording_id=recording_id, epoch=epoch, count=effect.count)

    async def do(self, effect: ef.Effect) -> ev.Event | None:
        """One folder operation and the event that answers it."""
        match effect:
            case ef.ProbeStorage():
                return await self._probe()
            case ef.ListFolders():
                return ev.FoldersListed(folders=await self._files.list_folders())
            case ef.OpenEpoch():
                return await self._open_epoch(effect)
            case ef.OpenSegment():
                return await self._open_segment(effect)
            case ef.RemoveSegment():
                return await self._remove_segment(effect)
            case ef.RemoveFolder():
                return await self._remove_folder(effect)
            case ef.MakeBallast():
                return await self._make_ballast(effect)
            case ef.RemoveBallast():
                return await self._remove_ballast(effect)
            case _:
                self._release(effect)
                return None

    def _release(self, effect: ef.Effect) -> None:
        match effect:
            case ef.CloseSegment():
                self._folders.close(effect.recording_id, segment_name(effect.epoch, effect.segment))
            case ef.CloseEpoch():
                self._folders.close_all(effect.recording_id)
            case ef.ReleaseFolder():
                self._folders.release(effect.recording_id)
            case _:
                raise TypeError(f"no such effect on folders: {type(effect).__name__}")

    async def _probe(self) -> ev.Event:
        try:
            await self._files.probe()
        except PortError as error:
            return ev.StorageUnusable(is_full=isinstance(error, StorageFullError), message=str(error))
        try:
            is_persistent = await self._files.request_persistence()
        except PortError:
            is_persistent = False
        return ev.StorageProbed(is_persistent=is_persistent)

    async def _open_epoch(self, effect: ef.OpenEpoch) -> ev.Event:
        recording_id, epoch = effect.recording_id, effect.epoch
        try:
            await self._folders.open_epoch(recording_id, epoch, with_slices=effect.with_slices)
        except PortError as error:
            is_full = isinstance(error, StorageFullError)
            return ev.EpochRefused(recording_id=recording_id, epoch=epoch, is_full=is_full, message=str(error))
        return ev.EpochOpened(recording_id=recording_id, epoch=epoch)

    async def _open_segment(self, effect: ef.OpenSegment) -> ev.Event:
        recording_id, epoch, segment = effect.recording_id, effect.epoch, effect.segment
        try:
            await self._folders.open_segment(recording_id, epoch, segment)
        except PortError as error:
            is_full = isinstance(error, StorageFullError)
            return ev.SegmentRefused(recording_id=recording_id, epoch=epoch, segment=segment, is_full=is_full)
        return ev.SegmentOpened(recording_id=recording_id, epoch=epoch, segment=segment)

    async def _remove_segment(self, effect: ef.RemoveSegment) -> ev.Event:
        recording_id, key = effect.recording_id, (effect.epoch, effect.segment)
        try:
            await self._folders.remove_segment(recording_id, *key)
        except PortError as error:
            return ev.RemovalRefused(recording_id=recording_id, segment=key, message=str(error))
        return ev.SegmentRemoved(recording_id=recording_id, epoch=key[0], segment=key[1])

    async def _remove_folder(self, effect: ef.RemoveFolder) -> ev.Event:
        try:
            await self._folders.remove_folder(effect.recording_id)
        except PortError as error:
            return ev.RemovalRefused(recording_id=effect.recording_id, segment=None, message=str(error))
        return ev.FolderRemoved(recording_id=effect.recording_id)

    async def _make_ballast(self, effect: ef.MakeBallast) -> ev.Event:
        try:
            await self._folders.make_ballast(effect.folder)
        except PortError:
            return ev.BallastRefused(folder=effect.folder)
        return ev.BallastMade(folder=effect.folder)

    async def _remove_ballast(self, effect: ef.RemoveBallast) -> ev.Event:
        try:
            await self._folders.remove_ballast(effect.folder)
        except PortError as error:  # it goes with its folder later
            _LOG.warning("the ballast in %s could not be removed: %s", effect.folder, error)
        return ev.BallastRemoved(folder=effect.folder)
