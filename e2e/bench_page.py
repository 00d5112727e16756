"""What recording costs the machine: `make bench-page`. Figures are printed and none is asserted.

- Memory: half an hour of video (7,200 slices of 250 ms at 2.5 Mbit/s) handed over as fast as the page saves
  them, while they are uploaded to a real server; the resident memory of the page's process after each twelfth.
- Processor and time: the fake camera recorded as it comes; the share of one core that the worker's thread
  takes, and the time from `dataavailable` until the slice is shown as saved.
"""

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.figures import Figures
from e2e.injected import SCRIPT as INJECTED
from e2e.machine import Machine
from e2e.service import Service

SLICES = 30 * 60 * 4
SLICE_BYTES = 2_500_000 // 8 // 4
PARTS = 12
LIVE_SLICES = 300

# When each slice came, and when it was shown as saved.
CLOCK = """
window.cameAt = []; window.savedAt = [];
document.addEventListener("DOMContentLoaded", () => new MutationObserver(() => {
    const { slicesCaptured, slicesDurable } = document.body.dataset;
    while (cameAt.length < Number(slicesCaptured)) cameAt.push(performance.now());
    while (savedAt.length < Number(slicesDurable)) savedAt.push(performance.now());
}).observe(document.body, { attributeFilter: ["data-slices-captured", "data-slices-durable"] }));
"""


def resident_mb(pid: int) -> float:
    """The resident memory of a process, in MB."""
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


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
    service: Service, start_machine: Callable[..., Machine], figures: Figures
) -> None:
    machine = start_machine()
    tab = machine.new_tab()
    tab.page.add_init_script(path=INJECTED)
    tab.open(chunk_bytes=1 << 20, chunk_ms=2_000, keep_verified_s=3_600)
    recording_id = tab.record("camera")
    pid = busiest_renderer(machine)
    resident = []
    waits: list[float] = []
    began_s = time.monotonic()
    for _ in range(PARTS):
        give = "([count, size]) => window.giveSlices(count, size)"
        waits += tab.page.evaluate(give, [SLICES // PARTS, SLICE_BYTES])
        resident.append(resident_mb(pid))
    took_s = time.monotonic() - began_s
    tab.stop()
    tab.wait_for_row(recording_id, "complete", limit_s=600)
    assert sum(chunk.size for chunk in service.stores.chunks(recording_id)) == SLICES * SLICE_BYTES
    figures.note("the page's memory over 30 minutes of video", " ".join(f"{mb:.0f}" for mb in resident) + " MB")
    figures.note("at the end, everything delivered", f"{resident_mb(pid):.0f} MB")
    figures.note("compressed in time", f"{SLICES * SLICE_BYTES / 1e6:.0f} MB in {took_s:.0f} s")


def test_cost_of_recording_video_as_it_comes(
    service: Service, start_machine: Callable[..., Machine], figures: Figures
) -> None:
    machine = start_machine()
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
