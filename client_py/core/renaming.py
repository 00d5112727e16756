"""Titles: written down on this device where the recording lies here, then told to the server until it knows.

The last title counts. One of a recording that only the server holds lives in this page's memory.
"""

from dataclasses import dataclass, field

import msgspec

from client_py.core.answers import decode_answer, read_refusal
from client_py.core.backoff import Backoff
from client_py.core.book import Book, Recording, Registration
from client_py.core.events import Answered, Unanswered
from client_py.core.journal import Titled
from client_py.core.listing import Listing
from client_py.core.log_writer import LogWriter
from client_py.core.requests import RenameFlight, Requests
from client_py.core.states import RecordingLife
from protocol.errors import ErrorCode
from protocol.limits import TITLE_MAX_CHARS
from protocol.wire import Recording as ListedRecording
from protocol.wire import RecordingTitle

# Lives in which a recording's folder stands and takes a record.
_ON_DEVICE = (RecordingLife.CLOSED, RecordingLife.COMPLETE)


@dataclass(slots=True)
class _Wish:
    title: str
    backoff: Backoff = field(default_factory=Backoff)


class Renaming:
    """The titles that the server does not know yet."""

    def __init__(self, book: Book, requests: Requests, log: LogWriter, listing: Listing) -> None:
        self._book = book
        self._requests = requests
        self._log = log
        self._listing = listing
        self._wishes: dict[str, _Wish] = {}

    def rename(self, recording_id: str, title: str) -> None:
        """The person gave it a title; what no title can be is ignored."""
        title = "".join(char for char in title if char >= " " and char != "\x7f").strip()[:TITLE_MAX_CHARS]
        recording = self._book.recordings.get(recording_id)
        if not title:
            return
        self._wishes[recording_id] = _Wish(title)
        if recording is not None:
            self._set(recording, title)
            self._write(recording, title, is_known=False)

    def resume(self, recording: Recording) -> None:
        """The log holds a title that the server was not told."""
        self._wishes[recording.recording_id] = _Wish(recording.title)
        recording.is_title_own = True

    def nudge(self) -> None:
        """Try now what waits after a failure."""
        for wish in self._wishes.values():
            wish.backoff.nudge()

    def pump(self) -> None:
        """Tell the server the oldest wish that can be told."""
        if not self._requests.has_room or self._requests.is_flying(RenameFlight):
            return
        for recording_id, wish in list(self._wishes.items()):
            recording = self._book.recordings.get(recording_id)
            if recording is not None and recording.life is RecordingLife.DELETING:
                del self._wishes[recording_id]
            elif wish.backoff.is_open(self._book.at) and _is_registered(recording):
                self._requests.start(
                    RenameFlight(recording_id=recording_id, title=wish.title),
                    "PATCH",
                    f"/api/recordings/{recording_id}",
                    headers={"content-type": "application/json"},
                    body=msgspec.json.encode(RecordingTitle(title=wish.title)),
                )
                return

    def on_answer(self, flight: RenameFlight, event: Answered | Unanswered) -> None:
        """Known, refused for good, or later."""
        wish = self._wishes.get(flight.recording_id)
        recording = self._book.recordings.get(flight.recording_id)
        known = decode_answer(event, ListedRecording, 200) if isinstance(event, Answered) else None
        if wish is None or wish.title != flight.title:
            return  # another title was given meanwhile
        if known is not None and str(known.recording_id) == flight.recording_id:
            del self._wishes[flight.recording_id]
            if recording is not None:
                self._write(recording, flight.title, is_known=True)
                recording.is_title_own = False
            self._listing.take(known)
            return
        refusal = read_refusal(event)
        is_unknown = refusal.code == ErrorCode.RECORDING_UNKNOWN
        if (refusal.is_final and not is_unknown) or (is_unknown and recording is None):
            del self._wishes[flight.recording_id]
            if recording is not None:
                recording.problem = f"the server does not take this title: {refusal.detail}"
                recording.revision += 1
            return
        wish.backoff.fail(self._book.at, refusal.retry_after_ms)
        if refusal.words:
            self._book.server_words = refusal.words

    def _set(self, recording: Recording, title: str) -> None:
        recording.title = title
        recording.is_title_own = True
        recording.revision += 1

    def _write(self, recording: Recording, title: str, *, is_known: bool) -> None:
        if recording.life in _ON_DEVICE or recording.is_live:
            self._log.write(recording, Titled(title=title, is_known=is_known, at_ms=self._book.at.unix_ms))


def _is_registered(recording: Recording | None) -> bool:
    return recording is None or recording.registration is Registration.REGISTERED or recording.is_certified
