"""The disk is full, fails, is refused or holds what nobody can read: nothing is silent, nothing saved is lost."""

import asyncio

from client_py.core.frames import FileKind, Frame, encode_file_header, read_frames
from client_py.core.journal import Sealed, decode_record
from client_py.core.room import BALLAST_BYTES
from client_py.testing.world import World
from tests.client.stories import check_stored, everything_complete, story


@story
async def test_a_full_disk_is_told_and_recording_goes_on_in_the_window(world: World) -> None:
    world.server.is_away = True
    tab = world.open_tab()
    capture = await tab.record(2.0)
    world.disk.capacity_bytes = world.disk.used_bytes + 10_000
    await asyncio.sleep(10.0)
    saved = capture.saved
    assert "full" in tab.view.alarm
    assert tab.view.state == "recording"
    assert saved < len(capture.slices) - 50, "what does not fit is not shown as saved"
    assert len(capture.held) == len(capture.slices) - saved - 1, "the window holds exactly the rest"
    world.disk.capacity_bytes = None
    await asyncio.sleep(5.0)
    assert tab.view.alarm == ""
    assert capture.saved > len(capture.slices) - 5
    await tab.stop()
    world.server.is_away = False
    await everything_complete(tab)
    assert world.server.content_of(capture.recording_id) == capture.content


@story
async def test_what_is_durable_when_the_disk_fills_up_is_sealed_and_sent(world: World) -> None:
    tab = world.open_tab()
    capture = await tab.record(2.0)
    world.disk.capacity_bytes = world.disk.used_bytes + 10_000
    await asyncio.sleep(10.0)
    assert world.server.content_of(capture.recording_id) == capture.saved_content
    world.disk.capacity_bytes = None
    await tab.stop()
    await everything_complete(tab)
    assert world.server.content_of(capture.recording_id) == capture.content


@story
async def test_verified_bytes_are_given_up_when_their_room_is_needed(world: World) -> None:
    tab = world.open_tab()
    first = await tab.record(60.0)
    await tab.stop()
    await everything_complete(tab)
    world.disk.capacity_bytes = world.disk.used_bytes + 20_000
    second = await tab.record(30.0)
    assert first.recording_id not in world.disk.folders
    assert second.saved > len(second.slices) - 40, "the freed room takes the new slices"
    await tab.stop()
    await everything_complete(tab, 2)
    assert world.server.content_of(second.recording_id) == second.content


@story
async def test_the_oldest_second_chance_is_given_up_first(world: World) -> None:
    tab = world.open_tab()
    oldest = await tab.record(20.0)
    await tab.stop()
    older = await tab.record(20.0)
    await tab.stop()
    await everything_complete(tab, 2)
    world.disk.capacity_bytes = world.disk.used_bytes + 20_000
    await tab.record(10.0)
    assert oldest.recording_id not in world.disk.folders
    assert older.recording_id in world.disk.folders
    await tab.stop()
    await everything_complete(tab, 3)


@story
async def test_a_tab_that_dies_on_a_full_disk_loses_nothing_that_was_saved(world: World) -> None:
    world.server.is_away = True
    tab = world.open_tab()
    capture = await tab.record(2.0)
    world.disk.capacity_bytes = world.disk.used_bytes + 10_000
    await asyncio.sleep(5.0)
    await tab.kill()
    world.server.is_away = False
    again = world.open_tab()
    await again.until(
        lambda view: bool(view.recordings) and view.recordings[0].chunks_acknowledged > 3, what="sent from a full disk"
    )
    world.disk.capacity_bytes = None
    await everything_complete(again)
    check_stored(world, capture)


@story
async def test_a_disk_that_is_full_at_page_load_lets_nobody_record_and_sends_what_is_there(world: World) -> None:
    world.server.is_away = True
    tab = world.open_tab()
    capture = await tab.record(2.0)
    await tab.kill()
    world.server.is_away = False
    world.disk.capacity_bytes = world.disk.used_bytes
    again = world.open_tab()
    view = await again.until(lambda view: view.alarm != "")
    assert view.state == "failed"
    assert "room" in view.alarm
    await asyncio.sleep(30)
    assert world.server.content_of(capture.recording_id)
    world.disk.capacity_bytes = None
    await again.ready()
    await everything_complete(again)
    check_stored(world, capture)


