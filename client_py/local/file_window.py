"""The window of an upload: where a page has a recorder, it has a file that is read slice by slice.

It keeps what a page's window keeps: slices are numbered, said in order, and said again after
`replay-after`. It reads on only while little is unsaved and the device holds little that the server
does not, so a file of any size needs a bounded room beside itself (I6).
"""

import asyncio
from collections.abc import Callable
from typing import Final

from client_py.local.source_file import SourceFile
from client_py.messages import (
    CaptureEnded,
    CaptureLockHeld,
    CaptureOpen,
    CaptureStarted,
    Durable,
    Failed,
    FreeSpace,
    FromWindow,
    HoldCaptureLock,
    Record,
    RecordingView,
    ReplayAfter,
    Slice,
    View,
)
from protocol.limits import MIB

UNSAVED_SLICES_MAX: Final = 4
LOCAL_BYTES_MAX: Final = 256 * MIB
FREE_BYTES_MIN: Final = 32 * MIB  # one segment of the log


class FileWindow:
    """client_py.ports.Window. `source` is None where only what the log holds is to be delivered.

    `on_recording_id` makes the recording's id outlive this process; it is called before the first slice is said.
    """

    def __init__(
        self,
        source: SourceFile | None,
        *,
        mime_type: str,
        unix_ms: Callable[[], int],
        on_recording_id: Callable[[str], None],
    ) -> None:
        self.recording_id = ""
        self.view: View | None = None
        self.failure = ""
        self.changed: Final = asyncio.Event()  # something of this was, or a slice may be read
        self._source: Final = source
        self._mime_type: Final = mime_type
        self._unix_ms: Final = unix_ms
        self._on_recording_id: Final = on_recording_id
        self._say: Callable[[FromWindow], None] = lambda _: None
        self._has_pressed_record = False
        self._next: int | None = None  # the slice to be read next; None: not capturing
        self._durable = -1

    def connect(self, say: Callable[[FromWindow], None]) -> None:
        """Where messages to the worker go."""
        self._say = say

    @property
    def row(self) -> RecordingView | None:
        """What the worker says of the recording."""
        rows = self.view.recordings if self.view else []
        return next((row for row in rows if row.recording_id == self.recording_id), None)

    def post(self, message: object) -> None:
        match message:
            case HoldCaptureLock():
                self._say(CaptureLockHeld(recording_id=message.recording_id))
            case CaptureOpen():
                self._open(message.recording_id)
            case ReplayAfter():
                self._read_from(message.recording_id, message.slice_number + 1)
            case Durable():
                self._durable = max(self._durable, message.slice_number)
            case View():
                self._take_view(message)
            case Failed():
                self.failure = message.message
        self.changed.set()

    def feed(self) -> None:
        """Say the slices that may be said now. Raises `SourceError`."""
        source = self._source
        while source is not None and self._next is not None and self._next < source.slice_count and self._has_room:
            number, self._next = self._next, self._next + 1
            content = source.read_slice(number)
            self._say(
                Slice(
                    recording_id=self.recording_id,
                    run=0,
                    slice_number=number,
                    captured_at_ms=self._unix_ms(),
                    content=content,
                )
            )
            if self._next == source.slice_count:
                self._say(
                    CaptureEnded(
                        recording_id=self.recording_id, run=0, slices_captured=source.slice_count, is_requested=True
                    )
                )

    @property
    def _has_room(self) -> bool:
        assert self._next is not None
        is_local_small = self.view is None or self.view.bytes_local < LOCAL_BYTES_MAX
        return is_local_small and self._next - self._durable <= UNSAVED_SLICES_MAX

    def _open(self, recording_id: str) -> None:
        self._on_recording_id(recording_id)
        self._read_from(recording_id, 0)

    def _read_from(self, recording_id: str, number: int) -> None:
        if self._source is None:
            return
        self.recording_id = recording_id
        self._durable, self._next = number - 1, number
        self._say(CaptureStarted(recording_id=recording_id, run=0, mime_type=self._mime_type))
        if number == self._source.slice_count:  # killed between the last slice and its being closed
            self._say(CaptureEnded(recording_id=recording_id, run=0, slices_captured=number, is_requested=True))

    def _take_view(self, view: View) -> None:
        self.view = view
        if view.bytes_freeable >= FREE_BYTES_MIN:
            self._say(FreeSpace())
        if view.state == "ready" and self._source and not self.recording_id and not self._has_pressed_record:
            self._has_pressed_record = True
            self._say(Record(source="file"))
