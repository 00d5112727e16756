"""The pure core against a world that does its worst, by Hypothesis; I1, I3, I6, I9 and I10 hold after every step.

Hypothesis draws one number a step, which decides what happens and how. Drawing each choice by itself took most of the
time; since nothing is shrunk here, one number is as good, and the steps of a failure name what they did.
"""

import os
import random
from collections.abc import Callable

from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from client_py.core.book import Recording
from client_py.core.journal import Sealed
from client_py.core.states import TO_SEND, ChunkLife, RecordingLife
from client_py.messages import Stop
from tests.simulation.core_steps import ACTIONS, CoreSteps, Count
from tests.simulation.core_world import CoreWorld

STEPS_EACH = 250
# 410 make more than 100,000 steps in about 30 s; SIMULATION_EXAMPLES makes it more, or fewer.
EXAMPLES = int(os.environ.get("SIMULATION_EXAMPLES", "410"))

NUMBERS = st.integers(0, (1 << 24) - 1)  # of a larger range Hypothesis prefers the small ones
IN_VERIFY = (ChunkLife.ASKING, ChunkLife.VERIFYING, ChunkLife.REVERIFYING)


class CoreMachine(CoreSteps, RuleBasedStateMachine):
    """Each action leaves the world in a state that must satisfy every invariant."""

    def __init__(self) -> None:
        super().__init__()
        self.world = CoreWorld()
        self.actions = ACTIONS
        self.work_on_storage(20)

    @initialize(number=NUMBERS)
    def choose_what_never_happens(self, number: int) -> None:
        """What does not happen at all leaves room for what else does, again and again."""
        chance = random.Random(number)
        share = chance.random()
        self.actions = [each for each in ACTIONS if chance.random() >= share] or ACTIONS

    @rule(number=NUMBERS)
    def act(self, number: int) -> None:
        """One of the actions."""
        chance = random.Random(number)
        possible = [act for act, when in self.actions if when(self.world)]
        act = chance.choice(possible) if possible else CoreSteps.let_time_pass
        note(act.__name__)
        act(self, chance)

    # ------------------------------------------------------------------ invariants

    @invariant()
    def i10_everything_that_is_not_at_its_end_is_still_intended(self) -> None:
        for life in (self.world.life, self.world.zombie):
            for recording in life.client.book.recordings.values() if life else ():
                if recording.life not in (RecordingLife.DELETING, RecordingLife.GONE):
                    requests = [each.path for each in life.requests.values()] if life else []
                    waiting = life.client.waiting_to_be_sent(recording.recording_id) if life else set()
                    self._check_intended(recording, waiting, requests)

    def _check_intended(self, recording: Recording, waiting: set[int], requests: list[str]) -> None:
        lives, path = recording.by_life, f"/api/recordings/{recording.recording_id}"
        for life in TO_SEND:
            assert lives[life] <= waiting, "a chunk that is to be sent waits for nothing"
        in_flight = {f"{path}/chunks/{index}" for index in lives[ChunkLife.SENDING]}
        assert in_flight <= set(requests), "a chunk counts as being sent, and no request is under way"
        if any(lives[life] for life in IN_VERIFY):
            assert f"{path}/verify" in requests, "a chunk counts as asked about, and no request is under way"
        if lives[ChunkLife.PENDING] or lives[ChunkLife.ACKNOWLEDGED]:
            assert recording.verify_due_ms is not None, "a chunk will never be asked about"
        planned = {record.chunk_index for record in recording.files.waiting if isinstance(record, Sealed)}
        assert lives[ChunkLife.PLANNED] <= planned, "a chunk will never be sealed"

    @invariant()
    def count(self) -> None:
        Count.steps += 1

    def teardown(self) -> None:
        """I10: when everything works again, everything saved is verified without anybody doing anything."""
        world = self.world
        world.server.refusal, world.jitter = None, 0.5
        world.disk.room, world.disk.failures = None, 0
        world.end_zombie()
        self._let_the_live_recording_end()
        world.window = type(world.window)()
        world.replace_worker(live_id=None, leaves_zombie=False)
        for _ in range(3_000):
            self.go_well(1)
            if self._is_settled():
                break
        assert self._is_settled(), f"not everything was verified although everything works: {self._describe()}"
        for recording_id, slices in world.saved.items():
            if recording_id not in world.model.deleted and not self._is_lost_for_good(recording_id):
                stored = world.server.content_of(recording_id)
                saved = b"".join(slices[number].content for number in sorted(slices))
                assert sorted(slices) == list(range(len(slices)))
                assert stored.startswith(saved), "a slice that was shown as saved is not in the bucket"
                assert stored == world.model.of(recording_id).content(), "other bytes are in the bucket"
        Count.events += world.events

    def _let_the_live_recording_end(self) -> None:
        """Whatever disturbed it: Stop closes it, and only when every slice of the window is durable."""
        world = self.world
        recording_id, slices = world.window.recording_id, list(world.window.slices)
        if recording_id is None:
            return
        for _ in range(100):
            self.go_well(1)
            if not world.window.is_replaying:
                break
        world.say(Stop())
        for _ in range(1_000):
            self.go_well(1)
            if world.window.recording_id is None:
                break
        assert world.window.recording_id is None, f"Stop never closed the recording: {self._describe()}"
        saved = world.saved.get(recording_id, {})
        assert recording_id in world.model.deleted or len(saved) >= len(slices), "closed without all of its slices"

    def _is_settled(self) -> bool:
        at_end = (ChunkLife.VERIFIED, ChunkLife.CLEARED)
        return not self.world.jobs and all(
            each.life in ("complete", "gone", "prepared")
            and all(chunk.life in at_end for chunk in each.chunks.values())
            for each in self.recordings()
            if not self._is_lost_for_good(each.recording_id)
        )

    def _describe(self) -> list[str]:
        return [
            f"{each.recording_id} {each.life} {each.problem} "
            f"{ {str(life): sorted(indexes) for life, indexes in each.by_life.items() if indexes} }"
            for each in self.recordings()
        ]

    def _is_lost_for_good(self, recording_id: str) -> bool:
        """Whether the bucket lost a chunk after it had been verified and cleared: nobody has it any more (I1 held)."""
        world = self.world
        stored = {index for key, index in world.server.bucket if str(key) == recording_id}
        facts = world.model.of(recording_id)
        return not (facts.cleared if recording_id in world.disk.folders else facts.verified) <= stored


def test_the_core_keeps_its_invariants_through_100_000_steps(record_property: Callable[[str, object], None]) -> None:
    run_state_machine_as_test(
        CoreMachine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS_EACH,
            derandomize=True,
            # Shrinking hundreds of steps takes minutes; the steps of a failure are printed and can be cut by hand.
            phases=(Phase.explicit, Phase.generate),
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    figures = (
        f"{Count.steps:,} steps, {Count.events:,} events of the core, {Count.lives:,} lives, {Count.zombies:,} zombies"
    )
    record_property("figure", figures)
    assert Count.steps >= 100_000 or "SIMULATION_EXAMPLES" in os.environ, figures
