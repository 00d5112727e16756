"""From the closed manifest to the certificate (I4, seen from the client).

The manifest is sent once every chunk is acknowledged. A certificate counts only if its root is the
one computed here, over the client's own manifest.
"""

from typing import Final

import msgspec

from client_py.core.answers import decode_answer, read_refusal
from client_py.core.book import Book, Recording, Registration
from client_py.core.events import Answered, Unanswered
from client_py.core.queue import UNKNOWN_MIME_TYPE, SendQueue
from client_py.core.requests import CompleteFlight, Requests
from client_py.core.states import (
    ACKNOWLEDGED_OR_LATER,
    ChunkLife,
    ChunkStep,
    RecordingLife,
    RecordingStep,
)
from protocol.errors import ErrorCode
from protocol.merkle import merkle_root
from protocol.states import Ending
from protocol.wire import Certificate, CompletePending, Manifest, ManifestEntry, ManifestRun

# The server holds these chunks as far as it has told; complete may still find them missing.
_CAN_BE_LOST: Final = (ChunkLife.ACKNOWLEDGED, ChunkLife.VERIFIED, ChunkLife.PENDING)


class Completion:
    """Asks for the certificates of closed recordings."""

    def __init__(self, book: Book, requests: Requests, queue: SendQueue) -> None:
        self._book = book
        self._requests = requests
        self._queue = queue

    def nudge(self) -> None:
        """Try now what waits after a failure."""
        for recording in self._book.recordings.values():
            recording.completing.nudge()

    def pump(self) -> None:
        """Ask for the oldest closed recording whose chunks are all acknowledged."""
        if not self._requests.has_room or self._requests.is_flying(CompleteFlight):
            return
        for recording in sorted(self._book.recordings.values(), key=lambda each: each.age_key):
            if self._is_ready(recording) and recording.completing.is_open(self._book.at):
                self._ask(recording)
                return

    def on_answer(self, recording: Recording, event: Answered | Unanswered) -> None:
        """A certificate, or what is missing, or later."""
        if isinstance(event, Answered) and self._take_certificate(recording, event):
            return
        pending = decode_answer(event, CompletePending, 202) if isinstance(event, Answered) else None
        recording.completing.fail(self._book.at)
        if pending is not None and str(pending.recording_id) == recording.recording_id:
            self._book.server_words = ""
            return
        refusal = read_refusal(event)
        if refusal.retry_after_ms:
            recording.completing.fail(self._book.at, refusal.retry_after_ms)
        match refusal.code:
            case ErrorCode.RECORDING_UNKNOWN:
                recording.registration = Registration.UNREGISTERED
                self._lose(recording, sorted(recording.chunks))
            case ErrorCode.CHUNKS_MISSING:
                self._lose(recording, refusal.chunks)
            case _ if refusal.is_final:
                recording.problem = f"the server does not certify this recording: {refusal.detail}"
                recording.is_certifiable = False
        if refusal.words:
            self._book.server_words = refusal.words

    def _is_ready(self, recording: Recording) -> bool:
        return (
            recording.life is RecordingLife.CLOSED
            and recording.is_certifiable
            and recording.chunk_count > 0
            and recording.is_all_in(ACKNOWLEDGED_OR_LATER)
            and max(recording.chunks) + 1 == recording.chunk_count
        )

    def _ask(self, recording: Recording) -> None:
        body = msgspec.json.encode(manifest_of(recording))
        self._requests.start(
            CompleteFlight(recording_id=recording.recording_id),
            "POST",
            f"/api/recordings/{recording.recording_id}/complete",
            headers={"content-type": "application/json"},
            body=body,
            body_bytes=len(body),
        )

    def _take_certificate(self, recording: Recording, answer: Answered) -> bool:
        certificate = decode_answer(answer, Certificate, 200)
        if certificate is None or str(certificate.recording_id) != recording.recording_id:
            return False
        manifest = manifest_of(recording)
        own = (merkle_root(manifest.chunks).hex(), len(manifest.chunks), sum(entry.size for entry in manifest.chunks))
        if (certificate.root, certificate.chunk_count, certificate.byte_count) != own:
            recording.problem = "the server's certificate is of other contents than those recorded here"
            return False
        recording.completing.succeed()
        self._book.server_words = ""
        recording.is_certified = True
        recording.step(RecordingStep.CERTIFIED)
        return True

    def _lose(self, recording: Recording, indexes: list[int]) -> None:
        for index in indexes:
            chunk = recording.chunks.get(index)
            if chunk is None:
                continue
            if chunk.life in _CAN_BE_LOST:
                recording.step_chunk(chunk, ChunkStep.LOST)
                self._queue.add(recording, chunk)
            elif chunk.life is ChunkLife.CLEARED:
                recording.problem = f"the server lost chunk {index} after it had been verified and cleared here"


def manifest_of(recording: Recording) -> Manifest:
    """The recording's manifest: every sealed chunk in order, and each run's MIME type."""
    sealed = [recording.chunks[index].sealed for index in sorted(recording.chunks)]
    runs = sorted({each.run for each in sealed})
    return Manifest(
        runs=[ManifestRun(run=run, mime_type=recording.runs.get(run) or UNKNOWN_MIME_TYPE) for run in runs],
        chunks=[
            ManifestEntry(run=each.run, chunk_index=each.chunk_index, size=each.size, sha256=each.sha256.hex())
            for each in sealed
        ],
        ended=Ending(recording.ended or Ending.STOPPED),
    )
