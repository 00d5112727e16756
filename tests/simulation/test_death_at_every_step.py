"""A worker dies in each single operation on its disk, and a new page finds everything that was shown as saved.

Given a recording in any step of its life, when tab or worker dies in the middle of one write,
flush, creation or removal, then the next page sends every saved slice, byte for byte and once.
"""

import asyncio

from client_py.messages import Settings
from client_py.testing.virtual_time import run_virtually
from client_py.testing.world import Tab, World

# Everything happens quickly and is cleared at once, so that every step of a chunk's life is met.
QUICK = Settings(
    slice_ms=100, chunk_bytes=8 * 1024, chunk_ms=300, verify_after_s=0.1, keep_verified_s=0.0, reverify_s=3600.0
)
SEGMENT_BYTES = 16 * 1024
OPERATIONS_MAX = 400


async def live_through(tab: Tab) -> None:
    """Record, stop, and wait until nothing is left on the device; ends early where the worker dies."""

    async def story() -> None:
        await tab.record(1.5)
        await tab.stop()
        await tab.until(lambda view: view.current is not None and is_gone(tab), what="cleared")

    telling = asyncio.create_task(story())
    while not telling.done() and not tab.is_dead:
        await asyncio.sleep(0.01)
    telling.cancel()
    outcome = (await asyncio.gather(telling, return_exceptions=True))[0]
    if isinstance(outcome, Exception) and not tab.is_dead:
        raise outcome


def is_gone(tab: Tab) -> bool:
    current = tab.view.current
    return current is not None and current.recording_id not in tab.world.disk.folders


async def recover(world: World) -> None:
    """A new page, and nobody clicks anything."""
    tab = world.open_tab(QUICK)
    await tab.ready()
    await tab.until(
        lambda view: not view.is_recovering and all(row.state == "complete" for row in view.recordings),
        what="everything recovered",
    )
    await asyncio.sleep(5)
    await tab.kill()


def check_nothing_saved_is_lost(world: World, tab: Tab) -> None:
    for capture in tab.window.captures.values():
        stored = world.server.content_of(capture.recording_id)
        assert stored.startswith(capture.saved_content), "a slice that was shown as saved is not in the bucket"
        assert capture.content.startswith(stored), "bytes are in the bucket that were never captured in this order"


async def tell_until_death(operation: int) -> bool:
    """Whether the worker died before its story was over."""
    world = World(operation, segment_bytes=SEGMENT_BYTES)
    world.disk.die_at = operation
    tab = world.open_tab(QUICK)
    await live_through(tab)
    has_died = tab.is_dead
    await tab.kill()
    world.disk.die_at = None
    await recover(world)
    check_nothing_saved_is_lost(world, tab)
    return has_died


def test_every_saved_slice_survives_a_death_at_every_operation() -> None:
    for operation in range(1, OPERATIONS_MAX):
        if not run_virtually(tell_until_death(operation)):
            assert operation > 60, "the story is too short to mean anything"
            return
    raise AssertionError("the story never ended")


def test_every_saved_slice_survives_when_recovery_dies_at_every_operation() -> None:
    async def story(operation: int) -> bool:
        world = World(operation, segment_bytes=SEGMENT_BYTES)
        tab = world.open_tab(QUICK)
        await tab.record(1.5)
        await tab.kill()
        world.disk.die_at = world.disk.operations + operation
        dying = world.open_tab(QUICK)
        for _ in range(2_000):
            if dying.is_dead:
                break
            await asyncio.sleep(0.01)
        has_died = dying.is_dead
        await dying.kill()
        world.disk.die_at = None
        await recover(world)
        check_nothing_saved_is_lost(world, tab)
        return has_died

    for operation in range(1, OPERATIONS_MAX):
        if not run_virtually(story(operation)):
            assert operation > 10
            return
    raise AssertionError("recovery never ended")


def test_a_replaced_worker_goes_on_without_a_gap_wherever_the_first_one_died() -> None:
    async def story(operation: int) -> bool:
        world = World(operation, segment_bytes=SEGMENT_BYTES)
        tab = world.open_tab(QUICK)
        await tab.ready()
        first_worker = tab.worker
        world.disk.die_at = world.disk.operations + operation
        recording = asyncio.create_task(tab.record(1.0))
        while not recording.done() and not tab.is_dead:
            await asyncio.sleep(0.01)
        has_died = tab.is_dead
        recording.cancel()
        await asyncio.gather(recording, return_exceptions=True)
        world.disk.die_at = None
        if has_died:
            await asyncio.sleep(1)  # the window goes on capturing, and notices
            await tab.kill_worker()
            tab.start_worker()
            assert tab.worker != first_worker
        if tab.window.live_id is None:
            await tab.kill()
            return has_died  # it died before anything could be captured
        await asyncio.sleep(1)
        await tab.stop()
        await tab.until(lambda view: bool(view.recordings) and is_gone_or_complete(tab), what="complete")
        assert world.server.content_of(tab.capture.recording_id) == tab.capture.content
        await tab.kill()
        return has_died

    for operation in range(1, OPERATIONS_MAX):
        if not run_virtually(story(operation)):
            assert operation > 20
            return
    raise AssertionError("the recording never ended")


def is_gone_or_complete(tab: Tab) -> bool:
    return is_gone(tab) or all(row.state == "complete" for row in tab.view.recordings)
