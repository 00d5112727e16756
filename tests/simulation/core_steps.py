"""What may happen to the core in one step: what people, devices, disks, networks, servers and deaths do to it."""

import random
from collections.abc import Callable

from client_py.core import events as ev
from client_py.core.book import Recording
from client_py.core.states import ChunkLife
from client_py.messages import (
    CaptureNote,
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

ANSWERS = ["true", "true", "true", "true", "lost", "timeout", "portal", "forged", "unreadable"]
MOODS = [
    None,
    None,
    None,
    ErrorCode.OVERLOADED,
    ErrorCode.BODY_TOO_SLOW,
    ErrorCode.INTERNAL_ERROR,
    ErrorCode.CHUNK_DISPUTED,
    ErrorCode.CHUNK_DIFFERS,
]
BUTTONS = [Stop(), Pause(), Resume(), FreeSpace(), Nudge(is_online=True)]


class Count:
    """How much the machine did, for whoever reads the output."""

    steps = 0
    events = 0
    lives = 0
    zombies = 0


Action = Callable[["CoreSteps", random.Random], None]
ACTIONS: list[tuple[Action, Callable[[CoreWorld], bool]]] = []


def action(when: Callable[[CoreWorld], bool] = lambda _: True, weight: int = 2) -> Callable[[Action], Action]:
    """What may happen in a step, wherever `when` holds."""

    def note_down(act: Action) -> Action:
        ACTIONS.extend([(act, when)] * weight)
        return act

    return note_down


def sizes_of_slices(chance: random.Random, most: int) -> list[int]:
    return [chance.randint(1, 900) for _ in range(chance.randint(1, most))]


class CoreSteps:
    """One world, and the actions on it; each is given the chance that decides how it happens."""

    world: CoreWorld

    # ------------------------------------------------------------------ people and devices

    @action(when=lambda world: world.window.recording_id is None)
    def press_record(self, chance: random.Random) -> None:
        self.world.say(Record(source="microphone"))
        if chance.random() < 0.5:
            self.work_on_storage(20)

    @action()
    def press_a_button(self, chance: random.Random) -> None:
        self.world.say(chance.choice(BUTTONS))

    @action(when=lambda world: world.window.is_running)
    def capture(self, chance: random.Random) -> None:
        self.capture_slices(sizes_of_slices(chance, 4), chance)

    @action(when=lambda world: bool(world.window.slices))
    def post_slices_again(self, chance: random.Random) -> None:
        for message in self.world.window.slices[-chance.randint(1, 4) :]:
            self.world.say(message)

    @action(when=lambda world: world.window.is_running)
    def lose_the_device(self, _: random.Random) -> None:
        self.world.end_run(is_requested=False)

    @action(when=lambda world: world.window.is_running)
    def notice_silence(self, chance: random.Random) -> None:
        """Said of the present run, or too late of the one before."""
        window = self.world.window
        assert window.recording_id is not None
        run = max(0, window.run - chance.choice([0, 0, 1]))
        kind = chance.choice(["silence", "silence", "muted", "unmuted"])
        self.world.say(CaptureNote(recording_id=window.recording_id, run=run, kind=kind, message=""))

    @action()
    def delete_one(self, chance: random.Random) -> None:
        closed = [each.recording_id for each in self.recordings() if each.life in ("closed", "complete", "gone")]
        choice = chance.randrange(16)
        if choice < len(closed):
            self.world.model.deleted.add(closed[choice])
            self.world.say(DeleteRecording(recording_id=closed[choice]))

    @action()
    def rename_one(self, chance: random.Random) -> None:
        recordings, choice = self.recordings(), chance.randrange(16)
        if choice < len(recordings):
            title = chance.choice(["one", "other", "\x00 "])
            self.world.say(Rename(recording_id=recordings[choice].recording_id, title=title))

    @action()
    def list_more(self, _: random.Random) -> None:
        self.world.say(ListMore())

    @action()
    def retry_what_is_parked(self, _: random.Random) -> None:
        for recording in self.recordings():
            if recording.by_life[ChunkLife.PARKED]:
                self.world.say(RetryParked(recording_id=recording.recording_id))

    # ------------------------------------------------------------------ time, storage, network

    @action()
    def let_time_pass(self, chance: random.Random) -> None:
        self.world.jitter = chance.choice([0.0, 0.3, 0.999])
        duration_ms = chance.choice([50, 200, 500, 2_000, 70_000])
        for _ in range(2):
            self.world.now_ms += duration_ms // 2
            self.world.handle(ev.Ticked())

    @action(weight=1)  # it is many steps in one, as the next is
    def let_all_go_well(self, chance: random.Random) -> None:
        self.go_well(chance.randint(1, 4))

    @action(weight=1)
    def record_for_a_while(self, chance: random.Random) -> None:
        """Capture beside everything else, after Record where nothing is captured."""
        if self.world.window.recording_id is None:
            self.world.say(Record(source="microphone"))
            self.work_on_storage(20)
        for size in sizes_of_slices(chance, 3):
            if self.world.window.is_running:
                self.capture_slices([size], chance)
            self.go_well(1)
        if chance.random() < 0.5:
            self.world.say(Stop())
            self.go_well(2)

    @action()
    def jump_the_clock(self, chance: random.Random) -> None:
        days = chance.choice([-400, -1, 1, 400])
        self.world.unix_offset_ms = max(0, self.world.unix_offset_ms + days * 86_400_000)

    @action(when=lambda world: bool(world.jobs))
    def let_storage_work(self, chance: random.Random) -> None:
        self.work_on_storage(chance.randint(1, 12))

    @action(when=lambda world: bool(world.requests))
    def answer(self, chance: random.Random) -> None:
        is_newest_first = chance.random() < 0.5
        for _ in range(chance.randint(1, 4)):
            if self.world.requests:
                request_id = max(self.world.requests) if is_newest_first else min(self.world.requests)
                self.world.answer(request_id, chance.choice(ANSWERS))

    @action(when=lambda world: bool(world.late))
    def let_a_dead_workers_request_arrive(self, chance: random.Random) -> None:
        self.world.deliver_late(chance.randrange(16))

    @action()
    def change_the_servers_mood(self, chance: random.Random) -> None:
        code = chance.choice(MOODS)
        self.world.server.refusal = (code, {"retry-after": "3"}) if code else None

    @action(when=lambda world: bool(world.server.bucket))
    def lose_objects(self, chance: random.Random) -> None:
        keys = sorted(self.world.server.bucket)
        for key in keys if chance.random() < 0.5 else [chance.choice(keys)]:
            del self.world.server.bucket[key]

    @action()
    def change_the_room(self, chance: random.Random) -> None:
        self.world.disk.room = chance.choice([None, None, 0, 100, 3_000, 1 << 21])

    @action()
    def let_files_fail(self, chance: random.Random) -> None:
        self.world.disk.failures = chance.randint(1, 3)

    # ------------------------------------------------------------------ deaths

    @action()
    def die(self, chance: random.Random) -> None:
        """The worker dies, alone or with its whole tab; a new one reads the log as soon as it is free."""
        world = self.world
        keeps_window, leaves_zombie, does_work = (chance.random() < 0.5 for _ in range(3))
        live_id = world.window.recording_id if keeps_window else None
        if live_id is None:
            world.window = type(world.window)()
        Count.lives += 1
        Count.zombies += leaves_zombie
        world.replace_worker(live_id=live_id, leaves_zombie=leaves_zombie)
        if does_work:
            self.work_on_storage(20)

    @action(when=lambda world: world.zombie is not None)
    def let_the_zombie_act(self, chance: random.Random) -> None:
        """A terminated worker runs on for a while: it writes and sends, and nobody hears it."""
        world, zombie = self.world, self.world.zombie
        assert zombie is not None
        match chance.choice(["tick", "tick", "work", "work", "answer", "end"]):
            case "end":
                world.end_zombie()
            case "tick":
                world.handle(ev.Ticked(), zombie)
            case "work":
                world.work(zombie)
            case _ if zombie.requests:
                world.answer(min(zombie.requests), "true", zombie)

    # ------------------------------------------------------------------ what actions are made of

    def work_on_storage(self, count: int) -> None:
        for _ in range(count):
            self.world.work()

    def capture_slices(self, sizes: list[int], chance: random.Random) -> None:
        window = self.world.window
        for size in sizes:
            assert window.recording_id is not None
            message = Slice(
                recording_id=window.recording_id,
                run=window.run,
                slice_number=len(window.slices),
                captured_at_ms=self.world.now_ms,
                content=chance.randbytes(size),
            )
            window.slices.append(message)
            self.world.say(message)

    def go_well(self, rounds: int) -> None:
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

    def recordings(self) -> list[Recording]:
        return list(self.world.client.book.recordings.values())
