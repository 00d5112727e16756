"""Tabs, browsers and machines die; what was shown as saved is found in the bucket afterwards."""

import asyncio
from uuid import UUID

from client_py.core.log_writer import JOURNALS_OPEN_MAX
from client_py.messages import FreeSpace, Stop
from client_py.testing.world import World
from tests.client.stories import check_stored, everything_complete, story


def ending_of(world: World, recording_id: str) -> str:
    """How the certified manifest says that the recording ended."""
    certificate = world.server.ledger[UUID(recording_id)].certificate
    assert certificate is not None
    return str(certificate.manifest.ended)


@story
async def test_a_recording_reaches_the_bucket_and_gets_its_certificate(world: World) -> None:
    tab = world.open_tab()
    capture = await tab.record(5.0)
    await tab.stop()
    view = await everything_complete(tab)
    assert world.server.content_of(capture.recording_id) == capture.content
    row = view.recordings[0]
    assert row.slices_captured == row.slices_durable == len(capture.slices)
    assert row.chunks_sealed == row.chunks_acknowledged == row.chunks_verified > 5
    assert row.bytes_captured == len(capture.content)
    assert view.current == row
    assert ending_of(world, capture.recording_id) == "stopped"


@story
async def test_everything_saved_reaches_the_bucket_after_the_tab_dies_while_recording(world: World) -> None:
    tab = world.open_tab()
    capture = await tab.record(3.3)
    await tab.kill()
    assert capture.saved > 20
    again = world.open_tab()
    await everything_complete(again)
    check_stored(world, capture)
    assert not again.view.is_recovering
    assert ending_of(world, capture.recording_id) == "recovered"


@story
async def test_everything_saved_survives_a_loss_of_power(world: World) -> None:
    tab = world.open_tab()
    capture = await tab.record(3.3)
    await tab.kill()
    world.disk.lose_power(world.chance)
    await everything_complete(world.open_tab())
    check_stored(world, capture)


@story
async def test_a_tab_that_dies_again_and_again_while_recovering_loses_nothing(world: World) -> None:
    world.server.latency_s = 0.3
    tab = world.open_tab()
    capture = await tab.record(5.0)
    await tab.kill()
    for life_s in (0.0, 0.01, 0.1, 0.4, 0.9, 1.5):
        again = world.open_tab()
        await asyncio.sleep(life_s)
        await again.kill()
    await everything_complete(world.open_tab())
    check_stored(world, capture)


@story
async def test_a_reload_beside_a_lingering_handle_recovers_all_the_same(world: World) -> None:
    tab = world.open_tab()
    capture = await tab.record(2.0)
    dead_worker = tab.worker
    await tab.kill(do_handles_linger=True)
    again = world.open_tab()
    await everything_complete(again)
    check_stored(world, capture)
    world.disk.release_handles(dead_worker)


@story
async def test_many_recordings_of_dead_tabs_are_recovered_beside_a_new_one(world: World) -> None:
    world.server.is_away = True
    captures = []
    for _ in range(5):
        tab = world.open_tab()
        captures.append(await tab.record(1.0))
        await tab.kill()
    world.server.is_away = False
    last = world.open_tab()
    captures.append(await last.record(2.0))
    await last.stop()
    await everything_complete(last, 6)
    for capture in captures:
        check_stored(world, capture)


@story
async def test_recordings_without_number_keep_a_bounded_number_of_files_open(world: World) -> None:
    world.server.is_away = True
    tab = world.open_tab()
    captures = []
    for _ in range(JOURNALS_OPEN_MAX + 6):
        captures.append(await tab.record(0.1))
        await tab.stop()
    held = [file for files in world.disk.folders.values() for file in files.values() if file.holder is not None]
    journals, of_the_next = JOURNALS_OPEN_MAX, 2
    assert len(held) <= journals * 2 + of_the_next, "each with the segment of the worker that captured it"
    world.server.is_away = False
    await everything_complete(tab, len(captures))
    for capture in captures:
        check_stored(world, capture)


@story
async def test_segments_whose_chunks_are_all_cleared_are_removed_again_at_start(world: World) -> None:
    # Given a tab that dies when `cleared` is flushed and before the segments are gone
    tab = world.open_tab()
    capture = await tab.record(90.0)
    world.disk.keeps_everything = True
    tab.window.say(FreeSpace())
    await tab.until(lambda view: view.recordings[0].chunks_cleared > 50)
    await tab.kill()
    files = world.disk.folders[capture.recording_id]
    assert {"slices-1-0", "slices-1-1"} <= set(files)

    # Then the next page removes them, long before the rest may go
    world.disk.keeps_everything = False
    again = world.open_tab()
    await everything_complete(again)
    assert not {"slices-1-0", "slices-1-1"} & set(files)
    assert again.view.recordings[0].bytes_local > 0
    check_stored(world, capture)


@story
async def test_a_task_that_fails_ends_the_loop_loudly(world: World) -> None:
    tab = world.open_tab()
    await tab.ready()

    async def fail(*_: object) -> object:
        raise ZeroDivisionError("made to fail")

    world.server.exchange = fail  # type: ignore[assignment,method-assign]
    await tab.record(10.0)
    assert isinstance(tab.failure, ZeroDivisionError)
    assert "ZeroDivisionError: made to fail" in tab.window.failures[0].message


@story
async def test_a_replaced_worker_goes_on_with_the_windows_recording(world: World) -> None:
    tab = world.open_tab()
    capture = await tab.record(2.0)
    for _ in range(3):
        await tab.kill_worker()
        await asyncio.sleep(2.0)  # the recorder never stops
        tab.start_worker()
        await asyncio.sleep(2.0)
    await tab.stop()
    await everything_complete(tab)
    assert len(capture.slices) > 120
    assert world.server.content_of(capture.recording_id) == capture.content
    assert list(tab.window.captures) == [capture.recording_id]


@story
async def test_stop_while_no_worker_lives_is_carried_out_by_the_next(world: World) -> None:
    tab = world.open_tab()
    capture = await tab.record(2.0)
    await tab.kill_worker()
    tab.window.end_run(is_requested=True)
    tab.start_worker()
    await everything_complete(tab)
    assert world.server.content_of(capture.recording_id) == capture.content
    assert tab.window.live_id is None


@story
async def test_a_zombie_worker_is_neither_heard_nor_able_to_write(world: World) -> None:
    tab = world.open_tab()
    capture = await tab.record(2.0)
    zombie = tab.worker
    await tab.kill_worker(do_handles_linger=True)
    tab.start_worker()
    await asyncio.sleep(2.0)
    world.disk.release_handles(zombie)
    tab.window.say(Stop())
    await everything_complete(tab)
    assert world.server.content_of(capture.recording_id) == capture.content
