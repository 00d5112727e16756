"""What the server lists beside the recordings on this device: a page at a time, as the person's list asks for it.

What is sought is asked of the server first, so that it is found however old it is. Where words are sought, the whole
list follows: a row may say them where the server does not look, as a date in the person's own language.

A recording that this device holds stays its own row, to which the server's word adds what it knows
better; every other becomes a row of its own. Nothing that uploads waits for the list.
"""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from msgspec import UNSET

from client_py.core.answers import decode_answer, read_refusal
from client_py.core.backoff import Backoff
from client_py.core.book import Book, Recording
from client_py.core.events import Answered, Unanswered
from client_py.core.requests import DescribeFlight, ListFlight, Requests
from client_py.core.states import RecordingLife
from client_py.messages import Listed, RecordingView, SearchList
from protocol.ids import unix_ms_of
from protocol.limits import SEARCH_MAX_CHARS
from protocol.states import MediaState, RecordingState
from protocol.wire import STARTED_AT_MAX, STARTED_AT_MIN, Media, RecordingPage
from protocol.wire import Recording as ListedRecording

PAGE_ROWS: Final = 100  # about 40 KB, a few screens of rows
# When the finished file of a recording is asked about: it is made soon after the certificate, in a queue.
MEDIA_ASKS_MS: Final = (2_000, 5_000, 15_000, 60_000, 300_000, 1_800_000)
LISTED_MAX: Final = 20_000  # rows that one page keeps
_NO_MEDIA: Final = Media(state=MediaState.UNPLAYABLE)


class Listing:
    """The server's recordings, as far as they were listed."""

    def __init__(self, book: Book, requests: Requests) -> None:
        self._book = book
        self._requests = requests
        self._backoff = Backoff()
        self._rows: dict[str, RecordingView] = {}  # by recording_id
        self._deleted: set[str] = set()  # an answer under way may still list them
        self._cursor: str | None = None
        self._is_wanted = False
        self._is_shown = False
        self._has_more = True
        self._query = ""
        self._query_cursor: str | None = None
        self._has_more_sought = False  # the server still has matches that were not listed
        self._are_words_sought = False
        self._media_asks: dict[str, tuple[int, int]] = {}  # recording_id -> (asks so far, when the next is due)

    def want_more(self) -> None:
        """The person's list comes to its end."""
        self._is_shown = True
        self._is_wanted = True

    def search(self, sought: SearchList) -> None:
        """The person seeks this in the list: the server's matches come page by page, as the list asks for them."""
        query = _address_of(sought)
        if query != self._query:
            self._query, self._query_cursor = query, None
            self._has_more_sought = self._is_wanted = bool(query)
            self._are_words_sought = "&q=" in query
        self._tell([])  # also of the same as before: the window waits to hear whether there is more of it

    def nudge(self) -> None:
        """Try now what waits after a failure."""
        self._backoff.nudge()

    def give_up(self, recording_id: str) -> Recording:
        """A recording that only the server holds, taken up to be deleted; a former worker may have listed it."""
        row = self._rows.get(recording_id)
        recording = Recording(
            recording_id,
            life=RecordingLife.GONE,
            started_at_ms=row.started_at_ms if row else unix_ms_of(UUID(recording_id)),
            source="",
            settings=self._book.settings,
        )
        if row is not None:
            recording.take_word(row)
        self._book.recordings[recording_id] = recording
        return recording

    def forget(self, recording_id: str) -> None:
        """The person deleted it: never show it again."""
        self._deleted.add(recording_id)
        if self._rows.pop(recording_id, None) is not None:
            self._tell([], gone=[recording_id])

    def take(self, *listed: ListedRecording) -> None:
        """The server's newer word."""
        rows = [row_of(each) for each in listed if str(each.recording_id) not in self._deleted]
        for row in rows:
            self._rows[row.recording_id] = row
            recording = self._book.recordings.get(row.recording_id)
            if recording is not None:
                recording.take_word(row)
        self._tell(rows)

    def pump(self) -> None:
        """Ask for the next page, one at a time; and for the finished file of what was completed here."""
        self._ask_for_media()
        is_free = self._requests.has_room and not self._requests.is_flying(ListFlight)
        if not is_free or not self._backoff.is_open(self._book.at):
            return
        if not self._is_wanted:
            return
        if self._has_more_sought:
            self._ask(self._query, self._query_cursor)
        elif self._goes_on:
            self._ask("", self._cursor)

    def on_answer(self, flight: ListFlight, event: Answered | Unanswered) -> None:
        """Rows, or later."""
        page = decode_answer(event, RecordingPage, 200) if isinstance(event, Answered) else None
        if page is not None:
            self._backoff.succeed()
            self._book.server_words = ""
            if not flight.query:
                self._cursor, self._is_wanted = page.next_cursor, self._has_more_sought
                self._has_more = page.next_cursor is not None and len(self._rows) < LISTED_MAX
            elif flight.query == self._query:  # else the person seeks something else by now
                self._query_cursor, self._is_wanted = page.next_cursor, False
                self._has_more_sought = page.next_cursor is not None and len(self._rows) < 2 * LISTED_MAX
            self.take(*page.recordings)
            return
        refusal = read_refusal(event)
        self._backoff.fail(self._book.at, refusal.retry_after_ms)
        if refusal.words:
            self._book.server_words = refusal.words
        self._tell([])

    def on_described(self, event: Answered | Unanswered) -> None:
        """The media are made, or are asked for again later."""
        described = decode_answer(event, ListedRecording, 200) if isinstance(event, Answered) else None
        if described is not None:
            self.take(described)

    def _ask(self, query: str, cursor: str | None) -> None:
        after = f"&cursor={cursor}" if cursor else ""  # base64url: nothing in it needs escaping
        path = f"/api/recordings?limit={PAGE_ROWS}{query}{after}"
        self._requests.start(ListFlight(recording_id="", query=query), "GET", path)

    def _ask_for_media(self) -> None:
        """The oldest recording of this page that is complete and has no word of its media yet."""
        if not self._is_shown or not self._requests.has_room or self._requests.is_flying(DescribeFlight):
            return
        for recording in sorted(self._book.recordings.values(), key=lambda each: each.age_key):
            if not recording.is_certified or (recording.listed is not None and recording.listed.has_media):
                continue
            asks, due_ms = self._media_asks.get(recording.recording_id, (0, self._book.now_ms + MEDIA_ASKS_MS[0]))
            self._media_asks[recording.recording_id] = (asks, due_ms)
            if asks < len(MEDIA_ASKS_MS) and self._book.now_ms >= due_ms:
                next_ms = MEDIA_ASKS_MS[min(asks + 1, len(MEDIA_ASKS_MS) - 1)]
                self._media_asks[recording.recording_id] = (asks + 1, self._book.now_ms + next_ms)
                path = f"/api/recordings/{recording.recording_id}"
                self._requests.start(DescribeFlight(recording_id=recording.recording_id), "GET", path)
                return

    def _tell(self, rows: list[RecordingView], gone: list[str] | None = None) -> None:
        is_waiting = self._backoff.failures > 0
        has_more = self._has_more_sought or self._goes_on
        self._book.tell(Listed(rows=rows, gone=gone or [], has_more=has_more, is_waiting=is_waiting))

    @property
    def _goes_on(self) -> bool:
        """Whether the list itself still has pages that the person may want."""
        return self._has_more and (self._are_words_sought or not self._query)


