"""One line of progress: a bar that is drawn over itself on a terminal, a line each tenth elsewhere."""

from typing import Final, TextIO

from client_py.local.upload import Progress
from protocol.limits import MIB

WIDTH: Final = 30


class ProgressBar:
    """Writes to `out`, usually standard error, so that standard output holds the outcome alone."""

    def __init__(self, out: TextIO) -> None:
        self._out: Final = out
        self._is_terminal: Final = out.isatty()
        self._shown = ""
        self._tenth = -1
        self._words = ""

    def show_reading(self, count: int, size: int) -> None:
        """The file is being read for its digests."""
        if self._is_terminal:
            self._draw(f"reading the file: {100 * count // size} %")

    def show(self, progress: Progress) -> None:
        """It is being sent."""
        share = progress.bytes_acknowledged / progress.size
        tenth = int(share * 10)
        if self._is_terminal:
            bar = "#" * int(share * WIDTH)
            self._draw(f"[{bar:<{WIDTH}}] {_describe(progress)}")
        elif tenth != self._tenth or progress.words != self._words:
            self._tenth, self._words = tenth, progress.words
            print(_describe(progress), file=self._out, flush=True)

    def say(self, words: str) -> None:
        """Something worth a line of its own."""
        self.end()
        print(words, file=self._out, flush=True)

    def end(self) -> None:
        """Leave the line."""
        if self._shown:
            self._shown = ""
            print(file=self._out, flush=True)

    def _draw(self, line: str) -> None:
        if line != self._shown:
            print(f"\r{line:<{len(self._shown)}}", end="", file=self._out, flush=True)
            self._shown = line


def _describe(progress: Progress) -> str:
    size, sent, verified = (
        f"{count / MIB:,.1f}" for count in (progress.size, progress.bytes_acknowledged, progress.bytes_verified)
    )
    words = f"; {progress.words}" if progress.words else ""
    return (
        f"{100 * progress.bytes_acknowledged // progress.size} %: {sent} of {size} MiB sent, {verified} verified{words}"
    )
