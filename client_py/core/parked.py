"""What a person may do about chunks that were set aside, and about bytes that are only on this device.

A parked chunk blocks nothing and is never given up: it is asked about and sent again when the
person says so, as it is at every start. Whatever lies here can be handed over to the window, to be
saved as a file.
"""

from client_py.core.book import Book
from client_py.core.effects import ChunkBody, HandOver
from client_py.core.queue import UNKNOWN_MIME_TYPE
from client_py.core.states import ChunkLife, ChunkStep, RecordingLife
from client_py.core.verifying import Verifying
from client_py.messages import NothingHeld, ReadHeld


class Parked:
    """Parked chunks, and chunks as files."""

    def __init__(self, book: Book, verifying: Verifying) -> None:
        self._book = book
        self._verifying = verifying

    def retry(self, recording_id: str) -> None:
        """Ask about the recording's parked chunks now; those that the server lacks are sent."""
        recording = self._book.recordings.get(recording_id)
        if recording is None or recording.life is RecordingLife.DELETING:
            return
        recording.problem = ""
        recording.is_certifiable = True
        recording.completing.nudge()
        for index in sorted(recording.by_life[ChunkLife.PARKED]):
            chunk = recording.chunks[index]
            chunk.problem = ""
            recording.step_chunk(chunk, ChunkStep.RETRY)
        self._verifying.ask_now(recording)

    def hand_over(self, message: ReadHeld) -> None:
        """Give the window the next chunk that is still here."""
        recording = self._book.recordings.get(message.recording_id)
        held = (
            [
                index
                for index, chunk in recording.chunks.items()
                if index >= message.chunk_index and chunk.life not in (ChunkLife.CLEARED, ChunkLife.PLANNED)
            ]
            if recording is not None and recording.life is not RecordingLife.DELETING
            else []
        )
        if recording is None or not held:
            self._book.tell(NothingHeld(recording_id=message.recording_id, chunk_index=message.chunk_index))
            return
        sealed = recording.chunks[min(held)].sealed
        self._book.do(
            HandOver(
                chunk_index=sealed.chunk_index,
                run=sealed.run,
                mime_type=recording.runs.get(sealed.run) or UNKNOWN_MIME_TYPE,
                body=ChunkBody(recording.recording_id, sealed.pieces, sealed.sha256),
            )
        )