@story
async def test_the_ballast_is_made_before_record_and_goes_with_its_recording(world: World) -> None:
    tab = world.open_tab()
    await tab.ready()
    (folder,) = world.disk.folders
    assert len(world.disk.folders[folder]["ballast"].content) == BALLAST_BYTES
    await tab.record(1.0)
    await tab.stop()
    await everything_complete(tab)
    await asyncio.sleep(5)
    assert sum("ballast" in files for files in world.disk.folders.values()) == 1


@story
async def test_the_next_segment_is_made_before_it_is_needed(world: World) -> None:
    """A name made in the moment of need could be the one that a loss of power takes."""
    tab = world.open_tab()
    capture = await tab.record(0.5)
    files = world.disk.folders[capture.recording_id]
    while "slices-1-1" not in files:
        await asyncio.sleep(0.1)
    assert world.segment_bytes // 2 <= len(files["slices-1-0"].content) < world.segment_bytes
    await tab.stop()
    await everything_complete(tab)
    check_stored(world, capture)


@story
async def test_the_browsers_answer_about_eviction_is_shown_before_anybody_records(world: World) -> None:
    tab = world.open_tab()
    await tab.ready()
    assert tab.view.storage == "This browser keeps what is saved here until it is cleared."
    world.disk.is_evictable = True
    again = world.open_tab()
    await again.ready()
    assert "may clear what is saved here when the device runs out of room" in again.view.storage
    assert "a private window clears it when it is closed" in again.view.storage


@story
async def test_a_segment_that_fails_is_left_behind_and_the_recording_goes_on_in_a_new_epoch(world: World) -> None:
    tab = world.open_tab()
    capture = await tab.record(2.0)
    world.disk.failing_names = {f"{capture.recording_id}/slices-1-0"}
    await asyncio.sleep(5.0)
    await tab.stop()
    await everything_complete(tab)
    assert world.server.content_of(capture.recording_id) == capture.content
    assert "journal-2" in world.disk.folders[capture.recording_id]


@story
async def test_a_journal_that_fails_is_left_behind_too(world: World) -> None:
    tab = world.open_tab()
    capture = await tab.record(2.0)
    world.disk.failing_names = {f"{capture.recording_id}/journal-1"}
    await asyncio.sleep(5.0)
    await tab.stop()
    await everything_complete(tab)
    assert world.server.content_of(capture.recording_id) == capture.content


@story
async def test_blocked_storage_is_said_before_anybody_records(world: World) -> None:
    world.disk.is_blocked = True
    tab = world.open_tab()
    view = await tab.until(lambda view: view.state == "failed")
    assert "private window" in view.alarm


@story
async def test_a_log_of_a_newer_version_is_left_untouched_with_a_word(world: World) -> None:
    recording_id = "019c1c38-a400-7876-b690-8cbeb1799ab8"
    header = bytearray(encode_file_header(FileKind.JOURNAL))
    header[8:10] = (2).to_bytes(2, "big")
    header[12:16] = __import__("zlib").crc32(bytes(header[:12])).to_bytes(4, "big")
    maker = world.open_tab()
    await maker.ready()
    await maker.kill()
    (files,) = world.disk.folders.values()
    template = files["journal-1"]
    template.content = bytearray(header)
    world.disk.folders = {recording_id: {"journal-1": template}}  # type: ignore[misc]
    tab = world.open_tab()
    view = await tab.until(lambda view: "version 2" in view.alarm)
    assert view.state == "ready"
    assert bytes(world.disk.folders[recording_id]["journal-1"].content) == bytes(header)


@story
async def test_junk_in_the_storage_is_neither_read_nor_removed(world: World) -> None:
    world.disk.folders["somebody-elses"] = {}
    world.disk.folders["019C1C38-A400-7876-B690-8CBEB1799AB8"] = {}
    tab = world.open_tab()
    await tab.ready()
    await asyncio.sleep(5)
    assert "somebody-elses" in world.disk.folders
    assert "019C1C38-A400-7876-B690-8CBEB1799AB8" in world.disk.folders


@story
async def test_folders_of_page_loads_without_a_recording_are_removed(world: World) -> None:
    for _ in range(3):
        tab = world.open_tab()
        await tab.ready()
        await tab.kill()
    tab = world.open_tab()
    await tab.ready()
    await asyncio.sleep(5)
    assert len(world.disk.folders) == 1
    assert tab.view.recordings == []


