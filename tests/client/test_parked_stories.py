"""Chunks that the server refuses for good: kept, tried again when the person says so, and handed over as a file."""

import asyncio
from uuid import UUID

import msgspec

from client_py.messages import FreeSpace, RetryParked
from client_py.testing.fake_window import Capture
from client_py.testing.world import Tab, World
from tests.client.stories import everything_complete, story


async def record_and_park_chunk_1(world: World) -> tuple[Tab, Capture]:
    """A closed recording whose chunk 1 the server holds with another content."""
    tab = world.open_tab()
    capture = await tab.record(3.0)
    world.server.is_away = True
    await asyncio.sleep(2.0)
    await tab.stop()
    rows = world.server.ledger[UUID(capture.recording_id)].rows
    rows[1] = msgspec.structs.replace(rows[1], sha256="0" * 64)
    await tab.kill()
    world.server.is_away = False
    again = world.open_tab()
    view = await again.until(lambda view: bool(view.recordings) and view.recordings[0].state == "parked")
    assert view.recordings[0].chunks_parked == 1
    await again.until(lambda view: view.recordings[0].chunks_acknowledged == view.recordings[0].chunks_sealed - 1)
    return again, capture


@story
async def test_a_parked_chunk_that_is_tried_again_completes_its_recording(world: World) -> None:
    tab, capture = await record_and_park_chunk_1(world)
    # The operator has settled it; nothing happens by itself, and one press of a button is enough.
    del world.server.ledger[UUID(capture.recording_id)].rows[1]
    await asyncio.sleep(600)
    assert tab.view.recordings[0].chunks_parked == 1
    tab.window.say(RetryParked(recording_id=capture.recording_id))
    view = await everything_complete(tab)
    assert view.recordings[0].problem == ""
    assert world.server.content_of(capture.recording_id) == capture.content


@story
async def test_a_parked_chunk_that_is_refused_again_is_parked_again(world: World) -> None:
    tab, capture = await record_and_park_chunk_1(world)
    for _ in range(3):
        tab.window.say(RetryParked(recording_id=capture.recording_id))
        await asyncio.sleep(10)
        assert tab.view.recordings[0].chunks_parked == 1
        assert "chunk 1" in tab.view.recordings[0].problem
    assert (await tab.until(lambda view: True)).recordings[0].bytes_local == len(capture.content)


@story
async def test_everything_held_of_a_parked_recording_can_be_downloaded_chunk_by_chunk(world: World) -> None:
    tab, capture = await record_and_park_chunk_1(world)
    tab.window.download(capture.recording_id)
    await tab.until(lambda _: tab.window.is_download_over)
    parts = tab.window.downloads[capture.recording_id]
    assert b"".join(part.content for part in parts) == capture.content
    assert [part.chunk_index for part in parts] == list(range(len(parts)))
    assert {(part.run, part.mime_type, part.is_sound) for part in parts} == {(0, "audio/webm;codecs=opus", True)}


@story
async def test_a_download_gives_damaged_bytes_as_they_are_and_says_so(world: World) -> None:
    tab, capture = await record_and_park_chunk_1(world)
    segment = next(name for name in world.disk.folders[capture.recording_id] if name.startswith("slices"))
    content = world.disk.folders[capture.recording_id][segment].content
    content[content.find(capture.slices[0].content)] ^= 1
    tab.window.download(capture.recording_id)
    await tab.until(lambda _: tab.window.is_download_over)
    parts = tab.window.downloads[capture.recording_id]
    assert [part.is_sound for part in parts] == [False] + [True] * (len(parts) - 1)
    assert sum(len(part.content) for part in parts) == len(capture.content)


@story
async def test_a_download_of_what_is_not_here_ends_at_once(world: World) -> None:
    tab = world.open_tab()
    capture = await tab.record(2.0)
    await tab.stop()
    await everything_complete(tab)
    tab.window.say(FreeSpace())
    await tab.until(lambda view: view.recordings[0].bytes_local == 0)
    for recording_id in (capture.recording_id, "019c1c38-a400-7876-b690-8cbeb1799ab8"):
        tab.window.download(recording_id)
        await tab.until(lambda _: tab.window.is_download_over)
        assert tab.window.downloads[recording_id] == []


@story
async def test_a_download_tells_when_the_bytes_cannot_be_read(world: World) -> None:
    tab, capture = await record_and_park_chunk_1(world)
    world.disk.failing_reads = {f"{capture.recording_id}/{name}" for name in world.disk.folders[capture.recording_id]}
    tab.window.download(capture.recording_id)
    await tab.until(lambda _: tab.window.is_download_over)
    assert tab.window.downloads[capture.recording_id] == []
    assert "unreadable" in tab.window.download_problem
