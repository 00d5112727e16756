"""The network is away, slow or lying, the server forgets, the bucket is emptied: nothing is lost, nothing doubled."""

import asyncio
import re
from uuid import UUID

import msgspec

from client_py.core.requests import IN_FLIGHT_MAX
from client_py.messages import FreeSpace, Nudge
from client_py.testing.memory_holdfast import Response
from client_py.testing.world import STORY_SETTINGS, World
from protocol.errors import ErrorCode
from tests.client.stories import check_stored, everything_complete, story


@story
async def test_a_recording_made_without_any_network_is_sent_when_it_comes_back(world: World) -> None:
    world.server.is_away = True
    tab = world.open_tab()
    capture = await tab.record(10.0)
    await tab.stop()
    await asyncio.sleep(1200)
    assert tab.view.recordings[0].state == "saved"
    assert tab.view.server
    assert capture.saved == len(capture.slices) - 1
    world.server.is_away = False
    await everything_complete(tab)
    assert world.server.content_of(capture.recording_id) == capture.content
    assert tab.view.server == ""


@story
async def test_an_outage_is_asked_about_seldom(world: World) -> None:
    tab = world.open_tab()
    await tab.record(10.0)
    world.server.refusal = (ErrorCode.BUCKET_UNAVAILABLE, {})
    world.server.log.clear()
    await asyncio.sleep(600)
    asked = len(world.server.log)
    assert 10 < asked < 120, "the longest delay is a minute, the mean half of it"
    await tab.stop()


@story
async def test_retry_after_is_obeyed_and_not_ended_by_a_nudge(world: World) -> None:
    world.server.refusal = (ErrorCode.OVERLOADED, {"retry-after": "120"})
    tab = world.open_tab()
    capture = await tab.record(3.0)
    first = len(world.server.log)
    assert first >= 1
    for _ in range(20):
        tab.window.say(Nudge(is_online=True))
        await asyncio.sleep(5)
    assert len(world.server.log) == first
    world.server.refusal = None
    await tab.stop()
    await everything_complete(tab)
    check_stored(world, capture)


@story
async def test_coming_back_online_ends_our_own_waiting(world: World) -> None:
    world.server.is_away = True
    tab = world.open_tab()
    capture = await tab.record(2.0)
    await tab.stop()
    await asyncio.sleep(600)
    world.server.is_away = False
    tab.window.say(Nudge(is_online=True))
    await asyncio.sleep(3)
    assert world.server.content_of(capture.recording_id) == capture.content


@story
async def test_a_captive_portals_200_is_not_a_receipt(world: World) -> None:
    world.server.is_captive_portal = True
    tab = world.open_tab()
    capture = await tab.record(3.0)
    await tab.stop()
    await asyncio.sleep(60)
    row = tab.view.recordings[0]
    assert (row.chunks_acknowledged, row.chunks_parked) == (0, 0)
    assert "sign-in" in tab.view.server
    world.server.is_captive_portal = False
    await everything_complete(tab)
    assert world.server.content_of(capture.recording_id) == capture.content


@story
async def test_lost_answers_lead_to_repeats_and_to_no_second_content(world: World) -> None:
    world.server.loses_answers = True
    tab = world.open_tab()
    capture = await tab.record(3.0)
    await tab.stop()
    await asyncio.sleep(30)
    world.server.loses_answers = False
    await everything_complete(tab)
    assert world.server.content_of(capture.recording_id) == capture.content


@story
async def test_a_line_of_64_kbit_that_all_requests_share_delivers_and_wastes_little(world: World) -> None:
    """With four at once each has less than the server waits for: they are cut off, and then one goes at a time."""
    settings = msgspec.structs.replace(STORY_SETTINGS, chunk_bytes=1024 * 1024, chunk_ms=60_000)
    world.server.bytes_a_second = 8_000
    world.server.body_bytes_a_second_min = 2 * 1024
    tab = world.open_tab(settings)
    tab.window.slice_bytes = (100_000, 100_000)
    capture = await tab.record(8.0)
    await tab.stop()
    began_s = asyncio.get_running_loop().time()
    view = await tab.until(lambda view: "slow" in view.server, what="why it takes so long")
    assert view.recordings[0].chunks_parked == 0
    await everything_complete(tab)
    assert world.server.content_of(capture.recording_id) == capture.content
    at_best_s = len(capture.content) / 8_000
    assert asyncio.get_running_loop().time() - began_s < 1.2 * at_best_s
    cut_off = sum(status == 408 for _, _, status in world.server.log)
    assert 0 < cut_off <= IN_FLIGHT_MAX, "what was cut off once is not tried so again"


