"""Under the real log code a disk that fails, fills up, tears, garbles and forgets at every single operation.

Given a recording from page load to cleared, when the Nth operation on its disk goes wrong, for every
N and in every way, then every slice that was shown as saved is found in the bucket: byte for byte,
once, in order.
"""

import asyncio
from collections.abc import Callable, Iterator

import pytest

from client_py.messages import RecordingView, Settings
from client_py.testing.fake_window import Capture
from client_py.testing.memory_disk import FullAnswer, MemoryDisk, PowerLoss
from client_py.testing.virtual_time import run_virtually
from client_py.testing.world import Tab, World

# Everything happens quickly and is cleared at once, so that every step of a chunk's life is met.
QUICK = Settings(
    slice_ms=100, chunk_bytes=8 * 1024, chunk_ms=300, verify_after_s=0.1, keep_verified_s=0.0, reverify_s=3600.0
)
SEGMENT_BYTES = 16 * 1024
OPERATIONS_MAX = 400

Harm = Callable[[MemoryDisk, int], None]


def fail_once(disk: MemoryDisk, operation: int) -> None:
    """The operation fails; of a write, half is done, and then cut back."""
    disk.fail_at = {operation}


def fail_and_stay_torn(disk: MemoryDisk, operation: int) -> None:
    """What was torn cannot be cut back either."""
    disk.fail_at = {operation, operation + 1}


def fail_for_a_while(disk: MemoryDisk, operation: int) -> None:
    """Everything fails for a while, as where the storage is taken away and comes back."""
    disk.fail_at = set(range(operation, operation + 6))


def break_the_file(disk: MemoryDisk, operation: int) -> None:
    """The handle is closed under its holder: whatever is done with it from now on fails."""
    disk.break_at = operation


HARMS: list[Harm] = [fail_once, fail_and_stay_torn, fail_for_a_while, break_the_file]


async def live_to_the_end(world: World) -> Capture:
    """Record, stop, and wait until the recording has its certificate."""
    tab = world.open_tab(QUICK)
    capture = await tab.record(1.5)
    await tab.stop()
    await tab.until(lambda view: bool(view.recordings) and view.recordings[0].state == "complete", what="complete")
    await tab.kill()
    return capture


def operations_of_a_life() -> Iterator[int]:
    """The operations of an undisturbed life, in order."""

    async def count() -> int:
        world = World(segment_bytes=SEGMENT_BYTES)
        await live_to_the_end(world)
        return world.disk.operations

    count_of_all = run_virtually(count())
    assert 60 < count_of_all < OPERATIONS_MAX
    yield from range(1, count_of_all + 1)


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
def test_a_recording_is_whole_whichever_operation_goes_wrong(harm: Harm) -> None:
    async def story(operation: int) -> None:
        world = World(operation, segment_bytes=SEGMENT_BYTES)
        harm(world.disk, operation)
        capture = await live_to_the_end(world)
        assert world.server.content_of(capture.recording_id) == capture.content, operation

    step = 3 if harm is fail_for_a_while else 1
    for operation in list(operations_of_a_life())[::step]:
        run_virtually(story(operation))


@pytest.mark.parametrize("answer", FullAnswer)
def test_a_recording_is_whole_whenever_the_disk_fills_up_and_is_emptied_again(answer: FullAnswer) -> None:
    async def story(operation: int) -> None:
        world = World(operation, segment_bytes=SEGMENT_BYTES)
        world.disk.full_answer = answer
        world.disk.full_at = operation
        telling = asyncio.create_task(live_to_the_end(world))
        while world.disk.capacity_bytes is None and not telling.done():
            await asyncio.sleep(0.01)
        await asyncio.sleep(3)
        world.disk.full_at = world.disk.capacity_bytes = None
        capture = await telling
        assert world.server.content_of(capture.recording_id) == capture.content, operation

    for operation in operations_of_a_life():
        run_virtually(story(operation))


async def live_until_the_worker_dies(world: World) -> tuple[Tab, bool]:
    """Record until the disk kills the worker, or to the end; whether it died."""
    tab = world.open_tab(QUICK)

    async def tell() -> None:
        await tab.record(1.5)
        await tab.stop()
        await tab.until(lambda view: bool(view.recordings) and view.recordings[0].state == "complete")

    telling = asyncio.create_task(tell())
    while not telling.done() and not tab.is_dead:
        await asyncio.sleep(0.01)
    telling.cancel()
    await asyncio.gather(telling, return_exceptions=True)
    has_died = tab.is_dead
    await tab.kill()
    return tab, has_died


