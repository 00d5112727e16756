"""Every awaited call of a rebuild fails once, at every position and in each way; the same word again mends it."""

import logging
from collections.abc import Iterator

import pytest

from tests.simulation.server.faults import Way
from tests.simulation.server.rebuilding import Rebuilding, furnish_all


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Faults are not news here."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("way", Way)
@pytest.mark.parametrize("merges", [False, True], ids=["into an empty ledger", "merged into one with holes"])
async def test_any_call_of_a_rebuild_fails_once_and_the_same_word_again_gives_the_same_ledger(
    way: Way, *, merges: bool
) -> None:
    furnished = await furnish_all()
    undisturbed = Rebuilding(furnished, merges)
    assert await undisturbed.run()
    call_count, expected = undisturbed.plan.call_count, undisturbed.describe()
    assert call_count > 50, "a rebuild with little to do proves little"
    for at in range(1, call_count + 1):
        disturbed = Rebuilding(furnished, merges)
        disturbed.plan.begin(at, way)
        await disturbed.run_to_the_end()
        assert disturbed.plan.fault_count, f"call {at} was met"
        assert disturbed.describe() == expected, f"call {at}"
        await disturbed.land_puts()
        assert disturbed.describe() == expected, f"call {at}, and a PUT that landed late"
