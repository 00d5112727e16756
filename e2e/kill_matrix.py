"""The matrix of deaths: five ways to die, at six steps of a chunk's life, each with and without a network.

A cell records the sweep, waits for its step, looks at the page a last time, and dies. Without a network
it goes away at that moment; the page opens again from its service worker, recovers, and the network
comes back later. Then the bucket is compared with what was shown as saved.
"""

import itertools
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from e2e.chromium import kill_all
from e2e.machine import Machine, assert_kept, watch_until_saved
from e2e.network_gate import Bend, Request, Rule, pass_all
from e2e.recorder_page import READY_LIMIT_S, RecorderPage
from e2e.service import Service
from e2e.sweep import end_of, loss_ms
from e2e.witness import Take

STEPS_SCRIPT = Path(__file__).with_name("death_steps.js")
SAVED_AT_LEAST = 10  # slices that a cell risks
HEARD_STEP = """() => {
    window.deathAt = null;
    new BroadcastChannel("death-steps").onmessage = () => { window.deathAt ??= { position: window.sweepPosition() } };
}"""


class Death(StrEnum):
    """What dies."""

    TAB_CLOSED = "tab closed"
    RENDERER_KILLED = "renderer SIGKILL"
    BROWSER_KILLED = "browser SIGKILL"
    WORKER_TERMINATED = "worker terminated"
    RELOAD = "reload"


class Step(StrEnum):
    """Where it dies."""

    RECORDING = "recording"
    SEALING = "sealing"
    MID_UPLOAD = "mid-upload"
    AFTER_RECEIPT = "after the receipt"
    MID_VERIFY = "mid-verify"
    MID_CLEAR = "mid-clear"


@dataclass(frozen=True)
class Cell:
    """One story of a death."""

    death: Death
    step: Step
    has_network: bool

    def __str__(self) -> str:
        return f"{self.death}, {self.step}, {'with' if self.has_network else 'without'} network"


@dataclass(frozen=True)
class Outcome:
    """What a cell showed. `loss_ms` is None where nothing was being recorded any more."""

    cell: Cell
    shown_as_saved: int
    of_these_in_bucket: int
    in_bucket: int
    captured: int
    loss_ms: float | None


EVERY_CELL = [Cell(*values) for values in itertools.product(Death, Step, (True, False))]


def run_cell(cell: Cell, machine: Machine, service: Service) -> Outcome:
    """Tell the cell's story. Raises `AssertionError` where a slice that was shown as saved is not in the bucket."""
    service.gate.rule = _RULES.get(cell.step, pass_all)
    tab = machine.open_tab(chunk_ms=1_000 if cell.step is Step.SEALING else 500)
    tab.page.evaluate(HEARD_STEP)
    recording_id, take = machine.record(tab)
    _reach(cell, tab, take, service)
    killed = machine.browser.renderer_pids() if cell.death is Death.RENDERER_KILLED else []
    if not cell.has_network:
        service.gate.away()
    promised, position = _last_look(tab, take)
    former_workers = list(tab.page.workers)
    tab = _die(cell, machine, tab, killed)

    if cell.has_network:
        service.gate.back()
    if cell.death is Death.WORKER_TERMINATED:
        tab.wait(lambda: set(tab.page.workers) - set(former_workers), "another worker", READY_LIMIT_S)
        if take.stopped_at_ms is None:
            tab.wait_for_count("slices-durable", promised + 5, READY_LIMIT_S)
            tab.stop()
    else:
        tab.wait_for_state("ready", "idle", limit_s=READY_LIMIT_S)
    if not cell.has_network:
        tab.wait(lambda: recording_id in tab.rows, "the recording in the list, without a network", READY_LIMIT_S)
        service.gate.back()
    tab.wait_for_row(recording_id, "complete", limit_s=120)

    held = assert_kept(service.stores, recording_id, take, promised)
    assert service.stores.is_certified(recording_id)
    is_cut = cell.death is not Death.WORKER_TERMINATED and take.stopped_at_ms is None
    return Outcome(
        cell=cell,
        shown_as_saved=promised,
        of_these_in_bucket=_slices_in(held, take, promised),
        in_bucket=_slices_in(held, take, take.contiguous),
        captured=take.contiguous,
        loss_ms=loss_ms(position, end_of(take.content), end_of(held)) if is_cut and position is not None else None,
    )


