"""SIGKILL of the word and of each real store at each step of collect and rebuild-ledger: nothing is lost, or returns.

`make stack-kills` runs every cell and writes the tables of docs/RECOVERY.md; otherwise one cell a word runs.
"""

from collections.abc import Callable, Iterator

import pytest

from server.embedded import EmbeddedServices
from tests.contracts.minio_process import MinioProcess, find_minio
from tests.stack import collect_kills, rebuild_kills
from tests.stack.conftest import IS_WHOLE
from tests.stack.outcomes import Outcome, table_of, write_table
from tests.stack.standing_still import StandingStill
from tests.stack.words import Services, Victim

RUNS: dict[str, Callable[[Services, str, Victim], Outcome]] = {
    "collect": collect_kills.run_cell,
    "rebuild-ledger": rebuild_kills.run_cell,
}
EVERY_CELL = [("collect", step, victim) for step in collect_kills.STEPS for victim in Victim] + [
    ("rebuild-ledger", step, victim) for step in rebuild_kills.STEPS for victim in Victim
]
A_PART = [
    ("collect", "rows moved", Victim.WORD),
    ("rebuild-ledger", "rows placed", Victim.WORD),
]
HEADING = ("step", "killed", "the word told", "first audit found", "repaired by", "done after, s")


@pytest.fixture(scope="module")
def services(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Stores for all cells: own ones where they are killed, else those of the session."""
    folder = tmp_path_factory.mktemp("words")
    still = StandingStill(folder)
    if not IS_WHOLE:
        database, bucket = (request.getfixturevalue(f"embedded_{each}") for each in ("database", "bucket"))
        yield Services(database, bucket, None, still)
        return
    with (
        EmbeddedServices(folder / "embedded", on_progress=lambda _: None) as embedded,
        MinioProcess(find_minio(), folder) as minio,
    ):
        yield Services(embedded, embedded, minio, still)


@pytest.fixture(scope="module")
def outcomes() -> Iterator[dict[str, list[Outcome]]]:
    """What the cells of each word came to; written down when its whole matrix went well."""
    outcomes: dict[str, list[Outcome]] = {word: [] for word in RUNS}
    yield outcomes
    for word, rows in outcomes.items():
        if IS_WHOLE and len(rows) == sum(cell[0] == word for cell in EVERY_CELL):
            write_table(word, table_of(rows, HEADING))


@pytest.mark.parametrize(("word", "step", "victim"), EVERY_CELL if IS_WHOLE else A_PART)
def test_nothing_is_lost_or_returns(
    word: str, step: str, victim: Victim, services: Services, outcomes: dict[str, list[Outcome]]
) -> None:
    outcome = RUNS[word](services, step, victim)
    print(outcome)
    assert (outcome.lost, outcome.returned) == (0, 0)
    outcomes[word].append(outcome)
