"""What becomes of runs: joined one after the other, left out by name, cut where they are broken, and never made up."""

import io
import random
import wave
from pathlib import Path

import av
import pytest

from server.media.libav.joining import join
from server.media.orders import Joined, run_path
from tests.server.media.recorded import LiveSink, record


def make_wav() -> bytes:
    """Sound that libav plays, in a container that no browser records."""
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(48_000)
        written.writeframes(bytes(96_000))
    return file.getvalue()


def join_bytes(folder: Path, *runs: bytes) -> Joined:
    for run, body in enumerate(runs):
        run_path(folder, run).write_bytes(body)
    return join(folder, range(len(runs)))


def packets_of(path: Path) -> list[bytes]:
    with av.open(str(path), "r") as container:
        return [bytes(packet) for packet in container.demux() if packet.size]


def check_duration(path: Path, joined: Joined, within_s: float = 0.1) -> None:
    """The file itself says the duration, and its packets say the same."""
    with av.open(str(path), "r") as container:
        assert container.duration is not None
        ends = [
            ((packet.pts or 0) + (packet.duration or 0)) * packet.time_base
            for packet in container.demux()
            if packet.size
        ]
        assert abs(container.duration / 1_000_000 - joined.duration_s) < 0.001
    assert abs(joined.duration_s - float(max(ends))) < within_s


@pytest.mark.parametrize("video", ["", "libvpx", "libvpx-vp9"])
def test_one_run_keeps_every_packet_and_gets_duration_and_index(tmp_path: Path, video: str) -> None:
    joined = join_bytes(tmp_path, record(7.0, video=video))
    assert joined.name == "media.webm"
    path = tmp_path / joined.name
    check_duration(path, joined)
    assert abs(joined.duration_s - 7.0) < 0.1
    assert sorted(packets_of(path)) == sorted(packets_of(run_path(tmp_path, 0)))
    assert (joined.losses, joined.left_out) == ([], [])
    content = path.read_bytes()
    # The index (Cues) stands before the first Cluster, so that the first request is enough to seek.
    # The last of its marks is the index itself: the one before points to it.
    assert 0 < content.rindex(b"\x1c\x53\xbb\x6b") < content.index(b"\x1f\x43\xb6\x75")
    with av.open(str(path), "r") as container:
        container.seek(5_000_000)
        first = next(packet for packet in container.demux() if packet.size)
        assert 0 < (first.pts or 0) * first.time_base <= 5


def test_several_runs_follow_each_other_with_all_their_packets(tmp_path: Path) -> None:
    runs = [record(2.0, video="libvpx"), record(3.0, video="libvpx"), record(1.0, video="libvpx")]
    joined = join_bytes(tmp_path, *runs)
    path = tmp_path / (joined.name or "")
    check_duration(path, joined)
    assert abs(joined.duration_s - 6.0) < 0.1
    assert [(run.run, round(run.begins_at_s, 1), round(run.duration_s, 1)) for run in joined.runs] == [
        (0, 0.0, 2.0),
        (1, 2.0, 3.0),
        (2, 5.0, 1.0),
    ]
    expected = [packet for run in range(3) for packet in packets_of(run_path(tmp_path, run))]
    assert sorted(packets_of(path)) == sorted(expected)
    assert (joined.losses, joined.left_out) == ([], [])


def test_packets_that_a_busy_recorder_gave_the_same_time_are_all_kept(tmp_path: Path) -> None:
    sink = LiveSink()
    body = io.BytesIO(record(2.0, video="libvpx"))
    with av.open(body, "r") as source, av.open(sink, "w", format="webm", options={"live": "1"}) as output:
        streams = {stream.index: output.add_stream_from_template(stream) for stream in source.streams}
        last: dict[int, int] = {}
        for number, packet in enumerate(packet for packet in source.demux() if packet.size):
            index = packet.stream.index
            if number % 7 == 6 and index in last:
                packet.pts = packet.dts = last[index]
            last[index] = packet.pts or 0
            packet.stream = streams[index]
            output.mux(packet)
    joined = join_bytes(tmp_path, sink.take())
    assert sorted(packets_of(tmp_path / (joined.name or ""))) == sorted(packets_of(run_path(tmp_path, 0)))
    assert (joined.losses, joined.left_out) == ([], [])
    assert abs(joined.duration_s - 2.0) < 0.1