@story
async def test_a_line_that_is_far_slower_delivers_in_the_end(world: World) -> None:
    settings = msgspec.structs.replace(STORY_SETTINGS, chunk_bytes=256 * 1024, chunk_ms=60_000)
    world.server.bytes_a_second = 800
    tab = world.open_tab(settings)
    tab.window.slice_bytes = (100_000, 100_000)
    capture = await tab.record(0.6)
    await tab.stop()
    await everything_complete(tab)
    assert world.server.content_of(capture.recording_id) == capture.content


@story
async def test_a_recording_that_the_server_forgot_is_registered_again(world: World) -> None:
    tab = world.open_tab()
    capture = await tab.record(3.0)
    world.server.ledger.clear()
    world.server.bucket.clear()
    await asyncio.sleep(3.0)
    await tab.stop()
    await everything_complete(tab)
    assert world.server.content_of(capture.recording_id) == capture.content


@story
async def test_an_emptied_bucket_is_filled_again_by_itself(world: World) -> None:
    tab = world.open_tab()
    capture = await tab.record(5.0)
    await tab.stop()
    await everything_complete(tab)
    world.server.bucket.clear()
    await asyncio.sleep(STORY_SETTINGS.reverify_s + 30)
    assert world.server.content_of(capture.recording_id) == capture.content
    await everything_complete(tab)


@story
async def test_an_emptied_bucket_is_filled_again_at_the_next_page_load(world: World) -> None:
    tab = world.open_tab()
    capture = await tab.record(5.0)
    await tab.stop()
    await everything_complete(tab)
    await tab.kill()
    world.server.bucket.clear()
    again = world.open_tab()
    await again.ready()
    await asyncio.sleep(30)
    assert world.server.content_of(capture.recording_id) == capture.content


@story
async def test_a_bucket_emptied_before_completion_is_filled_before_the_certificate(world: World) -> None:
    tab = world.open_tab()
    capture = await tab.record(5.0)
    world.server.bucket.clear()
    await tab.stop()
    await everything_complete(tab)
    assert world.server.content_of(capture.recording_id) == capture.content


@story
async def test_another_content_under_the_same_number_is_parked_and_blocks_nothing(world: World) -> None:
    world.server.is_away = True
    tab = world.open_tab()
    capture = await tab.record(3.0)
    await tab.stop()
    holding_id = UUID(capture.recording_id)
    world.server.is_away = False
    await tab.until(lambda view: view.recordings[0].chunks_acknowledged > 0)
    await tab.kill()
    # Somebody else's bytes stand under chunk 1, and ours are gone.
    row = world.server.ledger[holding_id].rows[1]
    world.server.ledger[holding_id].rows[1] = msgspec.structs.replace(row, sha256="0" * 64)
    again = world.open_tab()
    view = await again.until(lambda view: bool(view.recordings) and view.recordings[0].state == "parked")
    await asyncio.sleep(30)
    view = again.view
    assert view.recordings[0].chunks_parked == 1
    assert "chunk 1" in view.recordings[0].problem
    assert view.recordings[0].chunks_acknowledged == view.recordings[0].chunks_sealed - 1
    other = await again.record(2.0)
    await again.stop()
    await again.until(lambda view: view.current is not None and view.current.state == "complete")
    assert world.server.content_of(other.recording_id) == other.content


@story
async def test_chunks_that_the_server_holds_are_not_sent_again_after_a_reload(world: World) -> None:
    tab = world.open_tab()
    await tab.record(4.0)
    await tab.stop()
    await tab.until(lambda view: view.recordings[0].state in ("uploaded", "verified", "complete"))
    await tab.kill()
    sent = len(world.server.puts)
    await everything_complete(world.open_tab())
    assert len(world.server.puts) == sent
    assert len(set(world.server.puts)) == sent


