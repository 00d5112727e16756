"""What people and devices do: pause, unplug, refuse, stop sharing, delete."""

import asyncio

import msgspec

from client_py.messages import DeleteRecording, Nudge, Pause, Record, Resume, Stop
from client_py.testing.world import STORY_SETTINGS, World
from tests.client.stories import everything_complete, story


@story
async def test_pause_seals_what_there_is_and_resume_goes_on(world: World) -> None:
    tab = world.open_tab(msgspec.structs.replace(STORY_SETTINGS, chunk_ms=60_000, chunk_bytes=1024 * 1024))
    capture = await tab.record(2.0)
    assert tab.view.recordings[0].chunks_sealed == 0
    tab.window.say(Pause())
    view = await tab.until(lambda view: view.is_paused)
    await asyncio.sleep(10.0)
    captured = len(capture.slices)
    assert tab.view.recordings[0].chunks_acknowledged == 1
    assert view.state == "recording"
    tab.window.say(Resume())
    await asyncio.sleep(2.0)
    assert len(capture.slices) > captured
    await tab.stop()
    await everything_complete(tab)
    assert world.server.content_of(capture.recording_id) == capture.content


@story
async def test_a_pause_counts_no_time_even_where_its_last_slice_comes_at_the_stop(world: World) -> None:
    tab = world.open_tab()
    await tab.record(2.0)
    tab.window.say(Pause())
    await tab.until(lambda view: view.is_paused)
    await asyncio.sleep(9.0)
    tab.window.capture_slice(b"what the recorder still held")
    await tab.stop()
    await everything_complete(tab)
    assert 1_500 < tab.view.recordings[0].duration_ms < 3_500


@story
async def test_a_small_tail_is_sealed_and_sent_when_it_is_old_enough(world: World) -> None:
    tab = world.open_tab(msgspec.structs.replace(STORY_SETTINGS, slice_ms=60_000, chunk_ms=2_000))
    capture = await tab.record(0.5)
    tab.window.capture_slice(b"a word")
    await asyncio.sleep(1.0)
    assert tab.view.recordings[0].chunks_sealed == 0
    await asyncio.sleep(2.0)
    assert world.server.content_of(capture.recording_id) == b"a word"


@story
async def test_a_lost_device_starts_a_new_run_and_no_chunk_spans_two(world: World) -> None:
    tab = world.open_tab()
    capture = await tab.record(2.2)
    tab.window.end_run(is_requested=False)
    await asyncio.sleep(2.0)
    tab.window.capture_error = "NotFoundError"
    tab.window.end_run(is_requested=False)
    await asyncio.sleep(10.0)
    await tab.stop()
    await everything_complete(tab)
    assert world.server.content_of(capture.recording_id) == capture.content
    (holding,) = world.server.ledger.values()
    assert holding.certificate is not None
    assert [run.run for run in holding.certificate.manifest.runs] == [0, 1, 2]
    for run in range(3):
        size = sum(len(each.content) for each in capture.slices if each.run == run)
        assert sum(row.size for row in holding.rows.values() if row.run == run) == size


@story
async def test_a_refused_permission_leaves_no_recording_behind(world: World) -> None:
    tab = world.open_tab()
    await tab.ready()
    tab.window.capture_error = "NotAllowedError"
    tab.window.say(Record(source="microphone"))
    await asyncio.sleep(3.0)
    assert tab.view.recordings == []
    assert tab.view.state in ("ready", "idle")
    assert len(world.disk.folders) == 1, "only the next recording's folder"
    capture = await tab.record(1.0)
    await tab.stop()
    await everything_complete(tab)
    assert world.server.content_of(capture.recording_id) == capture.content
    assert len(world.server.ledger) == 1


@story
async def test_ending_a_screen_share_by_the_browsers_button_is_stop(world: World) -> None:
    tab = world.open_tab()
    capture = await tab.record(2.0, source="screen")
    tab.window.end_run(is_requested=False)
    await everything_complete(tab)
    assert capture.run == 0
    assert world.server.content_of(capture.recording_id) == capture.content


@story
async def test_record_pressed_before_the_folder_is_ready_records_as_soon_as_it_is(world: World) -> None:
    tab = world.open_tab()
    for _ in range(3):
        tab.window.say(Record(source="camera"))
        await tab.until(lambda view: view.state == "recording" and tab.window.live_id is not None)
        await asyncio.sleep(1.5)
        tab.window.say(Stop())
        await tab.until(lambda view: view.state == "idle")
    await everything_complete(tab, 3)
    assert len(tab.window.captures) == 3


@story
async def test_a_slice_larger_than_a_chunk_is_split_and_arrives_whole(world: World) -> None:
    tab = world.open_tab()
    capture = await tab.record(1.0)
    tab.window.capture_slice(world.chance.randbytes(1_000_000))
    await asyncio.sleep(1.0)
    await tab.stop()
    await everything_complete(tab)
    assert world.server.content_of(capture.recording_id) == capture.content
    (holding,) = world.server.ledger.values()
    assert max(row.size for row in holding.rows.values()) == STORY_SETTINGS.chunk_bytes


