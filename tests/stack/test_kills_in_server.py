"""SIGKILL of each real process at each step of ingest and of the server's own collect: nothing is lost, or returns.

`make stack-kills` runs every cell and writes the tables of docs/RECOVERY.md; otherwise three run.
"""

from collections.abc import Iterator

import pytest

from tests.stack import collect_kills, scheduled_collect_kills
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
EVERY_COLLECT_CELL = [(step, victim) for step in collect_kills.STEPS for victim in scheduled_collect_kills.VICTIMS]
A_COLLECT_PART = [("new pack stored", Victim.WORKER)]
COLLECT_HEADING = ("step", "killed", "told to who asked for it", "first audit found", "repaired by", "done after, s")


@pytest.fixture(scope="module")
def outcomes() -> Iterator[dict[str, list[Outcome]]]:
    """What the cells came to; written down when the whole matrix went well."""
    outcomes: dict[str, list[Outcome]] = {"ingest": [], "the server's collect": []}
    yield outcomes
    if IS_WHOLE and len(outcomes["ingest"]) == len(EVERY_CELL):
        write_table("ingest", table_of(outcomes["ingest"], HEADING))
    if IS_WHOLE and len(outcomes["the server's collect"]) == len(EVERY_COLLECT_CELL):
        write_table("the server's collect", table_of(outcomes["the server's collect"], COLLECT_HEADING))


@pytest.mark.parametrize(("step", "victim"), EVERY_CELL if IS_WHOLE else A_PART)
def test_nothing_acknowledged_is_lost_in_ingest(
    step: str, victim: Victim, request: pytest.FixtureRequest, outcomes: dict[str, list[Outcome]]
) -> None:
    stack: Stack = request.getfixturevalue("stack_on_minio" if victim is Victim.MINIO else "stack")
    outcome = run_cell(stack, step, victim)
    print(outcome)
    assert (outcome.lost, outcome.returned) == (0, 0)
    outcomes["ingest"].append(outcome)


@pytest.mark.parametrize(("step", "victim"), EVERY_COLLECT_CELL if IS_WHOLE else A_COLLECT_PART)
def test_nothing_is_lost_or_returns_in_the_servers_own_collect(
    step: str, victim: Victim, stack: Stack, outcomes: dict[str, list[Outcome]]
) -> None:
    outcome = scheduled_collect_kills.run_cell(stack, step, victim)
    print(outcome)
    assert (outcome.lost, outcome.returned) == (0, 0)
    outcomes["the server's collect"].append(outcome)
