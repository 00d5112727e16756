"""One line that shows that a long word lives: on a terminal it is drawn over, in a log it comes seldom."""

import sys
import time
from typing import Final

_TERMINAL_PERIOD_S: Final = 0.1
_LOG_PERIOD_S: Final = 15.0
_BAR_CHARS: Final = 24


class ProgressLine:
    """Goes to standard error, so that what is printed for programs stays clean."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._shown_s = float("-inf") if self._is_terminal else time.monotonic()

    def show(self, text: str) -> None:
        """Draw the line, unless one was drawn a moment ago."""
        now_s = time.monotonic()
        if now_s - self._shown_s < (_TERMINAL_PERIOD_S if self._is_terminal else _LOG_PERIOD_S):
            return
        self._shown_s = now_s
        print(f"\r\x1b[2K{text}" if self._is_terminal else text, end="" if self._is_terminal else "\n", file=sys.stderr)
        sys.stderr.flush()

    def clear(self) -> None:
        """Leave nothing on the terminal."""
        if self._is_terminal:
            print("\r\x1b[2K", end="", file=sys.stderr, flush=True)


def draw_bar(done: int, total: int) -> str:
    """`[######······] 50 %`."""
    share = min(1.0, done / total) if total else 0.0
    full = round(share * _BAR_CHARS)
    return f"[{'#' * full}{'.' * (_BAR_CHARS - full)}] {share * 100:3.0f} %"


def in_units(byte_count: float) -> str:
    """Bytes for a person."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if byte_count < 1024:
            return f"{byte_count:.0f} {unit}" if unit == "B" else f"{byte_count:.1f} {unit}"
        byte_count /= 1024
    return f"{byte_count:.1f} TiB"
