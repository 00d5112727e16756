"""What a backlog costs the page: memory and computing of the client's core with thousands of chunks that wait.

`make bench` prints it. The core runs under CPython here; Pyodide needs about half the memory for the
same objects (32-bit pointers) and several times the computing.
"""

import gc
import sys
import time
import tracemalloc
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import msgspec

from client_py.core import effects as ef
from client_py.core import events as ev
from client_py.core import journal
from client_py.core.client import Client
from client_py.core.frames import FileKind, encode_file_header
from client_py.core.recovery import Recovery
from client_py.messages import Boot, Settings

# A phone's microphone: 32 kbit/s, a slice each 250 ms, a chunk each 2 s.
SLICES_A_CHUNK = 8
SLICE_BYTES = 1_000
UNIX_MS = 1_770_000_000_000
HEAD = "  chunks recordings  recovery s  memory MiB  bytes a chunk  tick ms  answer ms"
CASES = [(1_000, 1), (10_000, 1), (10_000, 100)]


@dataclass
class Cost:
    """Of one backlog."""

    chunks: int
    recordings: int
    recovery_s: float
    memory_bytes: int
    tick_ms: float
    answer_ms: float


class Page:
    """The core with everything answered at once, as fast as it asks."""

    def __init__(self) -> None:
        self.client = Client()
        self.now_ms = 0
        self.requests: deque[ef.SendRequest] = deque()

    def handle(self, event: ev.Event) -> list[ef.Effect]:
        at_once: deque[ev.Event] = deque([event])
        effects: list[ef.Effect] = []
        while at_once:
            for effect in self.client.handle(at_once.popleft(), ev.Moment(self.now_ms, self.now_ms + UNIX_MS, 0.5)):
                effects.append(effect)
                if isinstance(effect, ef.SendRequest):
                    self.requests.append(effect)
                elif isinstance(effect, ef.OpenEpoch):
                    at_once.append(ev.EpochOpened(recording_id=effect.recording_id, epoch=effect.epoch))
                elif isinstance(effect, ef.AppendRecords):
                    recording_id, epoch = effect.recording_id, effect.epoch
                    at_once.append(ev.RecordsWritten(recording_id=recording_id, epoch=epoch, count=effect.count))
        return effects

    def answer(self, request: ef.SendRequest) -> None:
        """As a server that held nothing, and stores and verifies everything."""
        status, body = self._answer_to(request)
        fields = {"content-type": "application/json"}
        self.handle(ev.Answered(request_id=request.request_id, status=status, headers=fields, body=body))

    def _answer_to(self, request: ef.SendRequest) -> tuple[int, bytes]:
        if request.path == "/api/recordings":
            assert isinstance(request.body, bytes)
            return 201, msgspec.json.encode({"recording_id": msgspec.json.decode(request.body)["recording_id"]})
        recording = self.client.book.recordings[request.path.split("/")[3]]
        if request.method == "PUT":
            sealed = recording.chunks[int(request.path.rpartition("/")[2])].sealed
            receipt = {
                "recording_id": recording.recording_id,
                "chunk_index": sealed.chunk_index,
                "run": sealed.run,
                "size": sealed.size,
                "sha256": sealed.sha256.hex(),
                "acknowledged_at": "2026-01-01T00:00:00Z",
            }
            return 201, msgspec.json.encode(receipt)
        if request.path.endswith("/verify"):
            assert isinstance(request.body, bytes)
            indexes = [claim["chunk_index"] for claim in msgspec.json.decode(request.body)["chunks"]]
            chunks = [{"chunk_index": index, "state": "unknown"} for index in indexes]
            return 200, msgspec.json.encode({"recording_id": recording.recording_id, "chunks": chunks})
        return 503, b""


def make_journal(recording_id: str, chunk_count: int) -> bytes:
    """The journal of a closed recording of which nothing was sent."""
    records: list[journal.AnyRecord] = [
        journal.Opened(recording_id=recording_id, epoch=1, started_at_ms=1, source="microphone")
    ]
    stride = SLICE_BYTES + journal.SLICE_CONTENT_OFFSET
    for index in range(chunk_count):
        first = index * SLICES_A_CHUNK
        pieces = [journal.Piece(1, 0, number * stride, SLICE_BYTES) for number in range(first, first + SLICES_A_CHUNK)]
        records.append(
            journal.Sealed(
                chunk_index=index,
                run=0,
                size=SLICES_A_CHUNK * SLICE_BYTES,
                sha256=index.to_bytes(32, "big"),
                first_slice=first,
                first_offset=0,
                next_slice=first + SLICES_A_CHUNK,
                next_offset=0,
                pieces=pieces,
            )
        )
    records.append(journal.Closed(ended="stopped", at_ms=2))
    frames = (journal.encode_record(recording_id, 1, record) for record in records)
    return encode_file_header(FileKind.JOURNAL) + b"".join(frames)


def measure(chunks: int, recordings: int) -> Cost:
    """Recover the backlog, let time pass, send a part of it, and record beside it."""
    ids = [str(UUID(int=(UNIX_MS + number) << 80 | 7 << 76 | 2 << 62 | number)) for number in range(recordings)]
    journals = {recording_id: make_journal(recording_id, chunks // recordings) for recording_id in ids}
    gc.collect()
    tracemalloc.start()
    page = Page()
    page.handle(ev.WindowSaid(message=Boot(epoch=1, settings=Settings(), formats=[], is_online=True)))
    page.handle(ev.StorageProbed(is_persistent=True))
    page.handle(ev.FoldersListed(folders=ids))
    began_s = time.process_time()
    for recording_id in ids:
        recovery = Recovery(recording_id, [("journal-1", len(journals[recording_id]))])
        recovery.take_journal(1, journals[recording_id])
        page.handle(ev.LogRead(recording_id=recording_id, log=recovery.finish(1 << 20)))
        del recovery
    recovery_s = time.process_time() - began_s
    gc.collect()
    memory_bytes = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    tick_ms = _time_of(20, lambda: _tick(page))
    answer_ms = _time_of(min(2_000, chunks), lambda: _answer_next(page))
    return Cost(chunks, recordings, recovery_s, memory_bytes, tick_ms, answer_ms)


def _tick(page: Page) -> None:
    page.now_ms += 100
    page.handle(ev.Ticked())


def _answer_next(page: Page) -> None:
    if page.requests:
        page.now_ms += 20
        page.answer(page.requests.popleft())
    else:
        _tick(page)


def _time_of(count: int, work: Callable[[], None]) -> float:
    began_s = time.process_time()
    for _ in range(count):
        work()
    return (time.process_time() - began_s) / count * 1000


def main() -> int:
    """Print one line a case."""
    print("a backlog in the client's core (nothing of a chunk's bytes is in memory)")
    print(HEAD)
    for chunks, recordings in CASES:
        cost = measure(chunks, recordings)
        print(
            f"{chunks:>8,} {recordings:>10} {cost.recovery_s:>11.2f} {cost.memory_bytes / (1 << 20):>11.1f} "
            f"{cost.memory_bytes / chunks:>14,.0f} {cost.tick_ms:>8.2f} {cost.answer_ms:>10.3f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
