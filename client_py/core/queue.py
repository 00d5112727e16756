"""The send queue: steps 3 and 7 of a chunk's life, and the registration that comes before them.

Oldest first across recordings. Nothing in it is persisted: it is made anew from the log at every
start (I9). A chunk leaves it by a receipt that repeats what was sent, or is parked by a final
problem code; otherwise it is tried again for ever (I10).
"""

import heapq
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import msgspec

from client_py.core.answers import Refusal, decode_answer, read_refusal
from client_py.core.backoff import Backoff, retry_delay_ms
from client_py.core.book import Book, Chunk, Recording, Registration
from client_py.core.effects import ChunkBody
from client_py.core.events import Answered, ChunkUnreadable, Unanswered
from client_py.core.requests import ChunkFlight, RegisterFlight, Requests
from client_py.core.states import TO_SEND, ChunkStep, RecordingLife
from protocol.checksums import format_content_digest
from protocol.errors import ErrorCode
from protocol.wire import Receipt, RecordingRegistration

# A run whose record was lost: the server needs some MIME type, and the bytes are what matters.
UNKNOWN_MIME_TYPE: Final = "application/octet-stream"


class _Lane:
    """The chunks of one recording that wait to be sent."""

    def __init__(self) -> None:
        self.ready: list[int] = []
        self.delayed: list[tuple[int, int]] = []  # (due monotonic ms, chunk_index)

    def next_index(self, now_ms: int) -> int | None:
        while self.delayed and self.delayed[0][0] <= now_ms:
            heapq.heappush(self.ready, heapq.heappop(self.delayed)[1])
        return self.ready[0] if self.ready else None


