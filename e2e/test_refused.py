"""What the browser refuses is said in words a person can act on, and nothing is left behind."""

from collections.abc import Callable

import pytest

from e2e.chromium import NO_CAMERA, NO_MICROPHONE, REFUSED
from e2e.machine import Machine
from e2e.service import Service


@pytest.mark.parametrize(
    ("flags", "source", "says"),
    [
        (REFUSED, "microphone", ("not allowed", "Allow")),
        (NO_MICROPHONE, "microphone", ("No such device", "Connect")),
        (NO_CAMERA, "camera", ("No such device", "Connect")),
    ],
    ids=["permission-refused", "no-microphone", "no-camera"],
)
def test_what_the_browser_refuses_is_said_in_words_and_leaves_no_recording(
    service: Service,
    start_machine: Callable[..., Machine],
    flags: tuple[str, ...],
    source: str,
    says: tuple[str, str],
) -> None:
    machine = start_machine(flags=flags)
    tab = machine.open_tab()
    tab.choose(source)
    tab.page.get_by_test_id("record").click()

    problem = tab.page.get_by_test_id("problem")
    problem.wait_for(state="visible")
    words = problem.inner_text()
    assert all(word in words for word in says), words
    # Record can be pressed again, and no recording was begun, here or on the server.
    tab.wait_for_state("ready", "idle")
    tab.wait(lambda: tab.page.get_by_test_id("record").is_enabled(), "Record to be enabled")
    tab.wait(lambda: "recording" not in tab.rows.values(), "no row to be left of it")
