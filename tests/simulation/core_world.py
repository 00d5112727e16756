"""A world for the pure core without any loop: a disk, a window, a server, and zombies beside the living.

Effects that the runtime carries out at once are carried out at once; the others wait until the
machine lets them. Whatever passes a port is shown to the reference model, which refuses what must
never happen.
"""

import re
from collections import deque
from dataclasses import dataclass, field
from uuid import UUID

import msgspec

from client_py.core import effects as ef
from client_py.core import events as ev
from client_py.core import journal
from client_py.core.client import Client
from client_py.core.states import RecordingLife
from client_py.messages import (
    Boot,
    CaptureEnded,
    CaptureLockHeld,
    CaptureOpen,
    CaptureRestart,
    CaptureStarted,
    CaptureStop,
    Durable,
    FromWindow,
    HoldCaptureLock,
    ReleaseCaptureLock,
    ReplayAfter,
    Settings,
    Slice,
)
from client_py.testing.memory_holdfast import MemoryHoldfast
from protocol.checksums import parse_content_digest
from tests.simulation.core_disk import CoreDisk
from tests.simulation.reference_model import ReferenceModel

SETTINGS = Settings(
    slice_ms=100, chunk_bytes=600, chunk_ms=400, verify_after_s=0.2, keep_verified_s=5.0, reverify_s=20.0
)
SEGMENT_BYTES = 2_000
IN_FLIGHT_MAX = 4
# Lives in which a recording is no recording yet, or only a row of the list.
UNWRITTEN = (RecordingLife.LOCKING, RecordingLife.PREPARING, RecordingLife.PREPARED, RecordingLife.GONE)


@dataclass
class WindowModel:
    """What the page holds: it outlives workers, and dies with the tab."""

    recording_id: str | None = None
    run: int = 0
    slices: list[Slice] = field(default_factory=list)
    durable: int = -1
    is_running: bool = False
    log: list[FromWindow] = field(default_factory=list)
    is_replaying: bool = False


class Life:
    """One worker: its core, what waits to be carried out for it, and its requests under way."""

    def __init__(self) -> None:
        self.client = Client(segment_bytes=SEGMENT_BYTES)
        self.jobs: deque[ef.Effect] = deque()
        self.requests: dict[int, ef.SendRequest] = {}
        self.blocked: list[ef.Effect] = []  # folders that a zombie still holds
        self.checked: dict[str, int] = {}  # recording_id -> the revision that was compared with the model


