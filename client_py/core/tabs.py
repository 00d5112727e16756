"""What the tabs of one origin tell each other: one list of recordings, and hints. Never relied on for safety."""

from typing import Final

import msgspec
from msgspec import Struct

from client_py.core.book import Book
from client_py.core.effects import TellTabs
from client_py.messages import RecordingView

PUBLISH_MS_MIN: Final = 1_000
PUBLISH_MS_MAX: Final = 10_000  # so a tab that was just opened sees all rows soon
EXPIRE_MS: Final = 30_000  # three silent rounds: that tab is gone
ROWS_MAX: Final = 500
TABS_MAX: Final = 100


class TabMessage(Struct, frozen=True, kw_only=True, tag_field="type"):
    """Root of what is broadcast."""


class Rows(TabMessage, frozen=True, kw_only=True, tag="rows"):
    """The recordings that the worker `tab` holds."""

    tab: str
    rows: list[RecordingView]


class Appeared(TabMessage, frozen=True, kw_only=True, tag="appeared"):
    """A recording began; whoever hears it queues for its locks."""

    recording_id: str


class DeleteElsewhere(TabMessage, frozen=True, kw_only=True, tag="delete"):
    """The person deleted a recording in a tab that does not hold it."""

    recording_id: str


_DECODER: Final[msgspec.json.Decoder[Rows | Appeared | DeleteElsewhere]] = msgspec.json.Decoder(
    Rows | Appeared | DeleteElsewhere
)


class Tabs:
    """The other tabs' rows, as last heard."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._name = ""
        self._others: dict[str, tuple[int, list[RecordingView]]] = {}
        self._published: list[RecordingView] = []
        self._published_at_ms = -PUBLISH_MS_MAX

    def name(self, unique: str) -> None:
        """Know this tab by a unique text."""
        self._name = self._name or unique

    def tell(self, message: Rows | Appeared | DeleteElsewhere) -> None:
        """Broadcast."""
        self._book.do(TellTabs(content=msgspec.json.encode(message)))

    def decode(self, content: bytes) -> Appeared | DeleteElsewhere | None:
        """Take rows in; return what asks for more."""
        try:
            message = _DECODER.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError):  # a tab of another version
            return None
        if isinstance(message, Rows):
            if message.tab in self._others or len(self._others) < TABS_MAX:
                self._others[message.tab] = (self._book.now_ms, message.rows[:ROWS_MAX])
            return None
        return message

    def publish(self, rows: list[RecordingView]) -> None:
        """Tell this tab's rows: soon after a change, else now and then."""
        since_ms = self._book.now_ms - self._published_at_ms
        is_changed = rows != self._published
        if not self._name or since_ms < (PUBLISH_MS_MIN if is_changed else PUBLISH_MS_MAX):
            return
        if rows or is_changed:
            self._published, self._published_at_ms = rows, self._book.now_ms
            self.tell(Rows(tab=self._name, rows=rows[:ROWS_MAX]))

    def deleted_elsewhere(self) -> list[str]:
        """Recordings that another tab is deleting."""
        return [row.recording_id for row in self.rows_of_others() if row.state == "deleting"]

    def holds(self, recording_id: str) -> bool:
        """Whether another tab shows the recording as its own."""
        return any(row.recording_id == recording_id for row in self.rows_of_others())

    def rows_of_others(self) -> list[RecordingView]:
        """Rows of recordings that this worker does not hold."""
        expired = self._book.now_ms - EXPIRE_MS
        self._others = {tab: heard for tab, heard in self._others.items() if heard[0] > expired}
        rows = {row.recording_id: row for _, heard in self._others.values() for row in heard}
        return [row for recording_id, row in rows.items() if recording_id not in self._book.recordings]
