"""The start of a worker: probe the storage, take up what lies there, prepare the next recording.

Record is possible only after something was really written and read back. Where the window is
capturing already, its recording is taken up first and nothing is prepared beside it.
"""

from typing import Final

from client_py.core.adopting import Adopting
from client_py.core.book import Book
from client_py.core.effects import ProbeStorage
from client_py.core.events import StorageProbed, StorageUnusable
from client_py.core.preparing import Preparing
from client_py.messages import Boot, Booting

PROBE_AGAIN_MS: Final = 5_000
# Record is possible first, then what lies here is taken up; where no folder comes about, after this long at the latest.
TAKE_UP_MS_MAX: Final = 2_000


class Starting:
    """From `boot` to the first folder."""

    def __init__(self, book: Book, adopting: Adopting, preparing: Preparing) -> None:
        self._book = book
        self._adopting = adopting
        self._preparing = preparing
        self._live_id: str | None = None  # what the window was capturing when this worker was started
        self._probe_at_ms: int | None = None
        self._take_up_at_ms: int | None = None
        self.has_booted = False
        self.may_send = False  # Record is possible first, then the network has its turn
        self.storage_words = ""
        self.failure_words = ""  # why nothing can be saved here

    def boot(self, message: Boot) -> None:
        """The window's first message."""
        self._book.settings = message.settings
        self._book.formats = message.formats
        self._book.is_online = message.is_online
        self._live_id = message.live_recording_id
        self._book.tell(Booting(progress=0.9, label="Looking at this device's storage"))
        self._book.do(ProbeStorage())
        if self._live_id is None:
            self._preparing.prepare()  # its lock is asked for meanwhile

    def on_probed(self, event: StorageProbed) -> None:
        """The storage works."""
        self.storage_words = (
            "This browser keeps what is saved here until it is cleared."
            if event.is_persistent
            else "This browser may clear what is saved here when the device runs out of room; "
            "a private window clears it when it is closed."
        )
        self.has_booted = True
        self.failure_words = ""
        self._preparing.allow()
        if self._live_id is not None:
            self._take_up()
            return
        self._take_up_at_ms = self._book.now_ms + TAKE_UP_MS_MAX
        self.prepare_if_none_live()

    def on_unusable(self, event: StorageUnusable) -> None:
        """Say why nobody can record, and try again now and then."""
        self.has_booted = self.may_send = True
        self._probe_at_ms = self._book.now_ms + PROBE_AGAIN_MS
        if event.is_full:
            self.failure_words = "This device has no room left. Free some space to record."
            self._take_up()  # what lies here is sent all the same, and that makes room
        else:
            self.failure_words = (
                f"Nothing can be saved in this window ({event.message}). A private window, or blocked site data, "
                "cannot keep a recording safe: open this page in an ordinary window."
            )

    def on_folder_prepared(self) -> None:
        """Record can be pressed, or cannot for now: the rest of the storage has its turn."""
        if self._take_up_at_ms is not None:
            self._take_up()

    def prepare_if_none_live(self) -> None:
        """Make the next recording's folder, unless one is being captured."""
        is_live = self._book.current is not None and self._book.current.is_live
        if not is_live and not self._adopting.is_live_pending and not self.failure_words:
            self._preparing.prepare()

    def tick(self) -> None:
        """Probe again."""
        if self._probe_at_ms is not None and self._book.now_ms >= self._probe_at_ms:
            self._probe_at_ms = None
            self._book.do(ProbeStorage())
        if self._take_up_at_ms is not None and self._book.now_ms >= self._take_up_at_ms:
            self._take_up()

    def _take_up(self) -> None:
        self._take_up_at_ms = None
        self.may_send = True
        live_id, self._live_id = self._live_id, None
        self._adopting.start(live_id)
