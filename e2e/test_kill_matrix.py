"""Every slice shown as saved is in the bucket after any death at any step; see kill_matrix.py.

`make kill-matrix` runs all sixty cells and writes the table of docs/RECOVERY.md; otherwise a part runs
in which each death and each step comes once.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.chromium import FAKE_DEVICES
from e2e.figures import Figures
from e2e.kill_matrix import EVERY_CELL, Cell, Death, Outcome, Step, run_cell
from e2e.machine import Machine, MachineRoom
from e2e.recovery_table import write_table
from e2e.service import Service
from e2e.sweep import SCRIPT as SWEEP_SCRIPT
from e2e.sweep import write_sweep

IS_WHOLE = bool(os.environ.get("HOLDFAST_KILL_MATRIX"))

A_PART = [
    Cell(Death.TAB_CLOSED, Step.RECORDING, has_network=False),
    Cell(Death.RENDERER_KILLED, Step.SEALING, has_network=True),
    Cell(Death.BROWSER_KILLED, Step.MID_UPLOAD, has_network=False),
    Cell(Death.WORKER_TERMINATED, Step.AFTER_RECEIPT, has_network=True),
    Cell(Death.RELOAD, Step.MID_VERIFY, has_network=False),
    Cell(Death.RENDERER_KILLED, Step.MID_CLEAR, has_network=True),
]


@pytest.fixture(scope="module")
def outcomes() -> Iterator[list[Outcome]]:
    """What the cells showed; written down when the whole matrix went well."""
    outcomes: list[Outcome] = []
    yield outcomes
    if IS_WHOLE and len(outcomes) == len(EVERY_CELL):
        write_table(outcomes)


@pytest.fixture(scope="module")
def sweeping(machine_room: MachineRoom, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """One machine for all cells, whose microphone plays the sweep."""
    wav: Path = tmp_path_factory.mktemp("sweep") / "sweep.wav"
    write_sweep(wav)
    microphone = f"--use-file-for-fake-audio-capture={wav}"
    machine = machine_room.start((*FAKE_DEVICES, microphone), is_as_shipped=True)
    machine.init_scripts.append(SWEEP_SCRIPT)
    machine.kill_browser()
    machine.start_browser()
    tab = machine.open_tab()
    tab.wait(lambda: tab.shown["offline-use"] == "ready", "the page to be kept")
    return machine


@pytest.mark.parametrize("cell", EVERY_CELL if IS_WHOLE else A_PART, ids=str)
def test_every_slice_shown_as_saved_is_in_the_bucket_after(
    cell: Cell, service: Service, sweeping: Machine, outcomes: list[Outcome], figures: Figures
) -> None:
    sweeping.clear_desk()
    outcome = run_cell(cell, sweeping, service)
    outcomes.append(outcome)
    assert outcome.of_these_in_bucket == outcome.shown_as_saved
    assert outcome.in_bucket >= outcome.shown_as_saved
    if outcome.loss_ms is not None:
        figures.note(f"lost, {cell}", f"{outcome.loss_ms:.0f} ms", goal="at most 300 ms")
