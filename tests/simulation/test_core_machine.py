"""The pure core against a world that does its worst, by Hypothesis; I1, I3, I6, I9 and I10 hold after every step."""

import os
import random
from collections.abc import Callable

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from client_py.core import events as ev
from client_py.core.book import Recording
from client_py.core.journal import Sealed
from client_py.core.states import TO_SEND, ChunkLife, RecordingLife
from client_py.messages import (
    DeleteRecording,
    FreeSpace,
    ListMore,
    Nudge,
    Pause,
    Record,
    Rename,
    Resume,
    RetryParked,
    Slice,
    Stop,
)
from protocol.errors import ErrorCode
from tests.simulation.core_world import CoreWorld

STEPS_EACH = 250
# 540 make more than 100,000 steps in about 40 s; SIMULATION_EXAMPLES makes it more, or fewer.
EXAMPLES = int(os.environ.get("SIMULATION_EXAMPLES", "540"))

answers = st.sampled_from(["true", "true", "true", "true", "lost", "timeout", "portal", "forged", "unreadable"])
moods = st.sampled_from(
    [
        None,
        None,
        None,
        ErrorCode.OVERLOADED,
        ErrorCode.BODY_TOO_SLOW,
        ErrorCode.INTERNAL_ERROR,
        ErrorCode.CHUNK_DISPUTED,
        ErrorCode.CHUNK_DIFFERS,
    ]
)
IN_VERIFY = (ChunkLife.ASKING, ChunkLife.VERIFYING, ChunkLife.REVERIFYING)


class Count:
    """How much the machine did, for whoever reads the output."""

    steps = 0
    events = 0
    lives = 0
    zombies = 0


