"""The planted bugs can be planted, and some of them are caught; `make planted-bugs` shows it of all twelve."""

from pathlib import Path

import pytest

from tests.planted.bugs import BUGS, Bug
from tests.planted.plant import find_catcher, plant

QUICK = ("off-by-one offset", "queue bound ignored", "clear on receipt without verify")


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_the_line_that_a_bug_changes_is_still_there(bug: Bug, tmp_path: Path) -> None:
    plant(bug, tmp_path)


@pytest.mark.parametrize("bug", [bug for bug in BUGS if bug.name in QUICK], ids=lambda bug: bug.name)
def test_a_planted_bug_is_caught(bug: Bug) -> None:
    assert find_catcher(bug)


def test_all_twelve_of_the_promise_are_here() -> None:
    assert len({bug.name for bug in BUGS}) == 12
