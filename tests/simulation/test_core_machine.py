"""The pure core against a world that does its worst, by Hypothesis; I1, I3, I6, I9 and I10 hold after every step."""

import os
import random

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from client_py.core import events as ev
from client_py.core.states import TO_SEND, ChunkLife
from client_py.messages import DeleteRecording, FreeSpace, Nudge, Pause, Record, Resume, Slice, Stop
from protocol.errors import ErrorCode
from protocol.limits import CHUNK_MAX_BYTES
from tests.simulation.core_model import CoreWorld, recover

STEPS_EACH = 70
# 50 are a few seconds; 1,500 make 100,000 steps in some minutes.
EXAMPLES = int(os.environ.get("SIMULATION_EXAMPLES", "50"))

answers = st.sampled_from(["true", "true", "true", "true", "lost", "timeout", "portal", "forged"])


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
    @rule(sizes=st.lists(st.integers(1, 900), min_size=1, max_size=6))
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

    @precondition(lambda self: self.world.window.is_running)
    @rule()
    def lose_the_device(self) -> None:
        self.world.end_run(is_requested=False)

    @rule(choice=st.integers(0, 100))
    def delete_one(self, choice: int) -> None:
        closed = [
            each.recording_id
            for each in self.world.client.book.recordings.values()
            if each.life in ("closed", "complete", "gone")
        ]
        if closed:
            recording_id = closed[choice % len(closed)]
            self.world.deleted.add(recording_id)
            self.world.say(DeleteRecording(recording_id=recording_id))

    # ------------------------------------------------------------------ time, storage, network

    @rule(duration_ms=st.sampled_from([50, 200, 500, 2_000, 70_000]), jitter=st.floats(0, 0.999))
    def let_time_pass(self, duration_ms: int, jitter: float) -> None:
        self.world.jitter = jitter
        for _ in range(2):
            self.world.now_ms += duration_ms // 2
            self.world.handle(ev.Ticked())

    @rule(rounds=st.integers(1, 12))
    def let_all_go_well(self, rounds: int) -> None:
        """The ordinary course of things for a while."""
        for _ in range(rounds):
            while self.world.jobs:
                self.world.work()
            for request_id in sorted(self.world.requests):
                if request_id in self.world.requests:
                    self.world.answer(request_id, "true")
            self.world.now_ms += 100
            self.world.handle(ev.Ticked())

    @rule(sizes=st.lists(st.integers(1, 900), min_size=3, max_size=8), rounds=st.integers(1, 4), stops=st.booleans())
    def record_for_a_while(self, sizes: list[int], rounds: int, stops: bool) -> None:
        """Capture beside everything else, after Record where nothing is captured."""
        if self.world.window.recording_id is None:
            self.press_record(is_quick=True)
        for size in sizes:
            if self.world.window.is_running:
                self.capture([size])
            self.let_all_go_well(rounds)
        if stops:
            self.world.say(Stop())
            self.let_all_go_well(2 * rounds)

    @rule(days=st.sampled_from([-400, -1, 1, 400]))
    def jump_the_clock(self, days: int) -> None:
        self.world.unix_offset_ms = max(0, self.world.unix_offset_ms + days * 86_400_000)

    @precondition(lambda self: bool(self.world.jobs))
    @rule(count=st.integers(1, 12))
    def let_storage_work(self, count: int) -> None:
        for _ in range(count):
            self.world.work()

    @precondition(lambda self: bool(self.world.requests))
    @rule(choice=st.integers(0, 3), kind=answers)
    def answer(self, choice: int, kind: str) -> None:
        request_ids = sorted(self.world.requests)
        self.world.answer(request_ids[choice % len(request_ids)], kind)

    @rule(
        code=st.sampled_from(
            [None, None, None, ErrorCode.OVERLOADED, ErrorCode.INTERNAL_ERROR, ErrorCode.CHUNK_DISPUTED]
        )
    )
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
        self.world.room = room

    # ------------------------------------------------------------------ deaths

    @rule(keeps_window=st.booleans())
    def die(self, keeps_window: bool) -> None:
        """The worker dies, alone or with its whole tab; a new one reads the log."""
        world = self.world
        live_id = world.window.recording_id if keeps_window else None
        if live_id is None:
            world.window = type(world.window)()
        world.start(live_id=live_id)
        while world.jobs:
            world.work()
            if not world.requests:
                world.check_rested()

    # ------------------------------------------------------------------ invariants

    @invariant()
    def i10_whatever_is_to_be_sent_is_queued(self) -> None:
        for recording in self.world.client.book.recordings.values():
            waiting = sum(recording.count(life) for life in TO_SEND)
            if waiting and recording.life != "deleting":
                lane = self.world.client.waiting_to_be_sent(recording.recording_id)
                to_send = set().union(*(recording.by_life[life] for life in TO_SEND))
                assert to_send <= lane, "a chunk that is to be sent waits for nothing"

    @invariant()
    def saved_bytes_are_somewhere(self) -> None:
        """Every slice that was shown as saved lies on the disk, or its chunk was verified by the server."""
        world = self.world
        for recording_id, slices in world.saved.items():
            if recording_id in world.deleted or recording_id not in world.disk:
                continue
            log = recover(recording_id, world.disk[recording_id]).finish(CHUNK_MAX_BYTES)
            assert log.notes == []
            assert log.next_slice >= max(slices) + 1

    def teardown(self) -> None:
        """I10: when everything works again, everything saved is verified without anybody doing anything."""
        world = self.world
        world.server.refusal, world.room, world.jitter = None, None, 0.5
        self._let_the_live_recording_end()
        world.window = type(world.window)()
        world.start(live_id=None)
        for _ in range(3_000):
            self.let_all_go_well(1)
            if self._is_settled():
                break
        assert self._is_settled(), f"not everything was verified although everything works: {self._describe()}"
        for recording_id, slices in world.saved.items():
            if recording_id not in world.deleted and not self._is_lost_for_good(recording_id):
                stored = world.server.content_of(recording_id)
                saved = b"".join(slices[number].content for number in sorted(slices))
                assert sorted(slices) == list(range(len(slices)))
                assert stored.startswith(saved), "a slice that was shown as saved is not in the bucket"

    def _let_the_live_recording_end(self) -> None:
        """Whatever disturbed it: Stop closes it, and only when every slice of the window is durable."""
        world = self.world
        recording_id, slices = world.window.recording_id, list(world.window.slices)
        if recording_id is None or recording_id not in world.client.book.recordings:
            return
        world.say(Stop())
        for _ in range(1_000):
            self.let_all_go_well(1)
            if world.window.recording_id is None:
                break
        assert world.window.recording_id is None, f"Stop never closed the recording: {self._describe()}"
        saved = world.saved.get(recording_id, {})
        assert recording_id in world.deleted or len(saved) == len(slices) + len(set(saved) - set(range(len(slices))))

    def _is_settled(self) -> bool:
        world = self.world
        recordings = world.client.book.recordings.values()
        at_end = (ChunkLife.VERIFIED, ChunkLife.CLEARED)
        return all(
            each.life in ("complete", "gone", "prepared")
            and all(chunk.life in at_end for chunk in each.chunks.values())
            for each in recordings
            if not self._is_lost_for_good(each.recording_id)
        )

    def _describe(self) -> list[str]:
        return [
            f"{each.recording_id} {each.life} {each.problem} "
            f"{ {str(life): sorted(indexes) for life, indexes in each.by_life.items() if indexes} }"
            for each in self.world.client.book.recordings.values()
        ]

    def _is_lost_for_good(self, recording_id: str) -> bool:
        """Whether the bucket lost a chunk after it had been verified and cleared: nobody has it any more (I1 held)."""
        world = self.world
        stored = {index for key, index in world.server.bucket if str(key) == recording_id}
        verified = {index for key, index in world.verified if key == recording_id}
        if recording_id not in world.disk:
            return not verified <= stored
        log = recover(recording_id, world.disk[recording_id]).finish(CHUNK_MAX_BYTES)
        return not log.cleared <= stored


CoreMachine.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS_EACH,
    derandomize=True,
    # Shrinking a hundred steps takes minutes; the steps of a failure are printed and can be cut by hand.
    phases=(Phase.explicit, Phase.generate),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestCoreMachine = CoreMachine.TestCase
