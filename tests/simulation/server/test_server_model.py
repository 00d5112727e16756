"""The server against its model: what was promised stays true in every order of faults, kills, audits and collects.

Hypothesis draws the operations; each fault hits one awaited call, before or after its effect, by an error,
a death, or an effect that comes later. `make test` prints how many operations were run.
"""

import logging
from collections.abc import Iterator
from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from tests.simulation.server.faults import Way
from tests.simulation.server.operations import converge, step
from tests.simulation.server.world import World

EXAMPLES: Final = 200
STEPS_AN_EXAMPLE: Final = 10
OPERATIONS_A_STEP: Final = 24
OPERATIONS_MIN: Final = 50_000
# An operation is drawn as so many bytes: what, to whom and which, the call that fails, how and in whose turn.
_BYTES: Final = 4


class Counts:
    """What ran, over all examples."""

    operations = 0
    calls = 0
    faults = 0


class ServerModel(RuleBasedStateMachine):
    """One world an example."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.is_broken = False

    @rule(drawn=st.binary(min_size=OPERATIONS_A_STEP * _BYTES, max_size=OPERATIONS_A_STEP * _BYTES))
    def operate(self, drawn: bytes) -> None:
        """Some operations, one after another; the invariants hold after each."""
        self.is_broken = True
        for place in range(0, len(drawn), _BYTES):
            kind, which, call, how = drawn[place : place + _BYTES]
            # Half of them meet no fault.
            fault_at = call % 12 + 1 if call & 0x80 else 0
            step(self.world, kind, which % 3, which >> 4, fault_at, Way(how % len(Way)), how >> 6)
            self.world.check()
        self.is_broken = False

    def teardown(self) -> None:
        """Without further faults everything ends as it should."""
        try:
            if not self.is_broken:
                converge(self.world)
        finally:
            Counts.operations += self.world.operation_count
            Counts.calls += self.world.plan.call_count
            Counts.faults += self.world.plan.fault_count
            self.world.loop.close()


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """A world of faults has nothing new to say about each."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def test_the_server_keeps_its_promises_whatever_fails(capsys: pytest.CaptureFixture[str]) -> None:
    run_state_machine_as_test(
        ServerModel,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS_AN_EXAMPLE,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],  # to shrink a failure takes minutes: add Phase.shrink to look for its core
        ),
    )
    with capsys.disabled():
        print(f"\n{Counts.operations} operations, {Counts.calls} calls to the stores, {Counts.faults} of them failed")
    assert Counts.operations >= OPERATIONS_MIN
    assert Counts.faults * 20 > Counts.operations, "the faults were met"
