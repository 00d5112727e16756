"""What becomes of runs that Chromium recorded: paused, on another camera, cut off by a kill (`e2e.sample_runs`)."""

import io
import json
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import av
import pytest

from server.media.libav.joining import join
from server.media.orders import Joined, run_path
from tests.server.media.recorded_recording import record_take
from tests.server.stack import Stack

_FOLDER = Path(__file__).parent / "chromium"
_SLICES: dict[str, list[int]] = json.loads((_FOLDER / "slices.json").read_text())
_CUTS = list(accumulate(_SLICES["camera"]))[1:-1]


def run_of(name: str) -> bytes:
    return (_FOLDER / f"{name}.webm").read_bytes()


def join_bytes(folder: Path, *runs: bytes) -> tuple[Joined, bytes]:
    for run, body in enumerate(runs):
        run_path(folder, run).write_bytes(body)
    joined = join(folder, range(len(runs)))
    return joined, (folder / joined.name).read_bytes() if joined.name else b""


def packets_of(body: bytes) -> list[tuple[str, float, float, bytes]]:
    """(kind, begins, ends, bytes) of each packet, times in seconds; of a run that was cut, those before the cut."""
    packets: list[tuple[str, float, float, bytes]] = []
    with av.open(io.BytesIO(body), "r") as container:
        try:
            for packet in container.demux():
                if packet.size and packet.time_base:
                    begins = float((packet.pts or 0) * packet.time_base)
                    ends = begins + float((packet.duration or 0) * packet.time_base)
                    packets.append((packet.stream.type, begins, ends, bytes(packet)))
        except av.FFmpegError:
            pass  # it ends in the middle of a packet
    return packets


def length_of(body: bytes) -> float:
    packets = packets_of(body)
    return max(ends for _, _, ends, _ in packets) - min(begins for _, begins, _, _ in packets)


def check(joined: Joined, body: bytes, *runs: bytes) -> None:
    """Every packet of the runs and no other, a duration that is theirs, and pictures that can be decoded to the end."""
    contents = [[content for *_, content in packets_of(each)] for each in (body, *runs)]
    assert sorted(contents[0]) == sorted(content for run in contents[1:] for content in run)
    assert abs(joined.duration_s - sum(length_of(run) for run in runs)) < 0.1
    with av.open(io.BytesIO(body), "r") as container:
        assert container.duration is not None
        assert abs(container.duration / 1_000_000 - joined.duration_s) < 0.1
        assert sorted(stream.type for stream in container.streams) == ["audio", "video"]
    for kind in ("audio", "video"):
        with av.open(io.BytesIO(body), "r") as container:
            stream: Any = container.streams.get({kind: 0})[0]
            ends = [frame.time for frame in container.decode(stream)]
        assert joined.duration_s - 0.4 < max(ends) <= joined.duration_s


def test_a_pause_is_no_run_of_its_own_and_leaves_no_hole(tmp_path: Path) -> None:
    run = run_of("paused")
    joined, body = join_bytes(tmp_path, run)
    check(joined, body, run)
    assert (joined.losses, joined.left_out, len(joined.runs)) == ([], [], 1)
    assert 1.7 < joined.duration_s < 2.5, "two seconds were recorded, and one in between was not"
    begins = sorted(at for kind, at, _, _ in packets_of(body) if kind == "audio")
    assert max(after - before for before, after in pairwise(begins)) < 0.3


def test_another_camera_is_another_run_and_its_pictures_follow_at_once(tmp_path: Path) -> None:
    runs = [run_of("camera"), run_of("other-camera"), run_of("camera")]
    joined, body = join_bytes(tmp_path, *runs)
    check(joined, body, *runs)
    assert (joined.losses, joined.left_out) == ([], [])
    with av.open(io.BytesIO(body), "r") as container:
        sizes = [(frame.width, frame.height) for frame in container.decode(video=0)]
    assert [size for at, size in enumerate(sizes) if at == 0 or sizes[at - 1] != size] == [
        (320, 240),
        (640, 480),
        (320, 240),
    ]


@pytest.mark.parametrize("cut", _CUTS)
def test_a_tab_killed_after_any_slice_leaves_a_file_of_all_that_was_saved(tmp_path: Path, cut: int) -> None:
    run = run_of("camera")[:cut]
    joined, body = join_bytes(tmp_path, run)
    if not any(kind == "video" for kind, *_ in packets_of(run)):
        assert joined.name is None or joined.duration_s < 0.5, "nothing but a head was saved"
        return
    check(joined, body, run)
    assert joined.left_out == []


def test_a_run_that_a_kill_cut_off_is_followed_by_the_next_one(tmp_path: Path) -> None:
    runs = [run_of("camera")[: _CUTS[len(_CUTS) // 2]], run_of("other-camera")]
    joined, body = join_bytes(tmp_path, *runs)
    check(joined, body, *runs)
    assert [run.run for run in joined.runs] == [0, 1]


async def test_runs_of_a_pause_another_camera_and_a_kill_are_one_file_and_each_is_had_as_it_was(
    memory_stack: Stack, folder: Path
) -> None:
    runs = [run_of("paused"), run_of("other-camera"), run_of("camera")[: _CUTS[-3]]]
    take = await record_take(memory_stack, folder, *runs, mime_type="video/webm;codecs=vp8,opus")
    await take.make()
    media = await take.media()
    assert media.runs_left_out == []
    assert abs(media.duration_s - sum(length_of(run) for run in runs)) < 0.1
    assert (media.has_peaks, media.has_poster, media.has_mp4) == (True, True, False)
    body = (await take.get()).content
    assert abs(length_of(body) - media.duration_s) < 0.1
    for run, content in enumerate(runs):
        assert (await take.get(f"media?download=original&run={run}")).content == content