@story
async def test_a_damaged_slice_is_told_and_the_others_arrive(world: World) -> None:
    world.server.is_away = True
    tab = world.open_tab()
    capture = await tab.record(0.45)
    await tab.kill()
    content = world.disk.folders[capture.recording_id]["slices-1-0"].content
    middle = content.find(capture.slices[1].content) + 5
    content[middle] ^= 0x40
    world.server.is_away = False
    again = world.open_tab()
    await everything_complete(again)
    expected = b"".join(each.content for each in capture.slices[: capture.saved + 1] if each.slice_number != 1)
    assert world.server.content_of(capture.recording_id) == expected
    assert again.view.recordings[0].problem.startswith("1 of ")


@story
async def test_a_damaged_seal_record_loses_no_slice_and_the_person_is_told_so(world: World) -> None:
    world.server.is_away = True
    tab = world.open_tab()
    capture = await tab.record(3.0)
    await tab.kill()
    name = "journal-1"
    content = world.disk.folders[capture.recording_id][name].content
    seals = [
        frame
        for frame in read_frames(f"{capture.recording_id}/{name}", bytes(content))
        if isinstance(frame, Frame) and isinstance(decode_record(frame.body), Sealed)
    ]
    assert len(seals) >= 3
    content[seals[1].offset + 5] ^= 0x40
    world.server.is_away = False
    again = world.open_tab()
    view = await everything_complete(again)
    stored = world.server.content_of(capture.recording_id)
    assert stored.startswith(capture.saved_content) and capture.content.startswith(stored)
    expected = "The notes about this recording were damaged on this device; no slice of it was lost by that."
    assert view.recordings[0].problem == expected


@story
async def test_a_sealed_chunk_whose_bytes_were_damaged_is_parked_and_the_others_arrive(world: World) -> None:
    world.server.is_away = True
    tab = world.open_tab()
    capture = await tab.record(3.0)
    await tab.stop()
    content = world.disk.folders[capture.recording_id]["slices-1-0"].content
    content[content.find(capture.slices[0].content)] ^= 1
    world.server.is_away = False
    view = await tab.until(lambda view: view.recordings[0].state == "parked")
    await asyncio.sleep(60)
    view = tab.view
    assert view.recordings[0].chunks_parked == 1
    assert view.recordings[0].chunks_acknowledged == view.recordings[0].chunks_sealed - 1
    assert "damaged" in view.recordings[0].problem


@story
async def test_a_log_that_cannot_be_read_now_is_read_later(world: World) -> None:
    tab = world.open_tab()
    capture = await tab.record(2.0)
    await tab.kill()
    world.disk.failing_reads = {f"{capture.recording_id}/journal-1"}
    again = world.open_tab()
    view = await again.until(lambda view: "unreadable" in view.alarm)
    assert view.state == "ready"
    world.disk.failing_reads = set()
    await everything_complete(again)
    check_stored(world, capture)
    assert again.view.alarm == ""


@story
async def test_the_windows_own_recording_waits_in_the_window_until_its_log_can_be_read(world: World) -> None:
    tab = world.open_tab()
    capture = await tab.record(2.0)
    await tab.kill_worker()
    world.disk.failing_reads = {f"{capture.recording_id}/slices-1-0"}
    tab.start_worker()
    await asyncio.sleep(10.0)
    assert tab.window.live_id == capture.recording_id
    assert len(capture.held) > 90
    world.disk.failing_reads = set()
    await asyncio.sleep(3.0)
    await tab.stop()
    await everything_complete(tab)
    assert world.server.content_of(capture.recording_id) == capture.content


@story
async def test_a_read_that_fails_while_sending_is_tried_again(world: World) -> None:
    tab = world.open_tab()
    await tab.ready()
    (folder,) = world.disk.folders
    world.disk.failing_reads = {f"{folder}/slices-1-0"}
    capture = await tab.record(3.0)
    await tab.stop()
    await asyncio.sleep(20.0)
    assert (tab.view.recordings[0].chunks_acknowledged, tab.view.recordings[0].chunks_parked) == (0, 0)
    world.disk.failing_reads = set()
    await everything_complete(tab)
    assert world.server.content_of(capture.recording_id) == capture.content