@story
async def test_verified_bytes_stay_for_their_time_and_then_go_with_their_folder(world: World) -> None:
    tab = world.open_tab(msgspec.structs.replace(STORY_SETTINGS, keep_verified_s=600.0))
    capture = await tab.record(3.0)
    await tab.stop()
    await everything_complete(tab)
    await asyncio.sleep(500)
    assert capture.recording_id in world.disk.folders
    assert tab.view.bytes_freeable == tab.view.bytes_local == len(capture.content)
    await asyncio.sleep(200)
    assert capture.recording_id not in world.disk.folders
    row = tab.view.recordings[0]
    assert (row.state, row.chunks_cleared, row.bytes_local) == ("complete", row.chunks_sealed, 0)


@story
async def test_the_button_frees_verified_bytes_at_once_and_nothing_else(world: World) -> None:
    tab = world.open_tab()
    first = await tab.record(3.0)
    await tab.stop()
    await everything_complete(tab)
    world.server.is_away = True
    second = await tab.record(3.0)
    await tab.stop()
    tab.window.say(FreeSpace())
    await asyncio.sleep(5)
    assert first.recording_id not in world.disk.folders
    assert tab.view.bytes_freeable == 0
    assert tab.view.bytes_local == len(second.content)
    world.server.is_away = False
    await everything_complete(tab, 2)
    assert world.server.content_of(second.recording_id) == second.content


@story
async def test_segments_of_a_long_recording_are_freed_while_it_goes_on(world: World) -> None:
    tab = world.open_tab()
    capture = await tab.record(60.0)
    before = world.disk.used_bytes
    tab.window.say(FreeSpace())
    await asyncio.sleep(2.0)
    assert world.disk.used_bytes < before / 2
    names = world.disk.folders[capture.recording_id]
    assert "slices-1-0" not in names
    await tab.stop()
    await tab.until(lambda view: view.recordings[0].state == "complete")
    assert world.server.content_of(capture.recording_id) == capture.content


@story
async def test_a_server_that_cannot_verify_is_sent_what_it_may_lack(world: World) -> None:
    world.server.is_away = True
    tab = world.open_tab()
    capture = await tab.record(3.0)
    await tab.stop()
    await tab.kill()
    world.server.is_away = False
    answer = world.server.answer

    def refuse_to_verify(method: str, path: str, headers: dict[str, str], body: bytes) -> Response:
        return Response(500) if path.endswith("/verify") else answer(method, path, headers, body)

    world.server.answer = refuse_to_verify  # type: ignore[method-assign]
    again = world.open_tab()
    await again.ready()
    await asyncio.sleep(120)
    assert world.server.content_of(capture.recording_id) == capture.content
    assert again.view.recordings[0].chunks_verified == 0
    world.server.answer = answer  # type: ignore[method-assign]
    await everything_complete(again)


@story
async def test_a_verification_counts_only_if_it_repeats_what_is_held(world: World) -> None:
    tab = world.open_tab(msgspec.structs.replace(STORY_SETTINGS, keep_verified_s=0.0))
    answer = world.server.answer

    def lie(method: str, path: str, headers: dict[str, str], body: bytes) -> Response:
        response = answer(method, path, headers, body)
        if not path.endswith("/verify"):
            return response
        return forged(response, b'"sha256":"', b'"sha256":"f')

    world.server.answer = lie  # type: ignore[method-assign]
    capture = await tab.record(3.0)
    await tab.stop()
    await asyncio.sleep(60)
    row = tab.view.recordings[0]
    assert (row.chunks_verified, row.chunks_cleared) == (0, 0)
    assert capture.recording_id in world.disk.folders


def forged(response: Response, true: bytes, false: bytes) -> Response:
    """The response with something else in its body; digests keep their length."""
    body = response.body.replace(true, false)
    return Response(response.status, response.headers, re.sub(rb'"f([0-9a-f]{63})[0-9a-f]"', rb'"f\1"', body))
