"""An MP4 of a finished file that is something else: the same streams in another container, made when asked for.

It is kept nowhere: it would double what the bucket holds, for a file that few ask for and that takes
seconds. A bounded number of copies is made at once on a machine.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec

from protocol.errors import ErrorCode
from server.media.containers import fits_mp4, type_of
from server.media.libav_child import ChildFailedError, run_child
from server.media.orders import MP4_NAME, RESULT_NAME, Joined
from server.media.shelf import Opened, Shelf, media_of
from server.media.slots import Slot, take_slot
from server.refusal import Refusal

_COPIES_AT_ONCE: Final = 2
_RETRY_AFTER_S: Final = 5
_PIECE_BYTES: Final = 1024 * 1024


class Mp4Copies:
    """Makes copies in `folder`."""

    def __init__(self, shelf: Shelf, folder: Path) -> None:
        self._shelf = shelf
        self._folder = folder

    async def open_mp4(self, recording_id: UUID) -> Opened:
        """The whole MP4 (M4A where it has sound only), to be read once.

        Refuses what `Shelf.open_made` refuses, MEDIA_NOT_CONVERTIBLE where a codec would have to be
        encoded anew, OVERLOADED.
        """
        opened = await self._shelf.open_made(recording_id, "media")
        media = media_of(opened.recording)
        if media is None or not fits_mp4({stream.codec for stream in media.streams}):
            raise _not_convertible(recording_id, ", ".join(stream.codec for stream in media.streams) if media else "")
        if media.mime_type.endswith("/mp4"):
            return opened
        slot = await asyncio.to_thread(take_slot, self._folder, "copying", _COPIES_AT_ONCE)
        if slot is None:
            raise Refusal(
                ErrorCode.OVERLOADED,
                f"{_COPIES_AT_ONCE} other MP4 files are being made",
                next_step="Ask again after Retry-After, or save the file as it is: ?download=media.",
                retry_after_s=_RETRY_AFTER_S,
            )
        try:
            descriptor, size = await self._copy(opened, slot)
        finally:
            await asyncio.to_thread(slot.release)
        has_video = any(stream.kind == "video" for stream in media.streams)
        return Opened(
            recording=opened.recording,
            media_type=type_of("mp4", has_video=has_video),
            size=size,
            etag=f'"mp4-of-{media.sha256}"',
            read=lambda first, last: _read_file(descriptor, first, last),
        )

    async def _copy(self, opened: Opened, slot: Slot) -> tuple[int, int]:
        """The open file, whose name is gone already, and its size."""
        source = slot.folder / "source"
        with source.open("xb") as file:
            async for piece in opened.read(0, opened.size - 1):
                await asyncio.to_thread(file.write, piece)
        order = Joined(name=source.name, duration_s=0.0, streams=[], runs=[], left_out=[], losses=[])
        (slot.folder / RESULT_NAME).write_bytes(msgspec.json.encode(order))
        try:
            await run_child("mp4", slot.folder, input_bytes=opened.size)
        except ChildFailedError as error:
            raise _not_convertible(opened.recording.recording_id, str(error)) from error
        descriptor = os.open(slot.folder / MP4_NAME, os.O_RDONLY | os.O_CLOEXEC)
        return descriptor, os.fstat(descriptor).st_size


async def _read_file(descriptor: int, first: int, last: int) -> AsyncIterator[bytes]:
    try:
        for begin in range(first, last + 1, _PIECE_BYTES):
            yield await asyncio.to_thread(os.pread, descriptor, min(_PIECE_BYTES, last + 1 - begin), begin)
    finally:
        os.close(descriptor)


def _not_convertible(recording_id: UUID, why: str) -> Refusal:
    return Refusal(
        ErrorCode.MEDIA_NOT_CONVERTIBLE,
        f"recording {recording_id} does not go into an MP4 as it is ({why})",
        next_step="Nothing here encodes anew: save it as it is with ?download=media or ?download=original.",
    )
