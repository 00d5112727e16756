"""Faults on each link under load: nothing acknowledged is lost, errors are honest, and the service heals by itself.

`make stack-kills` runs every cell and writes the table of docs/RECOVERY.md; otherwise one cell a link runs.
"""

from collections.abc import Iterator

import pytest

from server.storage.bucket_settings import BucketSettings
from tests.stack.conftest import CALM, IS_WHOLE
from tests.stack.link_faults import GatedStack, Link, gated_stack, run_cell
from tests.stack.link_gate import Fault
from tests.stack.outcomes import Outcome, table_of, write_table

EVERY_CELL = [(link, fault) for link in Link for fault in Fault if fault is not Fault.NONE]
A_PART = [(Link.CLIENT, Fault.CUT), (Link.BUCKET, Fault.CUT), (Link.LEDGER, Fault.RESET)]
HEADING = ("link", "fault", "told under it", "first audit found", "longest answer, s", "again after, s")


@pytest.fixture(scope="module")
def gated(
    module_database_url: str, module_bucket_settings: BucketSettings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatedStack]:
    """One server for all cells."""
    with gated_stack(tmp_path_factory.mktemp("gated"), module_database_url, module_bucket_settings, CALM) as stack:
        yield stack


@pytest.fixture(scope="module")
def outcomes() -> Iterator[list[Outcome]]:
    """What the cells came to; written down when all went well."""
    outcomes: list[Outcome] = []
    yield outcomes
    if IS_WHOLE and len(outcomes) == len(EVERY_CELL):
        write_table("links", table_of(outcomes, HEADING))


@pytest.mark.parametrize(("link", "fault"), EVERY_CELL if IS_WHOLE else A_PART)
def test_nothing_acknowledged_is_lost_over_a_faulty_link(
    link: Link, fault: Fault, gated: GatedStack, outcomes: list[Outcome]
) -> None:
    outcome = run_cell(gated, link, fault)
    print(outcome)
    assert outcome.lost == 0
    outcomes.append(outcome)