class CoreMachine(RuleBasedStateMachine):
    """Rules are what may happen; each leaves the world in a state that must satisfy every invariant."""

    def __init__(self) -> None:
        super().__init__()
        self.world = CoreWorld()
        self.chance = random.Random(7)
        self.let_storage_work(20)

    # ------------------------------------------------------------------ people and devices

    @precondition(lambda self: self.world.window.recording_id is None)
    @rule(is_quick=st.booleans())
    def press_record(self, is_quick: bool) -> None:
        self.world.say(Record(source="microphone"))
        if is_quick:
            self.let_storage_work(20)

    @rule(message=st.sampled_from([Stop(), Pause(), Resume(), FreeSpace(), Nudge(is_online=True)]))
    def press_a_button(self, message: Stop | Pause | Resume | FreeSpace | Nudge) -> None:
        self.world.say(message)

    @precondition(lambda self: self.world.window.is_running)
    @rule(sizes=st.lists(st.integers(1, 900), min_size=1, max_size=4))
    def capture(self, sizes: list[int]) -> None:
        window = self.world.window
        for size in sizes:
            assert window.recording_id is not None
            message = Slice(
                recording_id=window.recording_id,
                run=window.run,
                slice_number=len(window.slices),
                captured_at_ms=self.world.now_ms,
                content=self.chance.randbytes(size),
            )
            window.slices.append(message)
            self.world.say(message)

    @precondition(lambda self: bool(self.world.window.slices))
    @rule(count=st.integers(1, 4))
    def post_slices_again(self, count: int) -> None:
        for message in self.world.window.slices[-count:]:
            self.world.say(message)

    @precondition(lambda self: self.world.window.is_running)
    @rule()
    def lose_the_device(self) -> None:
        self.world.end_run(is_requested=False)

    @rule(choice=st.integers(0, 15))
    def delete_one(self, choice: int) -> None:
        closed = [each.recording_id for each in self._recordings() if each.life in ("closed", "complete", "gone")]
        if choice < len(closed):
            self.world.model.deleted.add(closed[choice])
            self.world.say(DeleteRecording(recording_id=closed[choice]))

    @rule(choice=st.integers(0, 15), title=st.sampled_from(["one", "other", "\x00 "]))
    def rename_one(self, choice: int, title: str) -> None:
        recordings = self._recordings()
        if choice < len(recordings):
            self.world.say(Rename(recording_id=recordings[choice].recording_id, title=title))

    @rule()
    def list_more(self) -> None:
        self.world.say(ListMore())

    @rule()
    def retry_what_is_parked(self) -> None:
        for recording in self._recordings():
            if recording.by_life[ChunkLife.PARKED]:
                self.world.say(RetryParked(recording_id=recording.recording_id))

    # ------------------------------------------------------------------ time, storage, network

    @rule(duration_ms=st.sampled_from([50, 200, 500, 2_000, 70_000]), jitter=st.sampled_from([0.0, 0.3, 0.999]))
    def let_time_pass(self, duration_ms: int, jitter: float) -> None:
        self.world.jitter = jitter
        for _ in range(2):
            self.world.now_ms += duration_ms // 2
            self.world.handle(ev.Ticked())

    @rule(rounds=st.integers(1, 4))
    def let_all_go_well(self, rounds: int) -> None:
        """The ordinary course of things for a while."""
        world = self.world
        for _ in range(rounds):
            while world.jobs:
                world.work()
            for request_id in sorted(world.requests):
                if request_id in world.requests:
                    world.answer(request_id, "true")
            world.now_ms += 100
            world.handle(ev.Ticked())

    @rule(sizes=st.lists(st.integers(1, 900), min_size=1, max_size=3), stops=st.booleans())
    def record_for_a_while(self, sizes: list[int], stops: bool) -> None:
        """Capture beside everything else, after Record where nothing is captured."""
        if self.world.window.recording_id is None:
            self.press_record(is_quick=True)
        for size in sizes:
            if self.world.window.is_running:
                self.capture([size])
            self.let_all_go_well(1)
        if stops:
            self.world.say(Stop())
            self.let_all_go_well(2)

    @rule(days=st.sampled_from([-400, -1, 1, 400]))
    def jump_the_clock(self, days: int) -> None:
        self.world.unix_offset_ms = max(0, self.world.unix_offset_ms + days * 86_400_000)

    @precondition(lambda self: bool(self.world.jobs))
    @rule(count=st.integers(1, 12))
    def let_storage_work(self, count: int) -> None:
        for _ in range(count):
            self.world.work()

    @precondition(lambda self: bool(self.world.requests))
    @rule(kinds=st.lists(answers, min_size=1, max_size=4), is_newest_first=st.booleans())
    def answer(self, kinds: list[str], is_newest_first: bool) -> None:
        for kind in kinds:
            request_ids = sorted(self.world.requests, reverse=is_newest_first)
            if request_ids:
                self.world.answer(request_ids[0], kind)

    @precondition(lambda self: bool(self.world.late))
    @rule(choice=st.integers(0, 15))
    def let_a_dead_workers_request_arrive(self, choice: int) -> None:
        self.world.deliver_late(choice)

    @rule(code=moods)
    def change_the_servers_mood(self, code: ErrorCode | None) -> None:
        self.world.server.refusal = (code, {"retry-after": "3"}) if code else None

    @precondition(lambda self: bool(self.world.server.bucket))
    @rule(choice=st.integers(0, 1000), loses_all=st.booleans())
    def lose_objects(self, choice: int, loses_all: bool) -> None:
        keys = sorted(self.world.server.bucket)
        for key in keys if loses_all else [keys[choice % len(keys)]]:
            del self.world.server.bucket[key]

    @rule(room=st.sampled_from([None, None, 0, 100, 3_000, 1 << 21]))
    def change_the_room(self, room: int | None) -> None:
        self.world.disk.room = room

    @rule(count=st.integers(1, 3))
    def let_files_fail(self, count: int) -> None:
        self.world.disk.failures = count

    # ------------------------------------------------------------------ deaths

    @rule(keeps_window=st.booleans(), leaves_zombie=st.booleans(), does_work=st.booleans())
    def die(self, keeps_window: bool, leaves_zombie: bool, does_work: bool) -> None:
        """The worker dies, alone or with its whole tab; a new one reads the log as soon as it is free."""
        world = self.world
        live_id = world.window.recording_id if keeps_window else None
        if live_id is None:
            world.window = type(world.window)()
        Count.lives += 1
        Count.zombies += leaves_zombie
        world.replace_worker(live_id=live_id, leaves_zombie=leaves_zombie)
        if does_work:
            self.let_storage_work(20)

    @precondition(lambda self: self.world.zombie is not None)
    @rule(what=st.sampled_from(["tick", "tick", "work", "work", "answer", "end"]))
    def let_the_zombie_act(self, what: str) -> None:
        """A terminated worker runs on for a while: it writes and sends, and nobody hears it."""
        world, zombie = self.world, self.world.zombie
        assert zombie is not None
        if what == "end":
            world.end_zombie()
        elif what == "tick":
            world.handle(ev.Ticked(), zombie)
        elif what == "work":
            world.work(zombie)
        elif zombie.requests:
            world.answer(min(zombie.requests), "true", zombie)

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
            self.let_all_go_well(1)
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
            self.let_all_go_well(1)
            if not world.window.is_replaying:
                break
        world.say(Stop())
        for _ in range(1_000):
            self.let_all_go_well(1)
            if world.window.recording_id is None:
                break
        assert world.window.recording_id is None, f"Stop never closed the recording: {self._describe()}"
        saved = world.saved.get(recording_id, {})
        assert recording_id in world.model.deleted or len(saved) >= len(slices), "closed without all of its slices"

    def _recordings(self) -> list[Recording]:
        return list(self.world.client.book.recordings.values())

    def _is_settled(self) -> bool:
        at_end = (ChunkLife.VERIFIED, ChunkLife.CLEARED)
        return not self.world.jobs and all(
            each.life in ("complete", "gone", "prepared")
            and all(chunk.life in at_end for chunk in each.chunks.values())
            for each in self._recordings()
            if not self._is_lost_for_good(each.recording_id)
        )

    def _describe(self) -> list[str]:
        return [
            f"{each.recording_id} {each.life} {each.problem} "
            f"{ {str(life): sorted(indexes) for life, indexes in each.by_life.items() if indexes} }"
            for each in self._recordings()
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
