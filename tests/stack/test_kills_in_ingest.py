"""SIGKILL of each real process at each step of ingest: nothing acknowledged is lost, nothing deleted returns.

`make stack-kills` runs every cell and writes the table of docs/RECOVERY.md; otherwise two run.
"""

from collections.abc import Iterator

import pytest

from tests.stack.conftest import IS_WHOLE
from tests.stack.ingest_kills import STEPS, Stack, Victim, run_cell
from tests.stack.outcomes import Outcome, table_of, write_table

EVERY_CELL = [(step, victim) for step in STEPS for victim in Victim]
A_PART = [
    ("rows inserted, before COMMIT", Victim.POSTGRES),
    ("COMMIT done", Victim.WORKER),
]
HEADING = (
    "step",
    "killed",
    "told to the six under way",
    "first audit found",
    "repaired by",
    "all acknowledged after, s",
)


@pytest.fixture(scope="module")
def outcomes() -> Iterator[list[Outcome]]:
    """What the cells came to; written down when the whole matrix went well."""
    outcomes: list[Outcome] = []
    yield outcomes
    if IS_WHOLE and len(outcomes) == len(EVERY_CELL):
        write_table("ingest", table_of(outcomes, HEADING))


@pytest.mark.parametrize(("step", "victim"), EVERY_CELL if IS_WHOLE else A_PART)
def test_nothing_acknowledged_is_lost_in_ingest(
    step: str, victim: Victim, request: pytest.FixtureRequest, outcomes: list[Outcome]
) -> None:
    stack: Stack = request.getfixturevalue("stack_on_minio" if victim is Victim.MINIO else "stack")
    outcome = run_cell(stack, step, victim)
    print(outcome)
    assert (outcome.lost, outcome.returned) == (0, 0)
    outcomes.append(outcome)
