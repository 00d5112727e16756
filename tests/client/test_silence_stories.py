"""A recorder falls silent while the device is there: it is replaced, and what it held is kept."""

import asyncio

import msgspec

from client_py.messages import CaptureNote, CaptureRestart
from client_py.testing.world import World
from tests.client.stories import everything_complete, story


@story
async def test_a_recorder_that_falls_silent_is_replaced_and_what_it_held_is_kept(world: World) -> None:
    tab = world.open_tab()
    capture = await tab.record(2.0)
    tab.window.silent_runs = 1
    await asyncio.sleep(10.0)
    assert capture.run == 1
    assert len(capture.slices) > 60, "the next run records at once"
    await asyncio.sleep(400.0)
    tab.window.silent_runs = 1
    await asyncio.sleep(10.0)
    assert capture.run == 2, "what helped for long is done at once again"
    assert [restart.keeps_stream for restart in tab.window.restarts] == [True, True]
    await tab.stop()
    await everything_complete(tab)
    assert world.server.content_of(capture.recording_id) == capture.content


@story
async def test_a_recorder_that_never_gives_anything_is_tried_again_ever_more_seldom(world: World) -> None:
    tab = world.open_tab()
    capture = await tab.record(2.0)
    tab.window.silent_runs = 1_000_000
    await asyncio.sleep(3_600.0)
    assert tab.view.state == "recording"
    assert [restart.keeps_stream for restart in tab.window.restarts[:3]] == [True, False, False], "then a new stream"
    assert 10 < len(tab.window.restarts) < 25
    tab.window.silent_runs = 0
    await asyncio.sleep(1.0)
    assert capture.saved > 2
    await tab.stop()
    await everything_complete(tab)
    assert world.server.content_of(capture.recording_id) == capture.content


@story
async def test_a_recorder_that_speaks_again_by_itself_is_left_alone(world: World) -> None:
    tab = world.open_tab()
    capture = await tab.record(2.0)
    tab.window.silent_runs = 2
    await asyncio.sleep(10.0)
    tab.window.silent_runs = 0  # the second run speaks again before it would have been replaced
    await asyncio.sleep(20.0)
    assert (capture.run, len(tab.window.restarts)) == (1, 1)
    await tab.stop()
    await everything_complete(tab)


@story
async def test_a_screen_that_falls_silent_is_never_asked_for_again_and_goes_on(world: World) -> None:
    tab = world.open_tab()
    capture = await tab.record(2.0, source="screen")
    tab.window.silent_runs = 3
    await asyncio.sleep(60.0)
    assert [restart.keeps_stream for restart in tab.window.restarts] == [True] * 3
    assert (capture.run, tab.view.state) == (3, "recording")
    assert len(capture.slices) > 350, "each next run began at once"
    await tab.stop()
    await everything_complete(tab)
    assert world.server.content_of(capture.recording_id) == capture.content


@story
async def test_a_muted_device_is_waited_for_and_its_recorder_left_alone(world: World) -> None:
    tab = world.open_tab()
    capture = await tab.record(2.0)
    note = CaptureNote(recording_id=capture.recording_id, run=0, kind="muted", message="audio")
    tab.window.say(note)
    tab.window.silent_runs = 1
    await asyncio.sleep(60.0)
    assert (capture.run, tab.window.restarts) == (0, [])
    tab.window.say(msgspec.structs.replace(note, kind="unmuted"))
    await asyncio.sleep(1.0)
    assert capture.run == 1, "still silent, and nobody says that it is muted"
    tab.window.say(msgspec.structs.replace(note, run=1))
    tab.window.end_run(is_requested=False)
    tab.window.silent_runs = 1
    await asyncio.sleep(30.0)
    assert capture.run == 3, "the next run's device is not muted"
    await tab.stop()
    await everything_complete(tab)


@story
async def test_a_restart_that_the_worker_does_not_outlive_still_goes_on_recording(world: World) -> None:
    tab = world.open_tab()
    capture = await tab.record(2.0, source="screen")
    tab.window.silent_runs = 1
    await asyncio.sleep(3.0)
    await tab.kill_worker()
    tab.window.on_message(1, CaptureRestart(recording_id=capture.recording_id, run=0, keeps_stream=True))
    tab.start_worker()
    await asyncio.sleep(3.0)
    assert (capture.run, tab.view.state) == (1, "recording")
    await tab.stop()
    await everything_complete(tab)
    assert world.server.content_of(capture.recording_id) == capture.content
