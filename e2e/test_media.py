"""What Chromium recorded, Chromium plays: while it is being recorded, and once it is complete, sought in at once."""

import io
from typing import Any

import av
import httpx
import msgspec
import pytest

from e2e.machine import Machine, watch_until_saved
from e2e.recorder_page import RecorderPage
from e2e.service import Service
from e2e.unplug import UNPLUG, open_keeping_the_stream
from e2e.witness import Take
from protocol.wire import Media, Peaks

# Resolves with what the element says once it really plays from there; a player that cannot rejects.
_PLAY = """
async ({ address, from }) => {
    const player = document.createElement("video");
    const heard = (name) => new Promise((resolve, reject) => {
        player.addEventListener(name, resolve, { once: true });
        player.addEventListener("error", () => reject(new Error(player.error.message)), { once: true });
    });
    player.muted = true;
    player.src = address;
    document.body.append(player);
    await heard("loadedmetadata");
    const duration = player.duration;
    if (from !== null) {
        const sought = heard("seeked");
        player.currentTime = from;
        await sought;
    }
    const began = player.currentTime;
    await player.play();
    while (player.currentTime <= began + 0.3 && !player.ended) await heard("timeupdate");
    const seen = {
        duration: Number.isFinite(duration) ? duration : null,
        began,
        reached: player.currentTime,
        seekable: player.seekable.length ? player.seekable.end(0) : 0,
        width: player.videoWidth,
    };
    player.remove();
    return seen;
}
"""


# Plays the whole file, fast; resolves at its end, and rejects where the player gives up on the way.
_PLAY_THROUGH = """
async (address) => {
    const player = document.createElement("video");
    const ended = new Promise((resolve, reject) => {
        player.addEventListener("ended", resolve, { once: true });
        player.addEventListener("error", () => reject(new Error(player.error.message)), { once: true });
    });
    Object.assign(player, { muted: true, src: address });
    document.body.append(player);
    player.playbackRate = 4;
    await player.play();
    await ended;
    const seen = { duration: player.duration, reached: player.currentTime };
    player.remove();
    return seen;
}
"""


def play(tab: RecorderPage, recording_id: str, seek_to_s: float | None = None, query: str = "") -> dict[str, Any]:
    """Play the recording in the tab, from a second of it on."""
    address = f"/api/recordings/{recording_id}/media{query}"
    seen: dict[str, Any] = tab.page.evaluate(_PLAY, {"address": address, "from": seek_to_s})
    return seen


def duration_of_packets(body: bytes) -> float:
    """How long the recording really is, by its own packets."""
    with av.open(io.BytesIO(body), "r") as container:
        times = [
            ((packet.pts or 0) * packet.time_base, (packet.duration or 0) * packet.time_base)
            for packet in container.demux()
            if packet.size and packet.time_base
        ]
    ends_at, begins_at = max(at + lasts for at, lasts in times), min(at for at, _ in times)
    return float(ends_at) - max(float(begins_at), 0.0)


def wait_for_media(service: Service, tab: RecorderPage, recording_id: str) -> Media:
    """What was made of the recording, once the server says so."""

    def look() -> Media | None:
        answer = httpx.get(f"{service.url}/api/recordings/{recording_id}", trust_env=False)
        media = answer.json().get("media")
        return None if media is None else msgspec.convert(media, Media)

    media = tab.wait(look, "the finished file")
    assert media is not None
    return media


def wait_for_run(tab: RecorderPage, takes: list[Take], run: int) -> None:
    """Until the recording's run of that number has some slices."""
    tab.wait(lambda: len(takes) > run and takes[run].contiguous >= 15, f"slices of run {run}")