async def recover_all(world: World) -> None:
    """A new page, and nobody clicks anything."""
    tab = world.open_tab(QUICK)
    await tab.ready()
    await tab.until(lambda view: not view.is_recovering and all(is_settled(row) for row in view.recordings))
    await tab.kill()


def is_settled(row: RecordingView) -> bool:
    """Complete; or nothing was ever shown as saved, and what cannot be read is left and told."""
    return row.state == "complete" or (row.chunks_sealed == 0 and "cannot be read" in row.problem)


@pytest.mark.parametrize("kind", PowerLoss)
def test_every_saved_slice_survives_a_loss_of_power_at_every_operation(kind: PowerLoss) -> None:
    async def story(operation: int) -> bool:
        world = World(operation, segment_bytes=SEGMENT_BYTES)
        world.disk.die_at = operation
        tab, has_died = await live_until_the_worker_dies(world)
        world.disk.lose_power(world.chance, kind)
        world.disk.die_at = None
        await recover_all(world)
        for capture in tab.window.captures.values():
            stored = world.server.content_of(capture.recording_id)
            assert stored.startswith(capture.saved_content), operation
            assert capture.content.startswith(stored), operation
        return has_died

    assert [run_virtually(story(operation)) for operation in operations_of_a_life()].count(True) > 60


@pytest.mark.parametrize("kind", PowerLoss)
def test_every_saved_slice_survives_when_power_is_lost_at_every_operation_of_the_recovery(kind: PowerLoss) -> None:
    async def story(operation: int) -> bool:
        world = World(operation, segment_bytes=SEGMENT_BYTES)
        tab = world.open_tab(QUICK)
        capture = await tab.record(1.5)
        await tab.kill()
        world.disk.lose_power(world.chance, kind)
        world.disk.die_at = world.disk.operations + operation
        dying = world.open_tab(QUICK)
        for _ in range(1_000):
            if dying.is_dead:
                break
            await asyncio.sleep(0.01)
        has_died = dying.is_dead
        await dying.kill()
        world.disk.lose_power(world.chance, kind)
        world.disk.die_at = None
        await recover_all(world)
        stored = world.server.content_of(capture.recording_id)
        assert stored.startswith(capture.saved_content), operation
        assert capture.content.startswith(stored), operation
        return has_died

    for operation in range(1, OPERATIONS_MAX):
        if not run_virtually(story(operation)):
            assert operation > 10
            return
    raise AssertionError("recovery never ended")


def test_names_that_a_loss_of_power_takes_cost_only_the_files_they_named() -> None:
    """Chromium writes names without sync. Slices of files that kept their names arrive, in order and once."""

    async def story(operation: int, names_lost: int) -> int:
        world = World(operation, segment_bytes=SEGMENT_BYTES)
        world.disk.die_at = operation
        tab, _ = await live_until_the_worker_dies(world)
        in_bucket = {key: dict(world.server.bucket) for key in tab.window.captures}
        lost = world.disk.lose_power(world.chance, names_lost=names_lost)
        world.disk.die_at = None
        left = {capture.recording_id: slices_left(world, capture) for capture in tab.window.captures.values()}
        again = world.open_tab(QUICK)
        await again.ready()
        await asyncio.sleep(60)
        await again.kill()
        for capture in tab.window.captures.values():
            check_order(world, capture)
            stored = world.server.content_of(capture.recording_id)
            for number in left[capture.recording_id]:
                assert capture.slices[number].content in stored, (operation, names_lost, number)
            for key, content in in_bucket[capture.recording_id].items():
                assert world.server.bucket[key] == content, "what the bucket had is as it was"
        return len(lost)

    lost = [
        run_virtually(story(operation, names_lost))
        for operation in operations_of_a_life()
        for names_lost in (1, 1 + operation % 7)
    ]
    assert sum(lost) > 100


def slices_left(world: World, capture: Capture) -> list[int]:
    """The saved slices whose frames lie whole in a file that still has its name."""
    files = world.disk.folders.get(capture.recording_id, {})
    contents = [bytes(file.content) for name, file in files.items() if name.startswith("slices-")]
    saved = capture.slices[: capture.saved + 1]
    return [each.slice_number for each in saved if any(each.content in content for content in contents)]


def check_order(world: World, capture: Capture) -> None:
    """Every chunk in the bucket is true bytes of the recording, in the order of their indexes, none of them twice."""
    whole, end = capture.content, 0
    keys = sorted(key for key in world.server.bucket if str(key[0]) == capture.recording_id)
    for key in keys:
        start = whole.find(world.server.bucket[key])
        assert start >= end, "a chunk of other bytes, or of bytes that stand elsewhere too"
        end = start + len(world.server.bucket[key])