def _address_of(sought: SearchList) -> str:
    """What is sought as it stands in the address of a listing; "" for nothing."""
    words = "".join(sign for sign in sought.query if sign.isprintable()).strip()[:SEARCH_MAX_CHARS]
    asked = {
        "q": words,
        "state": ",".join(sought.states),
        "started_from": _time_of(sought.started_from_ms),
        "started_before": _time_of(sought.started_before_ms),
    }
    return "".join(f"&{name}={_escape(text)}" for name, text in asked.items() if text)


def _time_of(ms: int | None) -> str:
    """RFC 3339, within what the wire takes."""
    if ms is None:
        return ""
    first_ms, end_ms = (int(bound.timestamp() * 1000) for bound in (STARTED_AT_MIN, STARTED_AT_MAX))
    return datetime.fromtimestamp(min(max(ms, first_ms), end_ms - 1000) / 1000, UTC).isoformat()


def _escape(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


def row_of(listed: ListedRecording) -> RecordingView:
    """A recording of the server as a row of the list."""
    media = _NO_MEDIA if listed.media is UNSET else listed.media
    return RecordingView(
        recording_id=str(listed.recording_id),
        state="elsewhere" if listed.state is RecordingState.OPEN else str(listed.state),
        title=listed.title or "",
        started_at_ms=int(listed.started_at.timestamp() * 1000),
        is_live=False,
        slices_captured=0,
        slices_durable=0,
        chunks_sealed=listed.chunk_count,
        chunks_acknowledged=listed.chunk_count,
        chunks_verified=listed.chunk_count - listed.wanted_count,
        chunks_cleared=listed.chunk_count,
        chunks_parked=0,
        bytes_captured=listed.byte_count,
        bytes_local=0,
        mime_type=media.mime_type or listed.mime_type,
        is_certified=listed.certified_at is not None,
        play="server" if listed.chunk_count else "",
        duration_ms=round(media.duration_s * 1000),
        has_media=media is not _NO_MEDIA,
        has_peaks=media.has_peaks,
        has_poster=media.has_poster,
        has_mp4=media.has_mp4,
        media_note="" if media.state is MediaState.WHOLE else media.detail,
    )