@pytest.mark.parametrize(("source", "kinds"), [("microphone", ["audio"]), ("camera", ["audio", "video"])])
def test_a_recording_plays_while_it_is_recorded_and_can_be_sought_in_once_it_is_complete(
    service: Service, machine: Machine, source: str, kinds: list[str]
) -> None:
    tab = machine.open_tab(slice_ms=100, chunk_ms=500)
    recording_id, take = machine.record(tab, source)
    watch_until_saved(tab, take, 15)
    tab.wait(lambda: len(service.stores.chunks(recording_id)) >= 2, "two chunks to be acknowledged")

    # While it is being recorded
    held = len(service.stores.chunks(recording_id))
    seen = play(tab, recording_id, query=f"?chunks={held}")
    assert seen["reached"] > seen["began"]

    watch_until_saved(tab, take, 40)
    tab.stop()
    tab.wait_for_row(recording_id, "complete")
    tab.wait(lambda: take.is_whole, "the witness to have every slice")

    # Once it is complete
    media = wait_for_media(service, tab, recording_id)
    assert (media.state, media.detail) == ("whole", "")
    assert sorted(stream.kind for stream in media.streams) == kinds
    middle = media.duration_s / 2
    seen = play(tab, recording_id, seek_to_s=middle)
    assert seen["duration"] is not None
    assert abs(seen["duration"] - media.duration_s) < 0.1
    assert abs(seen["seekable"] - media.duration_s) < 0.1
    assert abs(seen["began"] - middle) < 0.1
    assert seen["reached"] > middle
    assert (seen["width"] > 0) == ("video" in kinds)

    # And PyAV says the same of what the witness saw, and of what was made
    body = httpx.get(f"{service.url}/api/recordings/{recording_id}/media", trust_env=False).content
    with av.open(io.BytesIO(body), "r") as container:
        assert container.duration is not None
        assert sorted(stream.type for stream in container.streams) == kinds
        assert abs(container.duration / 1_000_000 - duration_of_packets(take.content)) < 0.1
    original = httpx.get(f"{service.url}/api/recordings/{recording_id}/media?download=original", trust_env=False)
    assert original.content == take.content

    peaks = httpx.get(f"{service.url}/api/recordings/{recording_id}/peaks", trust_env=False)
    assert max(msgspec.json.decode(peaks.content, type=Peaks).peaks) > 10, "the fake microphone beeps"
    if "video" in kinds:
        poster = tab.page.evaluate(
            """async (address) => {
                const image = new Image();
                image.src = address;
                await image.decode();
                return image.naturalWidth;
            }""",
            f"/api/recordings/{recording_id}/poster",
        )
        assert poster > 0


def test_the_runs_of_a_device_that_was_unplugged_twice_become_one_file_that_plays_through(
    service: Service, machine: Machine
) -> None:
    # Given a recording of three runs
    tab = open_keeping_the_stream(machine)
    recording_id, _ = machine.record(tab, "camera")
    for run in range(3):
        wait_for_run(tab, machine.witness.takes, run)
        if run < 2:
            tab.page.evaluate(UNPLUG)
    tab.stop()
    takes = machine.witness.takes
    tab.wait(lambda: all(take.is_whole for take in takes), "the witness to have every slice")
    tab.wait_for_row(recording_id, "complete")
    assert service.stores.read_runs(recording_id) == {run: take.content for run, take in enumerate(takes)}

    # Then the finished file is all of them, one after the other
    media = wait_for_media(service, tab, recording_id)
    assert (media.state, media.detail, media.runs_left_out) == ("whole", "", [])
    lengths = [duration_of_packets(take.content) for take in takes]
    assert abs(media.duration_s - sum(lengths)) < 0.1
    body = httpx.get(f"{service.url}/api/recordings/{recording_id}/media", trust_env=False).content
    with av.open(io.BytesIO(body), "r") as container:
        assert sorted(stream.type for stream in container.streams) == ["audio", "video"]
    assert abs(duration_of_packets(body) - sum(lengths)) < 0.1
    with av.open(io.BytesIO(body), "r") as container:
        assert sum(1 for _ in container.decode(video=0)) > 0

    # And Chromium plays it to its end, and over a seam from just before it
    seen = tab.page.evaluate(_PLAY_THROUGH, f"/api/recordings/{recording_id}/media")
    assert abs(seen["duration"] - sum(lengths)) < 0.1
    assert abs(seen["reached"] - seen["duration"]) < 0.1
    for seam in (lengths[0], lengths[0] + lengths[1]):
        assert play(tab, recording_id, seek_to_s=seam - 0.2)["reached"] > seam


def test_a_recording_that_was_complete_when_the_server_died_is_made_by_the_next(
    service: Service, machine: Machine
) -> None:
    tab = machine.open_tab()
    recording_id, take = machine.record(tab)
    watch_until_saved(tab, take, 8)
    tab.stop()
    tab.wait_for_row(recording_id, "complete")
    service.kill()
    service.start()
    media = wait_for_media(service, tab, recording_id)
    assert media.state == "whole"
    assert play(tab, recording_id, seek_to_s=media.duration_s / 2)["reached"] > 0
