"""The list beyond this device: pages of the server's list, titles, and deleting what only the server holds."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from client_py.core.listing import PAGE_ROWS
from client_py.messages import DeleteRecording, ListMore, Pause, Rename, Resume, SearchList
from client_py.testing.memory_holdfast import Holding
from client_py.testing.world import STORY_SETTINGS, Tab, World
from protocol.ids import make_uuid7
from protocol.states import MediaState
from protocol.wire import Media, RecordingRegistration
from tests.client.stories import all_are, everything_complete, story


def put_on_server(world: World, count: int) -> list[str]:
    """Recordings of other devices, oldest first; their ids."""
    ids = []
    for number in range(count):
        recording_id = make_uuid7(1_000 + number, bytes(9) + bytes([number % 256]))
        registration = RecordingRegistration(
            recording_id=recording_id,
            mime_type="video/webm",
            started_at=datetime.fromtimestamp(1 + number, UTC),
            title=f"Number {number}",
        )
        world.server.ledger[recording_id] = Holding(registration)
        ids.append(str(recording_id))
    return ids


async def listed(tab: Tab, count: int) -> None:
    await tab.until(lambda _: len(tab.window.listed) >= count, what=f"{count} rows of the server")


def has_more(tab: Tab) -> bool:
    return tab.window.has_more_listed


def asked_for_lists(world: World) -> int:
    return sum(1 for method, path, _ in world.server.log if method == "GET" and path.startswith("/api/recordings?"))


@story
async def test_the_servers_list_comes_a_page_at_a_time_and_only_when_it_is_wanted(world: World) -> None:
    ids = put_on_server(world, PAGE_ROWS + 20)
    tab = world.open_tab()
    await tab.ready()
    await asyncio.sleep(5.0)
    assert asked_for_lists(world) == 0
    tab.window.say(ListMore())
    await listed(tab, PAGE_ROWS)
    await asyncio.sleep(5.0)
    assert list(tab.window.listed) == ids[: -PAGE_ROWS - 1 : -1], "newest first"
    has_more = [tab.window.has_more_listed]
    tab.window.say(ListMore())
    await listed(tab, PAGE_ROWS + 20)
    has_more.append(tab.window.has_more_listed)
    assert has_more == [True, False]
    tab.window.say(ListMore())
    await asyncio.sleep(5.0)
    assert asked_for_lists(world) == 2
    row = tab.window.listed[ids[7]]
    assert (row.title, row.state, row.started_at_ms, row.play) == ("Number 7", "elsewhere", 8_000, "")


@story
async def test_what_is_sought_is_asked_of_the_server_first_however_old_it_is_and_the_list_goes_on(
    world: World,
) -> None:
    ids = put_on_server(world, 2 * PAGE_ROWS + 20)
    tab = world.open_tab()
    await tab.ready()
    tab.window.say(SearchList(query="NUMBER 1"))  # 1, 10 to 19, 100 to 199: more than a page
    await listed(tab, PAGE_ROWS)
    assert asked_for_lists(world) == 1
    tab.window.say(ListMore())
    await listed(tab, 111)
    sought = {ids[number] for number in (1, *range(10, 20), *range(100, 200))}
    assert set(tab.window.listed) == sought
    assert asked_for_lists(world) == 2
    await asyncio.sleep(5.0)
    assert asked_for_lists(world) == 2, "nothing more is asked for"
    tab.window.say(SearchList(query="no & such=1"))
    await asyncio.sleep(5.0)
    assert asked_for_lists(world) == 3
    assert tab.window.has_more_listed, "the words may be those of a row that the server does not find by them"
    tab.window.say(ListMore())
    await tab.until(lambda _: ids[-1] in tab.window.listed, what="the first page of the list itself")
    assert asked_for_lists(world) == 4
    tab.window.say(SearchList(query=""))
    await asyncio.sleep(5.0)
    assert asked_for_lists(world) == 4


@story
async def test_what_is_sought_by_state_and_time_alone_is_all_that_is_listed(world: World) -> None:
    ids = put_on_server(world, 2 * PAGE_ROWS)
    tab = world.open_tab()
    await tab.ready()
    times = {"started_from_ms": 11_000, "started_before_ms": 11_000 + (PAGE_ROWS + 5) * 1000}
    tab.window.say(SearchList(query="", states=["open", "stalled"], **times))
    await listed(tab, PAGE_ROWS)
    assert has_more(tab)
    tab.window.say(ListMore())
    await listed(tab, PAGE_ROWS + 5)
    assert set(tab.window.listed) == set(ids[10 : 10 + PAGE_ROWS + 5])
    assert not has_more(tab), "the rest of the list fits it no better"
    tab.window.say(ListMore())
    await asyncio.sleep(5.0)
    assert asked_for_lists(world) == 2
    tab.window.say(SearchList(query="", states=["complete"], started_from_ms=-1, started_before_ms=10**18))
    await asyncio.sleep(5.0)
    assert (asked_for_lists(world), has_more(tab)) == (3, False)
    tab.window.has_more_listed = True
    tab.window.say(SearchList(query=" ", states=["complete"], started_from_ms=0, started_before_ms=10**18))
    await tab.until(lambda _: not has_more(tab), what="an answer to the same search as before")
    tab.window.say(SearchList(query=""))
    await tab.until(lambda _: has_more(tab), what="the whole list again")


@story
async def test_a_search_outlives_a_server_that_is_away(world: World) -> None:
    ids = put_on_server(world, PAGE_ROWS + 20)
    tab = world.open_tab()
    await tab.ready()
    world.server.is_away = True
    tab.window.say(SearchList(query=ids[3]))
    await tab.until(lambda view: view.server != "", what="the words about the server")
    world.server.is_away = False
    await listed(tab, 1)
    assert list(tab.window.listed) == [ids[3]]


@story
async def test_a_list_that_cannot_be_read_is_asked_for_until_it_comes_and_holds_up_no_upload(world: World) -> None:
    put_on_server(world, 3)
    tab = world.open_tab()
    await tab.ready()
    world.server.is_away = True
    tab.window.say(ListMore())
    await tab.until(lambda view: view.server != "", what="the words about the server")
    capture = await tab.record(2.0)
    await tab.stop()
    world.server.is_away = False
    await listed(tab, 3)
    await everything_complete(tab)
    assert world.server.content_of(capture.recording_id) == capture.content


@story
async def test_a_title_reaches_the_server_and_outlives_the_tab_that_gave_it(world: World) -> None:
    tab = world.open_tab()
    world.server.is_away = True
    capture = await tab.record(2.0)
    await tab.stop()
    tab.window.say(Rename(recording_id=capture.recording_id, title="  A first\ntake "))
    await tab.until(lambda view: view.recordings[0].title == "A firsttake", what="the title")
    await asyncio.sleep(1.0)
    await tab.kill()
    world.server.is_away = False
    tab = world.open_tab()
    await everything_complete(tab)
    await tab.until(lambda _: world.server.titles == {UUID(capture.recording_id): "A firsttake"}, what="the PATCH")
    assert tab.view.recordings[0].title == "A firsttake"
    # Once known it is not sent again, by no later tab.
    await asyncio.sleep(1.0)
    await tab.kill()
    world.server.titles.clear()
    tab = world.open_tab()
    await everything_complete(tab)
    await asyncio.sleep(30.0)
    assert world.server.titles == {}
    assert tab.view.recordings[0].title == "A firsttake"


@story
async def test_the_last_title_counts_and_an_empty_one_is_none(world: World) -> None:
    (recording_id,) = put_on_server(world, 1)
    tab = world.open_tab()
    await tab.ready()
    tab.window.say(ListMore())
    await listed(tab, 1)
    tab.window.say(Rename(recording_id=recording_id, title="First"))
    tab.window.say(Rename(recording_id=recording_id, title="Second"))
    tab.window.say(Rename(recording_id=recording_id, title=" \n "))
    await tab.until(lambda _: tab.window.listed[recording_id].title == "Second", what="the title")
    await asyncio.sleep(5.0)
    assert world.server.titles == {UUID(recording_id): "Second"}


@story
async def test_a_recording_that_only_the_server_holds_is_deleted_also_over_a_death(world: World) -> None:
    first, second = put_on_server(world, 2)
    tab = world.open_tab()
    await tab.ready()
    tab.window.say(ListMore())
    await listed(tab, 2)
    world.server.is_away = True
    tab.window.say(DeleteRecording(recording_id=first))
    await tab.until(all_are("deleting"), what="the deletion")
    assert list(tab.window.listed) == [second]
    await asyncio.sleep(2.0)
    await tab.kill()
    world.server.is_away = False
    tab = world.open_tab()
    await tab.until(lambda _: world.server.deleted == {UUID(first)}, what="DELETE")
    await tab.until(lambda view: view.recordings == [], what="nothing left of it")
    assert UUID(second) in world.server.ledger


@story
async def test_what_a_former_worker_listed_is_renamed_and_deleted_by_the_next(world: World) -> None:
    first, second = put_on_server(world, 2)
    unknown = str(make_uuid7(5_000, bytes(10)))
    tab = world.open_tab()
    tab.window.say(Rename(recording_id=unknown, title="Of nothing"))
    tab.window.say(Rename(recording_id=second, title="A second"))
    tab.window.say(DeleteRecording(recording_id=first))
    await tab.until(lambda _: world.server.deleted == {UUID(first)}, what="DELETE")
    await tab.until(lambda view: view.recordings == [], what="nothing left of it")
    await tab.until(lambda _: world.server.titles == {UUID(second): "A second"}, what="the PATCH")
    await asyncio.sleep(60.0)
    asked = [path for method, path, _ in world.server.log if method == "PATCH" and unknown in path]
    assert len(asked) == 1, "a recording that nobody knows has no title to wait for"


@story
async def test_what_is_asked_before_the_device_was_read_waits_until_its_recording_is_known(world: World) -> None:
    world.server.is_away = True
    tab = world.open_tab()
    kept = await tab.record(2.0)
    await tab.stop()
    deleted = await tab.record(2.0)
    await tab.stop()
    await tab.kill()
    tab = world.open_tab()
    tab.window.say(Rename(recording_id=kept.recording_id, title="Soon"))
    tab.window.download(kept.recording_id)
    tab.window.say(DeleteRecording(recording_id=deleted.recording_id))
    await tab.until(lambda _: tab.window.is_download_over, what="the bytes")
    assert b"".join(held.content for held in tab.window.downloads[kept.recording_id]) == kept.content
    await asyncio.sleep(2.0)
    await tab.kill()
    # Both are written down on the device: the next worker knows them.
    tab = world.open_tab()
    await tab.ready()
    await tab.until(lambda view: len(view.recordings) == 2, what="both")
    states = {row.recording_id: (row.state, row.title) for row in tab.view.recordings}
    assert states[kept.recording_id] == ("saved", "Soon")
    assert states[deleted.recording_id][0] == "deleting"


@story
async def test_what_is_being_deleted_is_not_listed_again_by_any_tab(world: World) -> None:
    """The server lists it until it hears of the deletion."""
    tab = world.open_tab()
    capture = await tab.record(2.0)
    await tab.stop()
    await everything_complete(tab)
    other = world.open_tab()
    for each in (tab, other):
        each.window.say(ListMore())
        await listed(each, 1)
    world.server.delete_takes_s = 20.0
    tab.window.say(DeleteRecording(recording_id=capture.recording_id))
    await tab.until(all_are("deleting"), what="the deletion")
    await tab.kill()
    tab = world.open_tab()
    await tab.ready()
    tab.window.say(ListMore())
    await tab.until(lambda _: world.server.deleted == {UUID(capture.recording_id)}, what="DELETE")
    for each in (tab, other):
        await each.until(lambda view: view.recordings == [], what="nothing of it")
        assert each.window.listed == {}
    await asyncio.sleep(30.0)  # the dead tab's request ends, too


@story
async def test_a_row_says_how_long_was_captured_and_where_it_can_be_played(world: World) -> None:
    tab = world.open_tab(msgspec.structs.replace(STORY_SETTINGS, keep_verified_s=20.0))
    capture = await tab.record(4.0)
    tab.window.say(Pause())
    await tab.until(lambda view: view.is_paused)
    await asyncio.sleep(60.0)
    tab.window.say(Resume())
    await asyncio.sleep(3.0)
    await tab.stop()
    view = await everything_complete(tab)
    assert 6_500 <= view.recordings[0].duration_ms <= 7_500
    assert view.recordings[0].play == "device"
    await tab.kill()
    tab = world.open_tab(msgspec.structs.replace(STORY_SETTINGS, keep_verified_s=20.0))
    view = await everything_complete(tab)
    assert 6_500 <= view.recordings[0].duration_ms <= 7_500, "the log knows it too"
    await asyncio.sleep(30.0)
    await tab.until(lambda view: view.recordings[0].bytes_local == 0, what="the local bytes to go")
    assert tab.view.recordings[0].play == "server"
    assert tab.view.recordings[0].recording_id == capture.recording_id


@story
async def test_the_finished_file_is_asked_about_after_the_certificate_until_it_is_there(world: World) -> None:
    tab = world.open_tab()
    await tab.ready()
    tab.window.say(ListMore())
    capture = await tab.record(2.0)
    await tab.stop()
    await everything_complete(tab)
    await asyncio.sleep(40.0)
    assert not tab.view.recordings[0].has_media
    media = Media(state=MediaState.WHOLE, mime_type="audio/webm", duration_s=2.125, has_peaks=True)
    world.server.media[UUID(capture.recording_id)] = media
    view = await tab.until(lambda view: view.recordings[0].has_media, what="the finished file")
    assert (view.recordings[0].duration_ms, view.recordings[0].has_peaks) == (2_125, True)
    assert tab.window.listed[capture.recording_id].has_peaks
    asks = [path for method, path, _ in world.server.log if method == "GET" and path.endswith(capture.recording_id)]
    await asyncio.sleep(600.0)
    again = [path for method, path, _ in world.server.log if method == "GET" and path.endswith(capture.recording_id)]
    assert len(again) == len(asks), "nothing more to ask"
