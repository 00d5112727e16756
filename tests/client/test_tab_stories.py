"""Several tabs of one origin: a live recording is its tab's alone, and a dead one's is taken over at once."""

import asyncio

from client_py.messages import DeleteRecording
from client_py.testing.world import World
from tests.client.stories import all_are, check_stored, everything_complete, story


@story
async def test_a_recording_that_is_live_in_another_tab_is_never_touched(world: World) -> None:
    owner = world.open_tab()
    capture = await owner.record(2.0)
    others = [world.open_tab() for _ in range(3)]
    for other in others:
        await other.ready()
    await asyncio.sleep(10.0)
    assert all("journal-2" not in name for name in world.disk.folders[capture.recording_id])
    await owner.stop()
    await everything_complete(owner)
    assert world.server.content_of(capture.recording_id) == capture.content
    assert len(world.server.puts) == len(set(world.server.puts)), "nothing is sent twice"


@story
async def test_another_tab_takes_a_recording_over_when_its_tab_dies(world: World) -> None:
    waiting = world.open_tab()
    await waiting.ready()
    owner = world.open_tab()
    capture = await owner.record(3.0)
    assert await waiting.until(all_are("recording"), what="one common list")
    await owner.kill()
    started = asyncio.get_running_loop().time()
    await everything_complete(waiting)
    assert asyncio.get_running_loop().time() - started < 5
    check_stored(world, capture)


@story
async def test_a_recording_stays_its_windows_own_while_its_worker_is_replaced(world: World) -> None:
    waiting = world.open_tab()
    await waiting.ready()
    owner = world.open_tab()
    capture = await owner.record(2.0)
    await owner.kill_worker()
    await asyncio.sleep(8.0)
    owner.start_worker()
    await asyncio.sleep(2.0)
    await owner.stop()
    await everything_complete(owner)
    assert world.server.content_of(capture.recording_id) == capture.content


@story
async def test_ten_tabs_recover_each_recording_once(world: World) -> None:
    world.server.is_away = True
    captures = []
    for _ in range(3):
        tab = world.open_tab()
        captures.append(await tab.record(2.0))
        await tab.kill()
    world.server.is_away = False
    tabs = [world.open_tab() for _ in range(10)]
    for tab in tabs:
        await everything_complete(tab, 3)
    for capture in captures:
        check_stored(world, capture)
    assert len(world.server.puts) == len(set(world.server.puts)), "nothing is sent twice"


@story
async def test_all_tabs_together_keep_four_requests_in_flight(world: World) -> None:
    flying = most = 0
    exchange = world.server.exchange

    async def count(*args: object) -> object:
        nonlocal flying, most
        flying += 1
        most = max(most, flying)
        try:
            return await exchange(*args)  # type: ignore[arg-type]
        finally:
            flying -= 1

    world.server.exchange = count  # type: ignore[assignment,method-assign]
    world.server.latency_s = 0.5
    tabs = [world.open_tab() for _ in range(3)]
    for tab in tabs:
        await tab.record(2.0)
    for tab in tabs:
        await tab.stop()
    for tab in tabs:
        await tab.until(lambda view: view.current is not None and view.current.state == "complete")
    assert most == 4


@story
async def test_a_recording_is_deleted_from_a_tab_that_does_not_hold_it(world: World) -> None:
    owner = world.open_tab()
    capture = await owner.record(2.0)
    await owner.stop()
    other = world.open_tab()
    await other.until(all_are("complete"))
    other.window.say(DeleteRecording(recording_id=capture.recording_id))
    await owner.until(lambda view: view.recordings == [])
    assert capture.recording_id not in world.disk.folders
    assert len(world.server.deleted) == 1