class CoreWorld:
    """One tab at a time, and everything that outlives it."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.unix_offset_ms = 1_770_000_000_000
        self.jitter = 0.5
        self.ids = 0
        self.events = 0
        self.server = MemoryHoldfast()
        self.model = ReferenceModel()
        self.disk = CoreDisk(self.model)
        self.saved: dict[str, dict[int, Slice]] = {}  # what was ever reported durable
        self.late: list[ef.SendRequest] = []  # on the wire when their worker died
        self.zombie: Life | None = None
        self.window = WindowModel()
        self.life = Life()
        self.boot(live_id=None)

    @property
    def client(self) -> Client:
        """The core of the worker that the window listens to."""
        return self.life.client

    @property
    def jobs(self) -> deque[ef.Effect]:
        """What waits to be carried out for it."""
        return self.life.jobs

    @property
    def requests(self) -> dict[int, ef.SendRequest]:
        """Its requests under way."""
        return self.life.requests

    # ------------------------------------------------------------------ lives

    def replace_worker(self, *, live_id: str | None, leaves_zombie: bool) -> None:
        """The worker dies, or is a zombie for a while: it goes on writing, and nobody hears it."""
        self.end_zombie()
        if leaves_zombie:
            self.zombie = self.life
        else:
            self.late += self.life.requests.values()
        self.life = Life()
        self.boot(live_id=live_id)

    def end_zombie(self) -> None:
        """It is dead at last: its locks fall free. What it had on the wire may still arrive."""
        if self.zombie is not None:
            self.late += self.zombie.requests.values()
            self.zombie = None
            self.life.jobs.extend(self.life.blocked)
            self.life.blocked.clear()

    def boot(self, *, live_id: str | None) -> None:
        """The first message to a new worker."""
        self.window.is_replaying = live_id is not None
        boot = Boot(epoch=1, settings=SETTINGS, formats=["audio/webm"], is_online=True, live_recording_id=live_id)
        self.handle(ev.WindowSaid(message=boot))

    def handle(self, event: ev.Event, life: Life | None = None) -> None:
        """One event and all that follows at once; what the core believes is compared after each."""
        life = life or self.life
        at_once = deque([event])
        while at_once:
            self.events += 1
            moment = ev.Moment(self.now_ms, self.now_ms + self.unix_offset_ms, self.jitter)
            for effect in life.client.handle(at_once.popleft(), moment):
                at_once.extend(self._perform(life, effect))
            if not at_once:
                self._check_beliefs(life)

    def say(self, message: FromWindow) -> None:
        """The window posts, unless it waits for `replay-after`."""
        if not self.window.is_replaying:
            self.handle(ev.WindowSaid(message=message))

    def _check_beliefs(self, life: Life) -> None:
        for recording_id, recording in life.client.book.recordings.items():
            if life.checked.get(recording_id) != recording.revision and recording.life not in UNWRITTEN:
                life.checked[recording_id] = recording.revision
                self.model.check_belief(recording)

    # ------------------------------------------------------------------ effects

    def _perform(self, life: Life, effect: ef.Effect) -> list[ev.Event]:
        match effect:
            case ef.AppendSlice():
                return [self.disk.append_slice(effect)]
            case ef.AppendRecords():
                return [self.disk.append_records(effect)]
            case ef.TellWindow():
                if life is self.life:
                    self._tell(effect.message)
            case ef.MakeRecordingId():
                self.ids += 1
                unix_ms = self.now_ms + self.unix_offset_ms
                number = unix_ms << 80 | 7 << 76 | 2 << 62 | self.ids
                return [ev.RecordingIdMade(recording_id=str(UUID(int=number)))]
            case ef.SendRequest():
                self._note_put(effect)
                life.requests[effect.request_id] = effect
                assert len(life.requests) <= IN_FLIGHT_MAX, "more in flight than the bound (I6)"
            case ef.CancelRequest():
                life.requests.pop(effect.request_id, None)
            case ef.TellTabs():
                pass
            case _:
                life.jobs.append(effect)
        return []

    def _tell(self, message: object) -> None:
        window = self.window
        match message:
            case HoldCaptureLock():
                self.jobs.append(_Say(message=CaptureLockHeld(recording_id=message.recording_id)))
            case CaptureOpen() if message.run >= window.run or window.recording_id != message.recording_id:
                if window.recording_id != message.recording_id:
                    self.window = WindowModel(recording_id=message.recording_id)
                self.window.run, self.window.is_running = message.run, True
                started = CaptureStarted(recording_id=message.recording_id, run=message.run, mime_type="audio/webm")
                self.window.log.append(started)
                self.jobs.append(_Say(message=started))
            case CaptureStop():
                self.jobs.append(_EndRun(is_requested=True))
            case CaptureRestart() if message.recording_id == window.recording_id and message.run == window.run:
                self.jobs.append(_EndRun(is_requested=False, is_restarted=True))
            case ReleaseCaptureLock() if message.recording_id == window.recording_id:
                self.window = WindowModel()
            case Durable() if message.recording_id == window.recording_id:
                saved = self.saved.setdefault(message.recording_id, {})
                durable = self.model.of(message.recording_id).slices
                for each in window.slices[window.durable + 1 : message.slice_number + 1]:
                    is_deleted = message.recording_id in self.model.deleted
                    assert each.slice_number in durable or is_deleted, "shown as saved before it was flushed"
                    saved[each.slice_number] = each
                window.durable = max(window.durable, message.slice_number)
            case ReplayAfter() if message.recording_id == window.recording_id:
                window.is_replaying = False
                again = [*window.log[:1], *window.slices[message.slice_number + 1 :], *window.log[1:]]
                self.jobs.extend(_Say(message=each) for each in again)

    # ------------------------------------------------------------------ folder work

    def work(self, life: Life | None = None) -> None:
        """Carry out the oldest effect that waits."""
        life = life or self.life
        if not life.jobs:
            return
        effect = life.jobs.popleft()
        if isinstance(effect, _Say):
            if life is self.life:
                self.say(effect.message)
        elif isinstance(effect, _EndRun):
            if life is self.life:
                self.end_run(is_requested=effect.is_requested, is_restarted=effect.is_restarted)
        elif isinstance(effect, ef.AdoptFolder) and self._is_held_by_another(effect.recording_id, life):
            life.blocked.append(effect)
            self.handle(ev.FolderBusy(recording_id=effect.recording_id), life)
        elif (event := self.disk.work(effect)) is not None:
            self.handle(event, life)
            if isinstance(event, ev.LogRead):
                self._check_rested(event.recording_id, life)

    def _is_held_by_another(self, recording_id: str, life: Life) -> bool:
        other = self.zombie if life is self.life else self.life
        return other is not None and recording_id in other.client.book.recordings

    def _check_rested(self, recording_id: str, life: Life) -> None:
        recording = life.client.book.recordings.get(recording_id)
        if recording is not None:
            self.model.check_rested(recording)

    def end_run(self, *, is_requested: bool, is_restarted: bool = False) -> None:
        """MediaRecorder stops."""
        window = self.window
        if window.is_running and window.recording_id is not None:
            window.is_running = False
            ended = CaptureEnded(
                recording_id=window.recording_id,
                run=window.run,
                slices_captured=len(window.slices),
                is_requested=is_requested,
                is_restarted=is_restarted,
            )
            window.log.append(ended)
            self.say(ended)

    # ------------------------------------------------------------------ the network

    def answer(self, request_id: int, kind: str, life: Life | None = None) -> None:
        """Answer a request truly, or in one of the ways in which networks and servers fail."""
        life = life or self.life
        effect = life.requests.pop(request_id)
        if kind == "timeout":
            self.handle(ev.Unanswered(request_id=request_id, is_timeout=True), life)
            return
        if kind == "portal":
            self._answered(life, request_id, 200, {"content-type": "text/html"}, b"<html>")
            return
        if kind == "unreadable" and isinstance(effect.body, ef.ChunkBody):
            self.handle(ev.ChunkUnreadable(request_id=request_id, is_lost=False, message="not now"), life)
            return
        body = effect.body
        if isinstance(body, ef.ChunkBody):
            body = self.disk.read_chunk(body)
        response = self.server.answer(effect.method, effect.path, effect.headers, body or b"")
        if kind == "lost":
            self.handle(ev.Unanswered(request_id=request_id, is_timeout=False), life)
            return
        if kind == "forged" and response.status in (200, 201):
            self._answered(life, request_id, response.status, response.headers, _forge(response.body))
            return
        self._note_answer(effect, response.status, response.body)
        self._answered(life, request_id, response.status, response.headers, response.body)

    def deliver_late(self, choice: int) -> None:
        """A request of a worker that is dead comes to the server; nobody hears the answer."""
        effect = self.late.pop(choice % len(self.late))
        body = effect.body
        if isinstance(body, ef.ChunkBody):
            if any(
                journal.segment_name(piece.epoch, piece.segment) not in self.disk.folders.get(body.recording_id, {})
                for piece in body.pieces
            ):
                return  # it is cleared since, so it can only have been sent before
            body = self.disk.read_chunk(body)
        self.server.answer(effect.method, effect.path, effect.headers, body or b"")

    def _answered(self, life: Life, request_id: int, status: int, headers: dict[str, str], body: bytes) -> None:
        self.handle(ev.Answered(request_id=request_id, status=status, headers=headers, body=body), life)

    def _note_put(self, effect: ef.SendRequest) -> None:
        if effect.method == "PUT":
            _, _, _, recording_id, _, index = effect.path.split("/")
            digest = parse_content_digest(effect.headers["content-digest"])
            self.model.on_put(recording_id, int(index), effect.headers["chunk-run"], digest)

    def _note_answer(self, effect: ef.SendRequest, status: int, body: bytes) -> None:
        """What a true answer lets a worker believe."""
        if effect.method == "PUT" and status in (200, 201):
            decoded = msgspec.json.decode(body)
            self.model.of(decoded["recording_id"]).acknowledged.add(decoded["chunk_index"])
        elif effect.path.endswith("/verify") and status == 200:
            decoded = msgspec.json.decode(body)
            found = {each["chunk_index"] for each in decoded["chunks"] if each["state"] == "verified"}
            self.model.of(decoded["recording_id"]).verified |= found


class _Say(ef.Effect, frozen=True, kw_only=True):
    """The window's message on its way."""

    message: FromWindow


class _EndRun(ef.Effect, frozen=True, kw_only=True):
    """The recorder's `stop` event on its way."""

    is_requested: bool
    is_restarted: bool = False


def _forge(body: bytes) -> bytes:
    """The answer with another digest, and with good news that are not true."""
    for true, false in (
        (b'"sha256":"', b'"sha256":"00'),
        (b'"root":"', b'"root":"00'),
        (b'"state":"unknown"', b'"state":"verified"'),
        (b'"state":"missing"', b'"state":"verified"'),
    ):
        body = body.replace(true, false)
    return re.sub(rb'"00([0-9a-f]{62})[0-9a-f]{2}"', rb'"00\1"', body)  # of the right length, and wrong