@story
async def test_a_deleted_recording_is_gone_here_at_once_and_on_the_server(world: World) -> None:
    tab = world.open_tab()
    capture = await tab.record(2.0)
    await tab.stop()
    await everything_complete(tab)
    tab.window.say(DeleteRecording(recording_id=capture.recording_id))
    await tab.until(lambda view: view.recordings == [])
    assert capture.recording_id not in world.disk.folders
    assert [str(each) for each in world.server.deleted] == [capture.recording_id]
    assert world.server.bucket == {}


@story
async def test_a_deletion_outlives_the_tab_and_the_outage_in_which_it_was_asked_for(world: World) -> None:
    tab = world.open_tab()
    capture = await tab.record(2.0)
    await tab.stop()
    world.server.is_away = True
    tab.window.say(DeleteRecording(recording_id=capture.recording_id))
    await tab.until(lambda view: view.recordings[0].state == "deleting")
    await asyncio.sleep(5.0)
    assert not any(name.startswith("slices") for name in world.disk.folders[capture.recording_id])
    await tab.kill()
    again = world.open_tab()
    await asyncio.sleep(30)
    assert [row.state for row in again.view.recordings] == ["deleting"]
    world.server.is_away = False
    again.window.say(Nudge(is_online=True))
    await again.until(lambda view: view.recordings == [])
    assert [str(each) for each in world.server.deleted] == [capture.recording_id]
    assert capture.recording_id not in world.disk.folders
    assert world.server.content_of(capture.recording_id) == b""


@story
async def test_deleting_the_live_recording_stops_it(world: World) -> None:
    tab = world.open_tab()
    capture = await tab.record(2.0)
    tab.window.say(DeleteRecording(recording_id=capture.recording_id))
    await tab.until(lambda view: view.recordings == [])
    assert not capture.is_running
    assert tab.window.live_id is None
    second = await tab.record(1.0)
    await tab.stop()
    await everything_complete(tab)
    assert world.server.content_of(second.recording_id) == second.content


@story
async def test_a_clock_that_jumps_hurts_nothing(world: World) -> None:
    tab = world.open_tab()
    capture = await tab.record(2.0)
    world.clock.unix_offset_ms -= 86_400_000 * 365
    await asyncio.sleep(2.0)
    world.clock.unix_offset_ms += 86_400_000 * 800
    await asyncio.sleep(2.0)
    await tab.stop()
    await everything_complete(tab)
    assert world.server.content_of(capture.recording_id) == capture.content


@story
async def test_a_recording_whose_bytes_are_cleared_here_is_still_deleted_on_the_server(world: World) -> None:
    tab = world.open_tab(msgspec.structs.replace(STORY_SETTINGS, keep_verified_s=0.0))
    capture = await tab.record(2.0)
    await tab.stop()
    await everything_complete(tab)
    await tab.until(lambda view: view.recordings[0].chunks_cleared == view.recordings[0].chunks_sealed)
    await asyncio.sleep(5.0)
    assert capture.recording_id not in world.disk.folders
    world.server.is_away = True
    tab.window.say(DeleteRecording(recording_id=capture.recording_id))
    await tab.until(lambda view: view.recordings[0].state == "deleting")
    await asyncio.sleep(5.0)
    await tab.kill()
    world.server.is_away = False
    again = world.open_tab()
    await again.ready()
    await again.until(lambda view: view.recordings == [] and not view.is_recovering)
    await asyncio.sleep(30.0)
    assert [str(each) for each in world.server.deleted] == [capture.recording_id]
    assert capture.recording_id not in world.disk.folders


@story
async def test_a_recording_deleted_while_its_cleared_folder_goes_is_deleted_on_the_server(world: World) -> None:
    for step in range(40):
        each = World(step)
        each.server.latency_s = 0.03
        tab = each.open_tab(msgspec.structs.replace(STORY_SETTINGS, keep_verified_s=0.0, verify_after_s=0.0))
        capture = await tab.record(1.0)
        await tab.stop()
        await asyncio.sleep(step * 0.01)
        tab.window.say(DeleteRecording(recording_id=capture.recording_id))
        await tab.until(lambda view: view.recordings == [])
        await asyncio.sleep(5.0)
        assert [str(key) for key in each.server.deleted] == [capture.recording_id], step
        assert capture.recording_id not in each.disk.folders
        await tab.kill()


@story
async def test_a_folder_that_is_held_elsewhere_is_removed_later(world: World) -> None:
    tab = world.open_tab()
    capture = await tab.record(2.0)
    dead = tab.worker
    await tab.kill(do_handles_linger=True)
    again = world.open_tab()
    await everything_complete(again)
    again.window.say(DeleteRecording(recording_id=capture.recording_id))
    await asyncio.sleep(60.0)
    assert capture.recording_id in world.disk.folders
    assert 1 <= sum(method == "DELETE" for method, _, _ in world.server.log) < 100
    world.disk.release_handles(dead)
    await again.until(lambda view: view.recordings == [])
    assert capture.recording_id not in world.disk.folders