class SendQueue:
    """What waits to be sent, and what is told to the server of each recording first."""

    def __init__(self, book: Book, requests: Requests) -> None:
        self._book = book
        self._requests = requests
        self._line = Backoff()
        self._lanes: dict[str, _Lane] = {}

    def add(self, recording: Recording, chunk: Chunk) -> None:
        """Queue a chunk that is to be sent."""
        heapq.heappush(self._lane(recording).ready, chunk.sealed.chunk_index)

    def remove(self, recording: Recording) -> None:
        """Forget the recording's chunks."""
        self._lanes.pop(recording.recording_id, None)

    def waiting_of(self, recording_id: str) -> set[int]:
        """The indexes of the recording's chunks that wait here."""
        lane = self._lanes.get(recording_id)
        return {*lane.ready, *(index for _, index in lane.delayed)} if lane else set()

    def nudge(self) -> None:
        """Back online, or looked at again: try now."""
        self._line.nudge()
        for recording_id, lane in self._lanes.items():
            for _, chunk_index in lane.delayed:
                heapq.heappush(lane.ready, chunk_index)
            lane.delayed.clear()
            self._book.recordings[recording_id].registering.nudge()

    def pump(self) -> None:
        """Start what may be started now."""
        if not self._line.is_open(self._book.at):
            return
        recordings = self._book.recordings
        for recording in sorted((recordings[key] for key in self._lanes), key=lambda each: each.age_key):
            lane = self._lanes[recording.recording_id]
            while self._requests.has_room and (index := lane.next_index(self._book.now_ms)) is not None:
                chunk = recording.chunks[index]
                if chunk.life not in TO_SEND:
                    heapq.heappop(lane.ready)  # it was queued twice and is past this already
                elif recording.registration is Registration.REGISTERED:
                    heapq.heappop(lane.ready)
                    self._send(recording, chunk)
                else:
                    self._register(recording)
                    break
            if not lane.ready and not lane.delayed:
                del self._lanes[recording.recording_id]
            if not self._requests.has_room:
                return

    def on_registered(self, recording: Recording, event: Answered | Unanswered) -> None:
        """`201` and `200` are both success."""
        if isinstance(event, Answered):
            echo = decode_answer(event, _RecordingEcho, 200, 201)
            if echo is not None and str(echo.recording_id) == recording.recording_id:
                self._registered(recording)
                return
        refusal = read_refusal(event)
        if refusal.code == ErrorCode.RECORDING_DIFFERS:
            # Registered before with another type or time, say because the log lost them since. The
            # chunks' own digests decide what counts, so sending goes on.
            self._registered(recording)
            return
        recording.registration = Registration.UNREGISTERED
        if refusal.is_final:
            recording.problem = refusal.detail
        recording.registering.fail(self._book.at, refusal.retry_after_ms)
        self._blame(refusal)

    def on_sent(self, recording: Recording, flight: ChunkFlight, event: Answered | Unanswered) -> None:
        """A receipt, a final refusal, or another try."""
        chunk = recording.chunks[flight.chunk_index]
        if isinstance(event, Answered) and _is_receipt_of(event, recording, chunk):
            chunk.failures = chunk.timeouts = 0
            recording.step_chunk(chunk, ChunkStep.RECEIPT)
            self._delivered()
            return
        refusal = read_refusal(event)
        if refusal.is_final:
            self.park(recording, chunk, refusal.detail or refusal.code)
            self._delivered()
            return
        recording.step_chunk(chunk, ChunkStep.FAILED)
        if refusal.code == ErrorCode.RECORDING_UNKNOWN:
            recording.registration = Registration.UNREGISTERED
            if recording.registering.failures == 0:
                recording.registering.fail(self._book.at)  # bounds a server that forgets at once
                self.add(recording, chunk)
                return
        chunk.timeouts += 1 if refusal.is_timeout else 0
        if refusal.is_of_line:
            self.add(recording, chunk)
        else:
            self._delay(recording, chunk)
        self._blame(refusal)

    def on_unreadable(self, recording: Recording, flight: ChunkFlight, event: ChunkUnreadable) -> None:
        """The local bytes are not those that were sealed: nothing that could be sent would be right."""
        chunk = recording.chunks[flight.chunk_index]
        if event.is_lost:
            self.park(recording, chunk, event.message)
        else:
            recording.step_chunk(chunk, ChunkStep.FAILED)
            self._delay(recording, chunk)

    def park(self, recording: Recording, chunk: Chunk, problem: str) -> None:
        """Set a chunk aside: bytes kept, shown, blocking nothing."""
        recording.step_chunk(chunk, ChunkStep.REFUSED)
        chunk.problem = problem
        recording.problem = f"chunk {chunk.sealed.chunk_index} is set aside: {problem}"

    def _send(self, recording: Recording, chunk: Chunk) -> None:
        sealed = chunk.sealed
        recording.step_chunk(chunk, ChunkStep.SEND)
        self._requests.start(
            ChunkFlight(recording_id=recording.recording_id, chunk_index=sealed.chunk_index),
            "PUT",
            f"/api/recordings/{recording.recording_id}/chunks/{sealed.chunk_index}",
            headers={
                "content-type": "application/octet-stream",
                "content-digest": format_content_digest(sealed.sha256),
                "chunk-run": str(sealed.run),
            },
            body=ChunkBody(recording.recording_id, sealed.pieces, sealed.sha256),
            body_bytes=sealed.size,
            timeouts=chunk.timeouts,
        )

    def _register(self, recording: Recording) -> None:
        is_due = recording.registering.is_open(self._book.at)
        if recording.registration is not Registration.UNREGISTERED or not is_due:
            return
        if recording.life is RecordingLife.DELETING:
            return
        recording.registration = Registration.REGISTERING
        registration = RecordingRegistration(
            recording_id=UUID(recording.recording_id),
            mime_type=recording.runs.get(min(recording.runs, default=0)) or UNKNOWN_MIME_TYPE,
            started_at=datetime.fromtimestamp(recording.started_at_ms / 1000, UTC),
        )
        body = msgspec.json.encode(registration)
        self._requests.start(
            RegisterFlight(recording_id=recording.recording_id),
            "POST",
            "/api/recordings",
            headers={"content-type": "application/json"},
            body=body,
            body_bytes=len(body),
        )

    def _registered(self, recording: Recording) -> None:
        recording.registration = Registration.REGISTERED
        recording.registering.succeed()
        self._delivered()

    def _delivered(self) -> None:
        self._line.succeed()
        self._requests.widen()
        self._book.server_words = ""

    def _blame(self, refusal: Refusal) -> None:
        """Every failure makes the line wait a little, so that no refusal of any kind becomes a storm."""
        self._line.fail(self._book.at, refusal.retry_after_ms)
        if refusal.is_of_line:
            self._requests.narrow()
        if refusal.words:
            self._book.server_words = refusal.words

    def _delay(self, recording: Recording, chunk: Chunk) -> None:
        due_ms = self._book.now_ms + retry_delay_ms(chunk.failures, self._book.at.jitter)
        chunk.failures += 1
        heapq.heappush(self._lane(recording).delayed, (due_ms, chunk.sealed.chunk_index))

    def _lane(self, recording: Recording) -> _Lane:
        return self._lanes.setdefault(recording.recording_id, _Lane())


class _RecordingEcho(msgspec.Struct):
    """The part of a registration's answer that must repeat what was sent."""

    recording_id: UUID


def _is_receipt_of(answer: Answered, recording: Recording, chunk: Chunk) -> bool:
    receipt = decode_answer(answer, Receipt, 200, 201)
    sealed = chunk.sealed
    return receipt is not None and (
        str(receipt.recording_id),
        receipt.chunk_index,
        receipt.run,
        receipt.size,
        receipt.sha256,
    ) == (recording.recording_id, sealed.chunk_index, sealed.run, sealed.size, sealed.sha256.hex())
