"""Room on the device: the ballast, and what is given up when the disk is full.

The ballast is 1 MiB that is held so that seal and clear records always fit. It is given up at the
first write that does not fit, and slices are taken only while it is held: until there is room for
it again they stay, safe but not durable, in the window. Recording goes on meanwhile (I7).
"""

from enum import StrEnum
from typing import Final

from client_py.core.book import Book
from client_py.core.effects import MakeBallast, RemoveBallast
from client_py.core.events import BallastMade, BallastRefused, BallastRemoved

BALLAST_BYTES: Final = 1024 * 1024
PROBE_MS: Final = 2_000  # while the disk is full, room is looked for so often


class BallastLife(StrEnum):
    """Whether the ballast takes its room."""

    NONE = "none"
    MAKING = "making"
    HELD = "held"
    GOING = "going"


class Room:
    """The ballast of this page; it lies in the folder of the prepared or the live recording."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._life = BallastLife.NONE
        self._wanted: str | None = None  # the folder it should lie in
        self._folder: str | None = None  # the one it lies in, or is being put into or taken from
        self._probe_at_ms = 0
        self.is_full = False

    @property
    def takes_slices(self) -> bool:
        """Whether slices may be written: not while the room kept for records is all there is."""
        return not self.is_full

    def place(self, folder: str) -> None:
        """Hold the ballast in this folder from now on."""
        self._wanted = folder
        if self._life is BallastLife.HELD and self._folder is not None and self._folder != folder:
            self._book.do(RemoveBallast(folder=self._folder))
            self._set(BallastLife.NONE, None)
        self._make()

    def forget(self, folder: str) -> None:
        """The folder is going, with everything in it."""
        if self._wanted == folder:
            self._wanted = None
        if self._folder == folder:
            self._set(BallastLife.NONE, None)

    def on_full(self) -> None:
        """A write did not fit: give the ballast up."""
        self.is_full = True
        self._probe_at_ms = self._book.now_ms + PROBE_MS
        if self._life is BallastLife.HELD and self._folder is not None:
            self._set(BallastLife.GOING, self._folder)
            self._book.do(RemoveBallast(folder=self._folder))

    def on_freed(self) -> None:
        """Something was removed: look for room at once."""
        if self.is_full:
            self._make()

    def on_made(self, event: BallastMade) -> bool:
        """Whether this ends a time without room."""
        if event.folder != self._folder or self._life is not BallastLife.MAKING:
            if event.folder != self._folder:
                self._book.do(RemoveBallast(folder=event.folder))  # its folder was given up meanwhile
            return False
        self._set(BallastLife.HELD, event.folder)
        was_full, self.is_full = self.is_full, False
        if self._wanted is not None:
            self.place(self._wanted)
        return was_full

    def on_refused(self, event: BallastRefused) -> None:
        """No room yet."""
        if event.folder == self._folder and self._life is BallastLife.MAKING:
            self._set(BallastLife.NONE, None)
            self.is_full = True
            self._probe_at_ms = self._book.now_ms + PROBE_MS

    def on_removed(self, event: BallastRemoved) -> bool:
        """Whether this made the room that records may wait for."""
        if event.folder != self._folder or self._life is not BallastLife.GOING:
            return False
        self._set(BallastLife.NONE, None)
        return True

    def tick(self) -> None:
        """Look for room now and then."""
        if self._book.now_ms >= self._probe_at_ms:
            self._make()

    def _make(self) -> None:
        if self._life is BallastLife.NONE and self._wanted is not None:
            self._set(BallastLife.MAKING, self._wanted)
            self._probe_at_ms = self._book.now_ms + PROBE_MS
            self._book.do(MakeBallast(folder=self._wanted))

    def _set(self, life: BallastLife, folder: str | None) -> None:
        self._life, self._folder = life, folder
