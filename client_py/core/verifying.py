"""Asks the server what ledger and bucket really hold: steps 8 and 9 of a chunk's life.

Chunks found in the log at start are asked about before they are sent. Acknowledged ones are asked
about a little later. Verified ones are asked about again, at page open and then at most hourly,
so that a bucket purged since is filled again from the bytes that are still here.
"""

import heapq
from typing import Final

import msgspec

from client_py.core.answers import decode_answer, read_refusal
from client_py.core.book import Book, Recording, Registration
from client_py.core.events import Answered, Unanswered
from client_py.core.journal import Verified
from client_py.core.log_writer import LogWriter
from client_py.core.queue import SendQueue
from client_py.core.requests import Requests, VerifyFlight
from client_py.core.states import ChunkLife, ChunkStep, RecordingLife
from protocol.errors import ErrorCode
from protocol.limits import VERIFY_CHUNKS_MAX
from protocol.states import Verification
from protocol.wire import ChunkClaim, ChunkVerification, VerifyRequest, VerifyResponse

PENDING_MS: Final = 1_000  # the server reads objects back meanwhile; asking sooner only costs
# A server that answers and cannot verify may still store: after so many failures what is pending is sent.
ASKS_MAX: Final = 5


class Verifying:
    """One question at a time, for all recordings of this page."""

    def __init__(self, book: Book, requests: Requests, log: LogWriter, queue: SendQueue) -> None:
        self._book = book
        self._requests = requests
        self._log = log
        self._queue = queue

    def note_receipt(self, recording: Recording) -> None:
        """A chunk was acknowledged: ask soon."""
        if recording.verify_due_ms is None:
            recording.verify_due_ms = self._book.now_ms + int(self._book.settings.verify_after_s * 1000)

    def ask_now(self, recording: Recording) -> None:
        """Ask about what the log left pending, and again about what was verified."""
        recording.verify_due_ms = recording.reverify_due_ms = self._book.now_ms

    def nudge(self) -> None:
        """Try now what waits after a failure."""
        for recording in self._book.recordings.values():
            recording.verifying.nudge()

    def pump(self) -> None:
        """Ask about the oldest recording that has something due."""
        if not self._requests.has_room or self._requests.is_flying(VerifyFlight):
            return
        for recording in sorted(self._book.recordings.values(), key=lambda each: each.age_key):
            if recording.life is RecordingLife.DELETING or not recording.verifying.is_open(self._book.at):
                continue
            if self._ask_first(recording) or self._ask_again(recording):
                return

    def on_answer(self, recording: Recording, flight: VerifyFlight, event: Answered | Unanswered) -> None:
        """Each chunk is found, lost, different, or asked about again later."""
        response = decode_answer(event, VerifyResponse, 200) if isinstance(event, Answered) else None
        if response is not None and str(response.recording_id) == recording.recording_id:
            recording.verifying.succeed()
            self._book.server_words = ""
            answers = {answer.chunk_index: answer for answer in response.chunks}
            self._take(recording, flight, answers)
            return
        refusal = read_refusal(event)
        if refusal.code == ErrorCode.RECORDING_UNKNOWN:
            recording.registration = Registration.UNREGISTERED
            recording.verifying.succeed()
            for index in flight.chunk_indexes:
                self._lose(recording, index)
            return
        for index in flight.chunk_indexes:
            recording.step_chunk(recording.chunks[index], ChunkStep.FAILED)
        recording.verifying.fail(self._book.at, refusal.retry_after_ms)
        if refusal.code == ErrorCode.RECORDING_DELETED:
            recording.problem = refusal.detail
            return
        if refusal.words:
            self._book.server_words = refusal.words
        if not refusal.is_of_line and recording.verifying.failures >= ASKS_MAX:
            for index in list(recording.by_life[ChunkLife.PENDING]):
                self._lose(recording, index)

    def _ask_first(self, recording: Recording) -> bool:
        if recording.verify_due_ms is None or self._book.now_ms < recording.verify_due_ms:
            return False
        waiting = recording.by_life[ChunkLife.PENDING] or recording.by_life[ChunkLife.ACKNOWLEDGED]
        if not waiting:
            recording.verify_due_ms = None
            return False
        self._ask(recording, heapq.nsmallest(VERIFY_CHUNKS_MAX, waiting), is_again=False)
        return True

    def _ask_again(self, recording: Recording) -> bool:
        """The next page of verified chunks; after the last one, not before `reverify_s` has passed."""
        if self._book.now_ms < recording.reverify_due_ms:
            return False
        later = [index for index in recording.by_life[ChunkLife.VERIFIED] if index > recording.reverified_up_to]
        if not later:
            recording.reverified_up_to = -1
            recording.reverify_due_ms = self._book.now_ms + max(1, int(self._book.settings.reverify_s * 1000))
            return False
        page = heapq.nsmallest(VERIFY_CHUNKS_MAX, later)
        recording.reverified_up_to = page[-1]
        self._ask(recording, page, is_again=True)
        return True

    def _ask(self, recording: Recording, indexes: list[int], *, is_again: bool) -> None:
        claims: list[ChunkClaim] = []
        for index in indexes:
            chunk = recording.chunks[index]
            recording.step_chunk(chunk, ChunkStep.ASK)
            claims.append(ChunkClaim(chunk_index=index, sha256=chunk.sealed.sha256.hex()))
        body = msgspec.json.encode(VerifyRequest(chunks=claims))
        self._requests.start(
            VerifyFlight(recording_id=recording.recording_id, chunk_indexes=indexes, is_again=is_again),
            "POST",
            f"/api/recordings/{recording.recording_id}/verify",
            headers={"content-type": "application/json"},
            body=body,
            body_bytes=len(body),
        )

    def _take(self, recording: Recording, flight: VerifyFlight, answers: dict[int, ChunkVerification]) -> None:
        found: list[int] = []
        for index in flight.chunk_indexes:
            chunk, answer = recording.chunks[index], answers.get(index)
            match answer.state if answer else Verification.PENDING:
                case Verification.VERIFIED if answer and self._is_same(recording, answer):
                    recording.step_chunk(chunk, ChunkStep.FOUND)
                    found.append(index)
                case Verification.MISSING | Verification.UNKNOWN:
                    self._lose(recording, index)
                case Verification.DIFFERS:
                    self._queue.park(recording, chunk, "the server holds another content under this number")
                case Verification.PENDING | Verification.VERIFIED:
                    recording.step_chunk(chunk, ChunkStep.FAILED)
        if found:
            recording.last_verified_unix_ms = self._book.at.unix_ms
            if not flight.is_again:
                self._log.write(recording, Verified(chunk_indexes=found, at_ms=self._book.at.unix_ms))
        if not flight.is_again:
            delay_ms = 0 if len(found) == len(flight.chunk_indexes) else PENDING_MS
            delay_ms = max(delay_ms, int(self._book.settings.verify_after_s * 1000))
            recording.verify_due_ms = self._book.now_ms + (0 if recording.by_life[ChunkLife.PENDING] else delay_ms)

    def _is_same(self, recording: Recording, answer: ChunkVerification) -> bool:
        sealed = recording.chunks[answer.chunk_index].sealed
        return (answer.size, answer.sha256) == (sealed.size, sealed.sha256.hex())

    def _lose(self, recording: Recording, index: int) -> None:
        chunk = recording.chunks[index]
        recording.step_chunk(chunk, ChunkStep.LOST)
        self._queue.add(recording, chunk)