def test_a_run_without_pictures_follows_one_that_has_them(tmp_path: Path) -> None:
    joined = join_bytes(tmp_path, record(1.0), record(2.0, video="libvpx"), record(1.0))
    assert [stream.kind for stream in joined.streams] == ["audio", "video"]
    assert abs(joined.duration_s - 4.0) < 0.1
    assert (joined.losses, joined.left_out) == ([], [])


def test_pictures_of_another_size_follow_where_each_key_frame_says_its_own(tmp_path: Path) -> None:
    joined = join_bytes(tmp_path, record(1.0, video="libvpx"), record(1.0, video="libvpx", size=96))
    assert joined.left_out == []
    with av.open(str(tmp_path / (joined.name or "")), "r") as container:
        assert {(frame.width, frame.height) for frame in container.decode(video=0)} == {(64, 64), (96, 96)}


def test_another_codec_than_the_longest_runs_is_left_out_by_name(tmp_path: Path) -> None:
    joined = join_bytes(tmp_path, record(1.0, video="libvpx-vp9"), record(3.0, video="libvpx"))
    assert [run.run for run in joined.runs] == [1]
    assert [(left.run, left.reason) for left in joined.left_out] == [
        (0, "its video cannot follow that of the longest run")
    ]
    assert abs(joined.duration_s - 3.0) < 0.1


@pytest.mark.parametrize("junk", [b"", b"x", b"junk" * 5_000, record(3.0)[3_000:], record(3.0)[:150]])
def test_a_run_that_is_no_media_is_left_out_and_the_others_are_joined(tmp_path: Path, junk: bytes) -> None:
    joined = join_bytes(tmp_path, record(1.0), junk, record(1.0))
    assert [run.run for run in joined.runs] == [0, 2]
    assert [left.run for left in joined.left_out] == [1]
    assert abs(joined.duration_s - 2.0) < 0.1


@pytest.mark.parametrize(
    "hostile",
    [
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"<?xml version='1.0'?><MPD><BaseURL>http://127.0.0.1/</BaseURL></MPD>",
        make_wav(),
    ],
    ids=["playlist", "list of files", "manifest", "a container no browser records"],
)
def test_only_what_browsers_record_is_opened(tmp_path: Path, hostile: bytes) -> None:
    joined = join_bytes(tmp_path, hostile)
    assert (joined.name, joined.runs) == (None, [])
    assert joined.left_out[0].reason.startswith("it cannot be opened")


@pytest.mark.parametrize("kept", [0.3, 0.7, 0.99])
def test_a_truncated_run_gives_what_can_be_played_and_says_so(tmp_path: Path, kept: float) -> None:
    whole = record(10.0, video="libvpx")
    joined = join_bytes(tmp_path, whole[: int(len(whole) * kept)])
    assert joined.name is not None
    check_duration(tmp_path / joined.name, joined)
    assert 10 * kept - 1.5 < joined.duration_s < 10 * kept + 0.5
    assert joined.losses == ["it was cut off, and plays up to there"]


def test_broken_bytes_in_the_middle_cost_their_own_seconds_and_are_said(tmp_path: Path) -> None:
    body = bytearray(record(10.0))
    middle = len(body) // 2
    body[middle : middle + 2_000] = bytes(2_000)
    joined = join_bytes(tmp_path, bytes(body))
    assert joined.name is not None
    assert abs(joined.duration_s - 10.0) < 0.1
    assert len(joined.losses) == 1


@pytest.mark.parametrize("seed", range(12))
def test_whatever_bits_flip_the_result_plays_or_says_why_not(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    body = bytearray(record(4.0, video="libvpx"))
    for _ in range(1 + seed * 4):
        body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
    joined = join_bytes(tmp_path, bytes(body))
    if joined.name is None:
        assert joined.left_out
    else:
        check_duration(tmp_path / joined.name, joined, within_s=0.5)  # the last picture of some says no duration
        assert 0 < joined.duration_s < 10


def test_mp4_of_a_browser_becomes_a_seekable_mp4(tmp_path: Path) -> None:
    source = tmp_path / "source.webm"
    source.write_bytes(record(3.0))
    fragmented = tmp_path / "fragmented.mp4"
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "500000"}
    with av.open(str(source), "r") as given, av.open(str(fragmented), "w", options=options) as output:
        stream = output.add_stream("aac", rate=48_000)
        for frame in given.decode(audio=0):
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    joined = join_bytes(tmp_path, fragmented.read_bytes())
    assert joined.name == "media.mp4"
    content = (tmp_path / joined.name).read_bytes()
    assert b"moof" not in content
    assert content.index(b"moov") < content.index(b"mdat")
    assert abs(joined.duration_s - 3.0) < 0.1
