"""What recording costs the machine: `make bench-page`. Figures are printed and none is asserted.

- Memory: half an hour of video (7,200 slices of 250 ms at 2.5 Mbit/s) handed over as fast as the page saves
  them, while they are uploaded to a real server; what the page holds after each twelfth, part by part, and how
  that grows. Written to loadtest/results/.
- First visits, from the files and from the memory snapshot in turns: when Record can be pressed.
- Processor and time: the fake camera recorded as it comes; the share of one core that the worker's thread
  takes, and the time from `dataavailable` until the slice is shown as saved.
"""

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Playwright

from e2e.chromium import FAKE_DEVICES
from e2e.figures import Figures
from e2e.injected import SCRIPT as INJECTED
from e2e.machine import Machine
from e2e.page.built_site import BUILT_SITE
from e2e.page.site_server import serving
from e2e.page_memory import WATCH_WASM, PageMemory, measure, resident_mb, slopes
from e2e.plain_browser import plain_recorder
from e2e.service import Service
from e2e.test_start_time import AT_REST_MS, middle_of, open_and_time
from loadtest.machine import describe_core, describe_machine
from web_build.snapshot import LOADER

SLICES = 30 * 60 * 4
SLICE_BYTES = 2_500_000 // 8 // 4
PARTS = 12
RESULTS = Path(__file__).resolve().parents[1] / "loadtest" / "results"
LIVE_SLICES = 300
FIRST_VISITS = 5  # of each kind

# When each slice came, and when it was shown as saved.
CLOCK = """
window.cameAt = []; window.savedAt = [];
document.addEventListener("DOMContentLoaded", () => new MutationObserver(() => {
    const { slicesCaptured, slicesDurable } = document.body.dataset;
    while (cameAt.length < Number(slicesCaptured)) cameAt.push(performance.now());
    while (savedAt.length < Number(slicesDurable)) savedAt.push(performance.now());
}).observe(document.body, { attributeFilter: ["data-slices-captured", "data-slices-durable"] }));
"""


def busiest_renderer(machine: Machine) -> int:
    """The page's process: the largest renderer."""
    return max(machine.browser.renderer_pids(), key=resident_mb)


def worker_cpu_s(pid: int) -> float:
    """Processor seconds that the dedicated workers' threads of a renderer have taken."""
    ticks = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text().startswith("DedicatedWorker"):
            fields = (task / "stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


@pytest.mark.timeout(1200)
def test_memory_over_half_an_hour_of_video(
    service: Service, chromium_path: str, tmp_path: Path, figures: Figures
) -> None:
    measured = []
    settings: dict[str, Any] = {"chunk_bytes": 1 << 20, "chunk_ms": 2_000, "keep_verified_s": 3_600}
    with plain_recorder(chromium_path, tmp_path / "profile", service.url, INJECTED, WATCH_WASM, **settings) as page:
        recording_id = page.record("camera")
        began_s = time.monotonic()
        for _ in range(PARTS):
            page.evaluate(f"window.giveSlices({SLICES // PARTS}, {SLICE_BYTES}).then(() => 0)")
            measured.append(measure(page))
        took_s = time.monotonic() - began_s
        page.stop()
        page.wait_for_row(recording_id, "complete", limit_s=600)
        measured.append(measure(page))
    assert sum(chunk.size for chunk in service.stores.chunks(recording_id)) == SLICES * SLICE_BYTES
    given = f"{SLICES * SLICE_BYTES / 1e6:.0f} MB in {SLICES:,} slices, handed over within {took_s:.0f} s"
    table = memory_table(measured, given)
    result = RESULTS / f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}-page-memory.md"
    result.write_text(table)
    for line in table.splitlines():
        figures.note("memory", line)


def memory_table(measured: list[PageMemory], given: str) -> str:
    """The result as a page: a row a part, then how each column grows."""
    minutes = 30 / PARTS
    names = [part.name.replace("_", " ") for part in fields(PageMemory)]
    slope = slopes(measured[1:PARTS], minutes)

    def row(label: str, one: PageMemory, form: str) -> str:
        return f"| {label} | " + " | ".join(format(getattr(one, part.name), form) for part in fields(PageMemory)) + " |"

    rows = [row(f"{minutes * (n + 1):g} min", one, ".1f") for n, one in enumerate(measured[:PARTS])]
    return "\n".join(
        [
            "# The page's memory over half an hour of video",
            "",
            *(f"- {line}" for line in describe_machine()),
            f"- {given}, while they were uploaded to a real server",
            "- again: `make bench-page`",
            "",
            "MB. `resident` is the page's process; the heaps are what is alive after a collection; `python` is",
            "WebAssembly's memory, which never shrinks; `browser` is the browser's own process. Of DevTools nothing",
            "else is on: its network log alone keeps up to 100 MB of bodies in the page's process.",
            "",
            "| recorded | " + " | ".join(names) + " |",
            "|---" * (len(names) + 1) + "|",
            *rows,
            row("all delivered", measured[-1], ".1f"),
            row("growth, MB a minute", slope, "+.3f"),
            "",
            f"The growth is the slope from {2 * minutes:g} minutes on.",
            "",
        ]
    )


def test_time_of_a_first_visit(
    playwright_driver: Playwright, chromium_path: str, tmp_path: Path, figures: Figures
) -> None:
    times_ms: dict[str, list[float]] = {"files": [], "snapshot": []}
    for number in range(FIRST_VISITS):
        for start, times in times_ms.items():
            with serving(BUILT_SITE) as site:
                if start == "files":
                    site.missing.add(LOADER.name)
                folder = tmp_path / f"{start}{number}"
                machine = Machine(playwright_driver, chromium_path, site.url, folder, FAKE_DEVICES, is_headed=False)
                machine.start_browser()
                machine.browser.new_page().wait_for_timeout(AT_REST_MS)
                tab, ms = open_and_time(machine)
                assert tab.shown["started-from"] == start
                times.append(ms)
                machine.kill_browser()
    for start, times in times_ms.items():
        figures.note(f"Record can be pressed, first visit, from the {start}", middle_of(times))
    figures.note("first visits, speed of a core", describe_core())


def test_cost_of_recording_video_as_it_comes(
    service: Service, start_machine: Callable[..., Machine], figures: Figures
) -> None:
    machine = start_machine(is_as_shipped=True)
    tab = machine.new_tab()
    tab.page.add_init_script(CLOCK)
    tab.open(slice_ms=100, chunk_bytes=1 << 20, chunk_ms=2_000, keep_verified_s=3_600)
    tab.record("camera")
    tab.wait_for_count("slices-durable", 20)
    pid = busiest_renderer(machine)
    cpu_s, began_s = worker_cpu_s(pid), time.monotonic()
    tab.wait_for_count("slices-durable", 20 + LIVE_SLICES, 120)
    share = (worker_cpu_s(pid) - cpu_s) / (time.monotonic() - began_s)
    tab.stop()
    came, saved = tab.page.evaluate("[window.cameAt, window.savedAt]")
    waits = sorted(after - before for before, after in zip(came, saved, strict=True))
    figures.note("the worker's share of one core while recording video", f"{100 * share:.1f} %")
    figures.note("a slice is shown as saved after, median", f"{statistics.median(waits):.1f} ms")
    figures.note("a slice is shown as saved after, 99 of 100", f"{waits[int(0.99 * len(waits))]:.1f} ms")
