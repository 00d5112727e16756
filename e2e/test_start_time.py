"""How long it takes until Record can be pressed. Printed at the end of the run, never asserted."""

import os
import statistics
from collections.abc import Callable

from e2e.figures import Figures
from e2e.machine import Machine
from e2e.recorder_page import READY_LIMIT_S, RecorderPage
from e2e.service import Service
from loadtest.machine import describe_core

WARM_STARTS = 3
# A first visit as people make it: the browser keeps what it compiled only of a page that stays for some seconds.
SLICES_OF_THE_FIRST_VISIT = 60
AT_REST_MS = 2_000  # a browser that has just started is busy with itself

# Since the navigation began, the service worker's own start included.
NOTE_WHEN_RECORD_CAN_BE_PRESSED = """
new MutationObserver((_, observer) => {
    const record = document.querySelector('[data-testid="record"]');
    if (!record || record.disabled) return;
    window.pressableAtMs = performance.now();
    observer.disconnect();
}).observe(document, { subtree: true, childList: true, attributes: true });
"""


def open_and_time(machine: Machine) -> tuple[RecorderPage, float]:
    """A tab in which Record can be pressed, and after how many milliseconds."""
    tab = machine.new_tab()
    tab.page.add_init_script(NOTE_WHEN_RECORD_CAN_BE_PRESSED)
    tab.visit()
    tab.wait(lambda: tab.page.evaluate("window.pressableAtMs ?? 0") > 0, "Record to be enabled", READY_LIMIT_S)
    return tab, tab.page.evaluate("window.pressableAtMs")


def open_warm(machine: Machine) -> float:
    """After how many milliseconds Record can be pressed in a tab that starts from the snapshot, and is closed again."""
    tab, warm_ms = open_and_time(machine)
    assert tab.shown["started-from"] == "snapshot"
    tab.page.close()
    return warm_ms


def middle_of(times_ms: list[float]) -> str:
    """The median, and all of them."""
    return f"{statistics.median(times_ms):.0f} ms ({', '.join(f'{ms:.0f}' for ms in sorted(times_ms))})"


def test_record_can_be_pressed_soon_after_a_cold_and_after_a_warm_start(
    service: Service, start_machine: Callable[..., Machine], figures: Figures
) -> None:
    os.sync()  # a set-up before has left much to be written, and each flush of the page would wait for it
    machine = start_machine(is_as_shipped=True)
    tab, cold_ms = open_and_time(machine)
    cold_from = tab.shown["started-from"]  # as the files' pace on this machine decided
    tab.wait(lambda: tab.shown["offline-use"] == "ready", "the page to be kept", READY_LIMIT_S)
    recording_id, _ = machine.record(tab)
    tab.wait_for_count("slices-durable", SLICES_OF_THE_FIRST_VISIT)
    tab.stop()
    tab.wait_for_row(recording_id, "complete")
    machine.kill_browser()
    machine.start_browser()
    with_browser_ms, warm = open_warm(machine), []
    machine.new_tab().page.wait_for_timeout(AT_REST_MS)
    for _ in range(WARM_STARTS):
        warm.append(open_warm(machine))
    figures.note("Record can be pressed, cold", f"{cold_ms:.0f} ms (from {cold_from})", goal="under 4 s")
    figures.note("Record can be pressed, warm", middle_of(warm), goal="under 1 s")
    figures.note("Record can be pressed, warm, the browser just started", f"{with_browser_ms:.0f} ms")
    figures.note("Record can be pressed, speed of a core", describe_core())
