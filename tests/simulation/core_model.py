"""A world for the pure core without any loop: a disk, a window, a server that remember what must never happen.

Effects that the runtime carries out at once are carried out at once; the others wait until the
machine lets them. The world knows more than the client: which slices were reported durable, which
content was ever sent under a key, what the server ever verified.
"""

import hashlib
import re
from collections import deque
from dataclasses import dataclass, field
from uuid import UUID

import msgspec

from client_py.core import effects as ef
from client_py.core import events as ev
from client_py.core import journal
from client_py.core.client import Client
from client_py.core.frames import FileKind, encode_file_header
from client_py.core.recovery import Recovery
from client_py.core.room import BALLAST_BYTES
from client_py.core.states import ChunkLife
from client_py.messages import (
    Boot,
    CaptureEnded,
    CaptureLockHeld,
    CaptureOpen,
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
from protocol.limits import CHUNK_MAX_BYTES

SETTINGS = Settings(
    slice_ms=100, chunk_bytes=600, chunk_ms=400, verify_after_s=0.2, keep_verified_s=5.0, reverify_s=20.0
)
SEGMENT_BYTES = 2_000
RESTED = (ChunkLife.PENDING, ChunkLife.VERIFIED, ChunkLife.CLEARED, ChunkLife.PLANNED)


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


class CoreWorld:
    """One tab at a time, and everything that outlives it."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.unix_offset_ms = 1_770_000_000_000
        self.jitter = 0.5
        self.ids = 0
        self.disk: dict[str, dict[str, bytearray]] = {}
        self.room: int | None = None  # bytes that still fit; None: any number
        self.server = MemoryHoldfast()
        self.saved: dict[str, dict[int, Slice]] = {}  # what was ever reported durable
        self.sent: dict[tuple[str, int], tuple[str, bytes]] = {}  # (run, digest) ever sent under a key
        self.verified: set[tuple[str, int]] = set()  # what the server ever answered `verified`
        self.deleted: set[str] = set()
        self.window = WindowModel()
        self.start(live_id=None)

    # ------------------------------------------------------------------ lives

    def start(self, *, live_id: str | None) -> None:
        """A new worker; whatever the old one had under way is gone."""
        self.client = Client(segment_bytes=SEGMENT_BYTES)
        self.jobs: deque[ef.Effect] = deque()
        self.requests: dict[int, ef.SendRequest] = {}
        self.window.is_replaying = live_id is not None
        boot = Boot(epoch=1, settings=SETTINGS, formats=["audio/webm"], is_online=True, live_recording_id=live_id)
        self.handle(ev.WindowSaid(message=boot))

    def handle(self, event: ev.Event) -> None:
        """One event and all that follows at once, with the invariants checked after each."""
        at_once = deque([event])
        while at_once:
            moment = ev.Moment(self.now_ms, self.now_ms + self.unix_offset_ms, self.jitter)
            for effect in self.client.handle(at_once.popleft(), moment):
                answer = self._perform(effect)
                at_once.extend(answer)

    def say(self, message: FromWindow) -> None:
        """The window posts, unless it waits for `replay-after`."""
        if not self.window.is_replaying:
            self.handle(ev.WindowSaid(message=message))

    # ------------------------------------------------------------------ effects

    def _perform(self, effect: ef.Effect) -> list[ev.Event]:
        match effect:
            case ef.AppendSlice():
                return [self._append_slice(effect)]
            case ef.AppendRecords():
                return [self._append_records(effect)]
            case ef.TellWindow():
                self._tell(effect.message)
            case ef.MakeRecordingId():
                self.ids += 1
                unix_ms = self.now_ms + self.unix_offset_ms
                number = unix_ms << 80 | 7 << 76 | 2 << 62 | self.ids
                return [ev.RecordingIdMade(recording_id=str(UUID(int=number)))]
            case ef.SendRequest():
                self._check_never_another_content(effect)
                self.requests[effect.request_id] = effect
                assert len(self.requests) <= 4, "more in flight than the bound (I6)"
            case ef.CancelRequest():
                self.requests.pop(effect.request_id, None)
            case ef.TellTabs():
                pass
            case _:
                self.jobs.append(effect)
        return []

    def _append_slice(self, effect: ef.AppendSlice) -> ev.Event:
        recording_id = effect.slice.recording_id
        offset = self._append(recording_id, journal.segment_name(effect.epoch, effect.segment), effect.frame)
        if offset is None:
            return ev.SliceRefused(recording_id=recording_id, epoch=effect.epoch, is_full=True, message="full")
        return ev.SliceWritten(slice=effect.slice, epoch=effect.epoch, segment=effect.segment, offset=offset)

    def _append_records(self, effect: ef.AppendRecords) -> ev.Event:
        name = journal.journal_name(effect.epoch)
        if self._append(effect.recording_id, name, effect.frames) is None:
            return ev.RecordsRefused(recording_id=effect.recording_id, epoch=effect.epoch, is_full=True, message="full")
        return ev.RecordsWritten(recording_id=effect.recording_id, epoch=effect.epoch, count=effect.count)

    def _append(self, folder: str, name: str, content: bytes) -> int | None:
        if self.room is not None:
            if len(content) > self.room:
                return None
            self.room -= len(content)
        file = self.disk[folder][name]
        offset = len(file)
        file += content
        return offset

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
            case ReleaseCaptureLock() if message.recording_id == window.recording_id:
                self.window = WindowModel()
            case Durable() if message.recording_id == window.recording_id:
                saved = self.saved.setdefault(message.recording_id, {})
                for each in window.slices[: message.slice_number + 1]:
                    saved[each.slice_number] = each
                window.durable = max(window.durable, message.slice_number)
            case ReplayAfter() if message.recording_id == window.recording_id:
                window.is_replaying = False
                again = [*window.log[:1], *window.slices[message.slice_number + 1 :], *window.log[1:]]
                self.jobs.extend(_Say(message=each) for each in again)

    # ------------------------------------------------------------------ folder work

    def work(self) -> None:
        """Carry out the oldest effect that waits."""
        if not self.jobs:
            return
        effect = self.jobs.popleft()
        if isinstance(effect, _Say):
            self.say(effect.message)
        elif isinstance(effect, _EndRun):
            self.end_run(is_requested=effect.is_requested)
        else:
            event = self._work_on_storage(effect)
            if event is not None:
                self.handle(event)

    def end_run(self, *, is_requested: bool) -> None:
        """MediaRecorder stops."""
        window = self.window
        if window.is_running and window.recording_id is not None:
            window.is_running = False
            ended = CaptureEnded(
                recording_id=window.recording_id,
                run=window.run,
                slices_captured=len(window.slices),
                is_requested=is_requested,
            )
            window.log.append(ended)
            self.say(ended)

    def _work_on_storage(self, effect: ef.Effect) -> ev.Event | None:
        match effect:
            case ef.ProbeStorage():
                return ev.StorageProbed(is_persistent=True)
            case ef.ListFolders():
                return ev.FoldersListed(folders=list(self.disk))
            case ef.OpenEpoch():
                return self._open_epoch(effect)
            case ef.OpenSegment():
                self.disk[effect.recording_id][journal.segment_name(effect.epoch, effect.segment)] = bytearray(
                    encode_file_header(FileKind.SLICES)
                )
                return ev.SegmentOpened(recording_id=effect.recording_id, epoch=effect.epoch, segment=effect.segment)
            case ef.RemoveSegment():
                self._check_may_go(effect.recording_id, (effect.epoch, effect.segment))
                name = journal.segment_name(effect.epoch, effect.segment)
                self._give_back(len(self.disk.get(effect.recording_id, {}).pop(name, b"")))
                return ev.SegmentRemoved(recording_id=effect.recording_id, epoch=effect.epoch, segment=effect.segment)
            case ef.RemoveFolder():
                self._check_may_go(effect.recording_id, None)
                self._give_back(sum(map(len, self.disk.pop(effect.recording_id, {}).values())))
                return ev.FolderRemoved(recording_id=effect.recording_id)
            case ef.MakeBallast():
                if self.room is not None and self.room < BALLAST_BYTES:
                    return ev.BallastRefused(folder=effect.folder)
                if self.room is not None:
                    self.room -= BALLAST_BYTES
                self.disk[effect.folder]["ballast"] = bytearray(BALLAST_BYTES)
                return ev.BallastMade(folder=effect.folder)
            case ef.RemoveBallast():
                self._give_back(len(self.disk.get(effect.folder, {}).pop("ballast", b"")))
                return ev.BallastRemoved(folder=effect.folder)
            case ef.AdoptFolder():
                return self._adopt(effect)
        return None

    def _open_epoch(self, effect: ef.OpenEpoch) -> ev.Event:
        files = self.disk.setdefault(effect.recording_id, {})
        names = [journal.journal_name(effect.epoch)]
        names += [journal.segment_name(effect.epoch, 0)] if effect.with_slices else []
        assert not set(names) & set(files), "an epoch is never opened twice"
        if self.room is not None and self.room < 32:
            return ev.EpochRefused(recording_id=effect.recording_id, epoch=effect.epoch, is_full=True, message="full")
        for name, kind in zip(names, (FileKind.JOURNAL, FileKind.SLICES), strict=False):
            files[name] = bytearray(encode_file_header(kind))
        return ev.EpochOpened(recording_id=effect.recording_id, epoch=effect.epoch)

    def _adopt(self, effect: ef.AdoptFolder) -> ev.Event:
        recovery = recover(effect.recording_id, self.disk.get(effect.recording_id, {}))
        return ev.LogRead(recording_id=effect.recording_id, log=recovery.finish(effect.chunk_bytes))

    def _give_back(self, size: int) -> None:
        if self.room is not None:
            self.room += size

    # ------------------------------------------------------------------ the network

    def answer(self, request_id: int, kind: str) -> None:
        """Answer a request truly, or in one of the ways in which networks and servers fail."""
        effect = self.requests.pop(request_id)
        if kind == "timeout":
            self.handle(ev.Unanswered(request_id=request_id, is_timeout=True))
            return
        if kind == "portal":
            self._answered(request_id, 200, {"content-type": "text/html"}, b"<html>")
            return
        body = effect.body
        if isinstance(body, ef.ChunkBody):
            body = self.read_chunk(body)
        response = self.server.answer(effect.method, effect.path, effect.headers, body or b"")
        if kind == "lost":
            self.handle(ev.Unanswered(request_id=request_id, is_timeout=False))
            return
        if kind == "forged" and response.status in (200, 201):
            self._answered(request_id, response.status, response.headers, _forge(response.body))
            return
        self._note_verified(effect, response.body)
        self._answered(request_id, response.status, response.headers, response.body)

    def read_chunk(self, body: ef.ChunkBody) -> bytes:
        """The chunk's bytes as they lie on the disk."""
        content = b"".join(
            bytes(
                self.disk[body.recording_id][journal.segment_name(piece.epoch, piece.segment)][
                    piece.offset : piece.offset + piece.size
                ]
            )
            for piece in body.pieces
        )
        assert hashlib.sha256(content).digest() == body.sha256, "a chunk that is to be sent is not what was sealed"
        return content

    def _answered(self, request_id: int, status: int, headers: dict[str, str], body: bytes) -> None:
        self.handle(ev.Answered(request_id=request_id, status=status, headers=headers, body=body))

    def _note_verified(self, effect: ef.SendRequest, body: bytes) -> None:
        if effect.path.endswith("/verify"):
            decoded = msgspec.json.decode(body)
            for each in decoded.get("chunks", []):
                if isinstance(each, dict) and each["state"] == "verified":
                    self.verified.add((decoded["recording_id"], each["chunk_index"]))

    # ------------------------------------------------------------------ what must never happen

    def _check_never_another_content(self, effect: ef.SendRequest) -> None:
        if effect.method != "PUT":
            return
        _, _, _, recording_id, _, index = effect.path.split("/")
        content = (effect.headers["chunk-run"], parse_content_digest(effect.headers["content-digest"]))
        first = self.sent.setdefault((recording_id, int(index)), content)
        assert first == content, f"another content was sent under chunk {index} (I3)"
        assert isinstance(effect.body, ef.ChunkBody)
        files = self.disk[recording_id]
        sealed = {each.chunk_index: each for each in recover(recording_id, files).finish(CHUNK_MAX_BYTES).sealed}
        assert sealed[int(index)].sha256 == content[1], "a chunk is sent before its seal record is flushed"

    def _check_may_go(self, recording_id: str, segment: tuple[int, int] | None) -> None:
        """I1: every saved slice whose bytes are to go was verified, or its recording deleted."""
        if recording_id in self.deleted:
            return
        log = recover(recording_id, self.disk.get(recording_id, {})).finish(CHUNK_MAX_BYTES)
        assert not log.recovered or segment is not None, "a folder goes with slices that no chunk holds"
        for sealed in log.sealed:
            if segment is None or any((piece.epoch, piece.segment) == segment for piece in sealed.pieces):
                assert (recording_id, sealed.chunk_index) in self.verified, "bytes go that were never verified (I1)"
                assert sealed.chunk_index in log.cleared, "bytes go before their cleared record is flushed"

    def check_rested(self) -> None:
        """I9: what a new life finds is at rest; nothing that was under way has been kept."""
        for recording in self.client.book.recordings.values():
            for chunk in recording.chunks.values():
                assert chunk.life in RESTED


class _Say(ef.Effect, frozen=True, kw_only=True):
    """The window's message on its way."""

    message: FromWindow


class _EndRun(ef.Effect, frozen=True, kw_only=True):
    """The recorder's `stop` event on its way."""

    is_requested: bool


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


def recover(recording_id: str, files: dict[str, bytearray]) -> Recovery:
    """Read a folder of the model."""
    recovery = Recovery(recording_id, [(name, len(content)) for name, content in files.items()])
    for name, content in sorted(files.items()):
        epoch = journal.parse_journal_name(name)
        if epoch is not None:
            recovery.take_journal(epoch, bytes(content))
    for epoch, segment in recovery.segments_to_scan():
        recovery.take_segment(epoch, segment, bytes(files[journal.segment_name(epoch, segment)]))
    return recovery