def _hold_chunks(request: Request) -> Bend:
    return Bend.HOLD if request.is_chunk else Bend.PASS


def _drop_verify(request: Request) -> Bend:
    return Bend.DROP if request.path.endswith("/verify") else Bend.PASS


def _lose_verification(request: Request) -> Bend:
    return Bend.LOSE_ANSWER if request.path.endswith("/verify") else Bend.PASS


_RULES: dict[Step, Rule] = {
    Step.MID_UPLOAD: _hold_chunks,
    Step.AFTER_RECEIPT: _drop_verify,
    Step.MID_VERIFY: _lose_verification,
}


def _reach(cell: Cell, tab: RecorderPage, take: Take, service: Service) -> None:
    """Bring the recording to the cell's step."""
    if cell.step in (Step.SEALING, Step.MID_CLEAR):
        # Only now: what a former page left is cleared by then, and would be taken for this recording's.
        tab.wait(lambda: tab.shown["recovering"] == "false", "nothing to be recovered")
    watch_until_saved(tab, take, SAVED_AT_LEAST)
    is_ending = cell.death is Death.WORKER_TERMINATED
    match cell.step:
        case Step.MID_UPLOAD | Step.MID_VERIFY:
            tab.wait(lambda: service.gate.bent, "a request to be half-way")
        case Step.AFTER_RECEIPT:
            tab.wait_for_count("chunks-acknowledged", 2)
        case Step.SEALING:
            _stop_in(tab, "sealing", is_ending=is_ending)
            tab.wait(lambda: tab.page.evaluate("window.deathAt"), "half a seal record to be written")
        case Step.MID_CLEAR:
            _stop_in(tab, "clear", is_ending=is_ending)
            tab.stop()
            tab.wait(lambda: take.is_whole, "the witness to have every slice")
            tab.wait(lambda: tab.page.evaluate("window.deathAt"), "clearing to begin")


def _stop_in(tab: RecorderPage, step: str, *, is_ending: bool) -> None:
    (worker,) = tab.page.workers
    where = {"step": step, "recordingId": tab.recording_id, "isEnding": is_ending}
    worker.evaluate(STEPS_SCRIPT.read_text(), where)


def _last_look(tab: RecorderPage, take: Take) -> tuple[int, float | None]:
    """The slices shown as saved, all of which the witness has, and where the source is, or was when the step came."""

    def look() -> tuple[int, float | None] | tuple[()]:
        saved, position = tab.page.evaluate(
            """() => [Number(document.body.dataset.slicesDurable),
                (window.deathAt ?? { position: window.sweepPosition() }).position]"""
        )
        return (saved, position) if saved <= take.contiguous else ()

    looked = tab.wait(look, "the witness to have all that is shown as saved")
    assert looked
    return looked


def _die(cell: Cell, machine: Machine, tab: RecorderPage, pids: list[int]) -> RecorderPage:
    """The death; returns the page that lives afterwards."""
    match cell.death:
        case Death.TAB_CLOSED:
            tab.page.close()
        case Death.RENDERER_KILLED:
            kill_all(pids)
            for broken in machine.tabs:
                broken.page.close()
        case Death.BROWSER_KILLED:
            machine.kill_browser()
            machine.start_browser()
        case Death.WORKER_TERMINATED:
            for worker in tab.page.workers if cell.step not in (Step.SEALING, Step.MID_CLEAR) else []:
                worker.evaluate("self.close()")
            return tab
        case Death.RELOAD:
            tab.page.reload()
            return tab
    machine.tabs.clear()
    tab = machine.new_tab()
    tab.visit()
    return tab


def _slices_in(held: bytes, take: Take, count: int) -> int:
    """How many of the first slices lie whole in the bytes, from the beginning."""
    size = 0
    for number in range(count):
        size += len(take.slices[number])
        if len(held) < size or held[size - len(take.slices[number]) : size] != take.slices[number]:
            return number
    return count
