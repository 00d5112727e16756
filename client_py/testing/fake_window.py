"""The page in memory: captures made-up media, keeps slices until they are durable, outlives its workers.

It does what web/ does, so that a test of the runtime meets the same order of messages: it numbers
slices as they arrive, posts them, holds each until `durable(n)`, and posts again after
`replay-after`.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

from client_py.local.memory_locks import MemoryLocks
from client_py.messages import (
    Boot,
    CaptureEnded,
    CaptureFailed,
    CaptureLockHeld,
    CaptureNote,
    CaptureOpen,
    CapturePause,
    CaptureRestart,
    CaptureResume,
    CaptureStarted,
    CaptureStop,
    Durable,
    Failed,
    FromWindow,
    Held,
    HoldCaptureLock,
    Listed,
    NothingHeld,
    ReadHeld,
    RecordingView,
    ReleaseCaptureLock,
    ReplayAfter,
    Settings,
    Slice,
    View,
)
from client_py.ports import HeldLock

SILENCE_MS = 4_000  # web/shim/recorder.js asks for the data after half of it, then says so

Receive = Callable[[FromWindow], None]


@dataclass(slots=True)
class Capture:
    """One recording as the window knows it."""

    recording_id: str
    slices: list[Slice] = field(default_factory=list)  # everything ever captured, for the test to compare
    held: dict[int, Slice] = field(default_factory=dict)
    saved: int = -1  # the highest slice that was shown as saved on this device
    log: list[FromWindow] = field(default_factory=list)  # capture-* messages, to be posted again
    run: int = -1
    is_paused: bool = False
    is_running: bool = False

    @property
    def content(self) -> bytes:
        """All bytes captured."""
        return b"".join(each.content for each in self.slices)

    @property
    def saved_content(self) -> bytes:
        """The bytes that were shown as saved."""
        return b"".join(each.content for each in self.slices[: self.saved + 1])


class FakeWindow:
    """One tab's page."""

    def __init__(
        self,
        locks: MemoryLocks,
        *,
        settings: Settings,
        unix_ms: Callable[[], int],
        seed: int | str,
        slice_bytes: tuple[int, int] = (200, 4_000),
    ) -> None:
        self.settings: Final = settings
        self.captures: Final[dict[str, Capture]] = {}
        self.view: View | None = None
        self.views: Final[list[View]] = []
        self.failures: Final[list[Failed]] = []
        self.downloads: Final[dict[str, list[Held]]] = {}  # what was handed over, by recording_id
        self.listed: Final[dict[str, RecordingView]] = {}  # the server's rows, by recording_id
        self.has_more_listed = True
        self.is_download_over = False
        self.download_problem = ""
        self.live_id: str | None = None
        self.capture_error: str | None = None  # the DOMException's name that the next capture fails with
        self.silent_runs = 0  # so many runs, from this one on, give nothing more; each is stopped with one last slice
        self.restarts: Final[list[CaptureRestart]] = []
        self.slice_bytes = slice_bytes
        self._locks = locks
        self._unix_ms = unix_ms
        self._random = random.Random(seed)  # noqa: S311 - for tests alone
        self._held_locks: dict[str, HeldLock] = {}
        self._epoch = 0
        self._receive: Receive | None = None
        self._is_replaying = False
        self._tasks: set[asyncio.Task[None]] = set()

    # ------------------------------------------------------------------ the test's side

    def start_worker(self, receive: Receive) -> int:
        """Boot a worker; returns its epoch. Whatever an older one says is ignored from now on."""
        self._epoch += 1
        self._receive = receive
        for recording_id in [key for key in self._held_locks if key != self.live_id]:
            self._held_locks.pop(recording_id).release()
        self._is_replaying = self.live_id is not None
        receive(
            Boot(
                epoch=self._epoch,
                settings=self.settings,
                formats=["audio/webm;codecs=opus"],
                is_online=True,
                live_recording_id=self.live_id,
            )
        )
        return self._epoch

    def say(self, message: FromWindow) -> None:
        """Post a message to the worker."""
        if self._receive is not None:
            self._receive(message)

    def download(self, recording_id: str) -> None:
        """Have everything handed over that the worker holds of the recording."""
        self.downloads[recording_id], self.is_download_over = [], False
        self.say(ReadHeld(recording_id=recording_id, chunk_index=0))

    def end_run(self, *, is_requested: bool) -> None:
        """MediaRecorder stops: by request, or because the device went."""
        if self.live_id is not None:
            self._end(self.captures[self.live_id], is_requested=is_requested)

    def capture_slice(self, content: bytes | None = None) -> None:
        """One `dataavailable` of the running recorder."""
        assert self.live_id is not None
        capture = self.captures[self.live_id]
        size = self._random.randint(*self.slice_bytes)
        message = Slice(
            recording_id=capture.recording_id,
            run=capture.run,
            slice_number=len(capture.slices),
            captured_at_ms=self._unix_ms(),
            content=content if content is not None else self._random.randbytes(size),
        )
        capture.slices.append(message)
        capture.held[message.slice_number] = message
        self._post(message)

    # ------------------------------------------------------------------ the worker's side

    def on_message(self, epoch: int, message: object) -> None:
        """A message of the worker of that epoch."""
        if epoch != self._epoch:
            return
        match message:
            case View():
                self.view = message
                self.views.append(message)
            case Failed():
                self.failures.append(message)
            case HoldCaptureLock():
                self._spawn(self._hold(message.recording_id))
            case ReleaseCaptureLock():
                self._release(message.recording_id)
            case Durable():
                self._drop(message)
            case ReplayAfter():
                self._replay(message)
            case Held():
                self.downloads[message.recording_id].append(message)
                self.say(ReadHeld(recording_id=message.recording_id, chunk_index=message.chunk_index + 1))
            case Listed():
                self.has_more_listed = message.has_more
                self.listed.update((row.recording_id, row) for row in message.rows)
                for recording_id in message.gone:
                    self.listed.pop(recording_id, None)
            case NothingHeld():
                self.is_download_over, self.download_problem = True, message.message
            case _:
                self._drive_recorder(message)

    def _drive_recorder(self, message: object) -> None:
        match message:
            case CaptureOpen():
                self._open(message)
            case CapturePause() | CaptureResume():
                if self.live_id is not None:
                    self.captures[self.live_id].is_paused = isinstance(message, CapturePause)
            case CaptureStop():
                self.end_run(is_requested=True)
            case CaptureRestart() if self.live_id == message.recording_id:
                self.restarts.append(message)
                self.silent_runs -= 1
                self._end(self.captures[message.recording_id], is_requested=False, is_restarted=True)

    def close(self) -> None:
        """The tab dies."""
        for task in self._tasks:
            task.cancel()
        self._receive, self._epoch = None, -1

    async def _hold(self, recording_id: str) -> None:
        self._held_locks[recording_id] = await self._locks.acquire(f"capture:{recording_id}")
        self.say(CaptureLockHeld(recording_id=recording_id))

    def _release(self, recording_id: str) -> None:
        if (lock := self._held_locks.pop(recording_id, None)) is not None:
            lock.release()
        if recording_id == self.live_id:
            self.live_id, self._is_replaying = None, False

    def _open(self, message: CaptureOpen) -> None:
        capture = self.captures.setdefault(message.recording_id, Capture(message.recording_id))
        if message.run <= capture.run:
            return
        if self.capture_error is not None:
            error, self.capture_error = self.capture_error, None
            self.say(
                CaptureFailed(recording_id=message.recording_id, run=message.run, name=error, message="made to fail")
            )
            return
        self.live_id = message.recording_id
        capture.run, capture.is_running = message.run, True
        started = CaptureStarted(recording_id=message.recording_id, run=message.run, mime_type="audio/webm;codecs=opus")
        capture.log.append(started)
        self._post(started)
        self._spawn(self._record(capture, message.run, message.timeslice_ms))

    async def _record(self, capture: Capture, run: int, timeslice_ms: int) -> None:
        silent_ms = 0
        while True:
            await asyncio.sleep(timeslice_ms / 1000)
            if not capture.is_running or capture.run != run:
                return
            if capture.is_paused:
                continue
            if not self.silent_runs:
                self.capture_slice()
                silent_ms = 0
                continue
            was_noticed, silent_ms = silent_ms >= SILENCE_MS, silent_ms + timeslice_ms
            if silent_ms >= SILENCE_MS and not was_noticed:
                self._post(CaptureNote(recording_id=capture.recording_id, run=run, kind="silence", message=""))

    def _end(self, capture: Capture, *, is_requested: bool, is_restarted: bool = False) -> None:
        if not capture.is_running:
            return
        self.capture_slice()  # the recorder's last dataavailable comes before its stop event
        capture.is_running = False
        ended = CaptureEnded(
            recording_id=capture.recording_id,
            run=capture.run,
            slices_captured=len(capture.slices),
            is_requested=is_requested,
            is_restarted=is_restarted,
        )
        capture.log.append(ended)
        self._post(ended)

    def _post(self, message: FromWindow) -> None:
        """To the worker, unless it has still to ask for what happened before it."""
        if not self._is_replaying:
            self.say(message)

    def _drop(self, message: Durable) -> None:
        capture = self.captures.get(message.recording_id)
        if capture is not None:
            capture.saved = max(capture.saved, min(message.slice_number, len(capture.slices) - 1))
            for number in [number for number in capture.held if number <= message.slice_number]:
                del capture.held[number]

    def _replay(self, message: ReplayAfter) -> None:
        capture = self.captures.get(message.recording_id)
        if capture is None:
            return
        self._is_replaying = False
        numbers = [number for number in sorted(capture.held) if number > message.slice_number]
        for run in range(capture.run + 1):
            started = [each for each in capture.log if isinstance(each, CaptureStarted) and each.run == run]
            ended = [each for each in capture.log if isinstance(each, CaptureEnded) and each.run == run]
            slices = [capture.held[number] for number in numbers if capture.held[number].run == run]
            for again in (*started, *slices, *ended):
                self.say(again)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class WorkerPort:
    """client_py.ports.Window for the worker of one epoch; `is_dead` silences it."""

    def __init__(self, window: FakeWindow, is_dead: Callable[[], bool]) -> None:
        self._window = window
        self._is_dead = is_dead
        self.epoch = 0

    def post(self, message: object) -> None:
        if not self._is_dead():
            self._window.on_message(self.epoch, message)
