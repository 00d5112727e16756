"""How far a long word is, as a person sees it: a bar on a terminal, now and then a line in a log."""

import io
import sys

import pytest

from server.audit.rebuild import RebuildReport, Step
from server.audit.scrubber import ScrubTally
from server.audit.tally import Tally
from server.commands import passes
from server.commands.progress import ProgressLine, draw_bar
from server.commands.rebuild_words import describe_progress


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("done", "total", "bar"),
    [
        (0, 0, "[........................]   0 %"),
        (0, 8, "[........................]   0 %"),
        (4, 8, "[############............]  50 %"),
        (9, 8, "[########################] 100 %"),
    ],
)
def test_the_bar_fills_up(done: int, total: int, bar: str) -> None:
    assert draw_bar(done, total) == bar


def test_a_rebuild_says_how_far_it_is_and_how_long_it_takes() -> None:
    so_far = RebuildReport(
        step=Step.PACKS,
        objects=10,
        objects_total=40,
        bytes=1024 * 1024,
        bytes_total=4 * 1024 * 1024,
        chunks=5_120,
        duration_s=2.0,
    )
    line = describe_progress(so_far)
    assert "[######..................]  25 %" in line
    assert "10/40 objects, 5120 chunks, 512.0 KiB/s, about 6 s left" in line


def test_small_objects_count_in_a_rebuild_though_packs_hold_nearly_all_bytes() -> None:
    # 100,000 chunks of their own, which come first, and as many bytes in 977 packs as their calls are worth.
    own, packs, pack_bytes = 100_000, 977, 13_416_000
    so_far = RebuildReport(
        step=Step.PACKS,
        objects=own // 2,
        objects_total=own + packs,
        bytes=own // 2,
        bytes_total=own + packs * pack_bytes,
        chunks=own // 2,
        duration_s=100.0,
    )
    line = describe_progress(so_far)
    assert " 25 %" in line
    assert line.endswith("about 302 s left")


def test_on_a_terminal_the_line_is_drawn_over_and_in_the_end_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    line = ProgressLine()
    line.show("half")
    line.clear()
    assert terminal.getvalue() == "\r\x1b[2Khalf\r\x1b[2K"


def test_in_a_log_it_comes_seldom_and_leaves_no_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    line = ProgressLine()
    line.show("half")  # too soon to be worth a line
    line.clear()
    assert log.getvalue() == ""


def test_a_pass_says_what_it_counts_and_nothing_that_it_does_not() -> None:
    assert (
        passes.describe_progress(Tally(objects=1_200, chunks=40_000, duration_s=3))
        == "1,200 objects, 40,000 chunks, 3 s"
    )
    scrubbed = ScrubTally(objects=1_200, bytes=3 * 1024 * 1024, duration_s=3)
    assert passes.describe_progress(scrubbed) == "1,200 objects, 3.0 MiB read, 3 s"
