"""`/media`, `/peaks` and `/poster`: played, sought in and saved, before and after the file is made."""

import io
from pathlib import Path

import av
import msgspec
import pytest

from protocol.wire import Peaks, Recording
from server.storage.keys import MediaKey
from tests.server.media.recorded import record
from tests.server.media.recorded_recording import Take, record_take
from tests.server.routes.problem_of import problem_of
from tests.server.stack import Stack, media_ledger_of


def duration_of(body: bytes) -> float:
    with av.open(io.BytesIO(body), "r") as container:
        assert container.duration is not None, "no duration: it cannot be sought in"
        return container.duration / 1_000_000


def kinds_of(body: bytes) -> list[str]:
    with av.open(io.BytesIO(body), "r") as container:
        return [stream.type for stream in container.streams]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "making"


# -- while it is not complete


async def test_an_open_recording_gives_the_bytes_so_far_in_order(stack: Stack, folder: Path) -> None:
    whole = record(3.0)
    take = await record_take(stack, folder, whole[:20_000], is_complete=False)

    first = await take.get()
    await take.send(whole[20_000:])
    second = await take.get()

    assert (first.status_code, first.content) == (200, whole[:20_000])
    assert (second.status_code, second.content) == (200, whole)
    assert first.headers["content-type"] == "audio/webm"
    assert first.headers["media-run"] == "0"
    assert first.headers["etag"] != second.headers["etag"]
    # A player that began at the first state goes on in it.
    pinned = await take.get("media?chunks=3", range="bytes=19990-")
    assert (pinned.status_code, pinned.content) == (206, whole[19_990:20_000])
    assert pinned.headers["etag"] == first.headers["etag"]


async def test_the_bytes_so_far_end_before_a_gap(memory_stack: Stack, folder: Path) -> None:
    take = await record_take(memory_stack, folder, record(3.0), is_complete=False)
    memory_stack.ledger.chunks.remove((memory_stack.recording_id, 1))  # type: ignore[attr-defined]
    assert (await take.get()).content == take.chunks[0][1]


async def test_the_first_runs_bytes_are_never_mixed_with_the_next_ones(memory_stack: Stack, folder: Path) -> None:
    first, second = record(1.0), record(2.0)
    take = await record_take(memory_stack, folder, first, second, is_complete=False)
    assert (await take.get()).content == first
    answer = await take.get("media?run=1")
    assert (answer.content, answer.headers["media-run"]) == (second, "1")
    assert (await take.get("media?download=original&run=1")).content == second
    assert problem_of(await take.get("media?download=original")).code == "invalid-request"
    assert problem_of(await take.get("media?run=2")).code == "media-unknown"


async def test_a_damaged_chunk_is_a_problem_and_never_wrong_bytes(memory_stack: Stack, folder: Path) -> None:
    take = await record_take(memory_stack, folder, record(3.0), is_complete=False)
    row = (await memory_stack.rows())[0]
    located = (await memory_stack.ledger.find_chunks(memory_stack.recording_id, [0]))[0]
    key = located.object.key
    body = bytearray(await memory_stack.store.get(key))
    body[row.offset] ^= 1
    await memory_stack.store.delete(key)
    await memory_stack.store.put(key, bytes(body))
    assert problem_of(await take.get()).code == "chunk-damaged"
    assert problem_of(await take.get()).code == "media-unknown"  # wanted now: nothing stands before it


async def test_a_type_that_a_browser_would_show_is_served_as_bytes_to_save(memory_stack: Stack, folder: Path) -> None:
    take = await record_take(memory_stack, folder, b"<script>alert(1)</script>", mime_type="text/html")
    answer = await take.get()
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"


# -- once it is made


async def test_a_complete_recording_becomes_a_file_with_a_duration_and_the_chunks_stay(
    stack: Stack, folder: Path
) -> None:
    whole = record(3.0, video="libvpx")
    take = await record_take(stack, folder, whole, mime_type="video/webm;codecs=vp8,opus")
    with pytest.raises(AssertionError, match="no duration"):
        duration_of((await take.get()).content)

    made = await take.make()

    answer = await take.get()
    assert (answer.status_code, answer.headers["content-type"]) == (200, "video/webm")
    assert abs(duration_of(answer.content) - 3.0) < 0.1
    assert kinds_of(answer.content) == ["audio", "video"]
    media = msgspec.json.decode((await stack.client.get(stack.path)).content, type=Recording).media
    assert media == await take.media()
    assert (media.state, media.detail, media.size) == ("whole", "", len(answer.content))
    assert abs(media.duration_s - 3.0) < 0.1
    assert [stream.kind for stream in media.streams] == ["audio", "video"]
    assert answer.headers["etag"] == f'"{media.sha256}"'
    assert (await take.get("media?download=original")).content == whole
    prefix = f"recordings/{stack.recording_id}/media/{made.media_id}/"
    names = sorted(key.removeprefix(prefix) for key in await stack.keys() if key.startswith(prefix))
    assert names == ["media.json", "media.webm", "peaks.json", "poster.jpg"]


async def test_peaks_and_poster_are_there_once_they_are_made(stack: Stack, folder: Path) -> None:
    take = await record_take(stack, folder, record(3.0, video="libvpx"), mime_type="video/webm")
    for what in ("peaks", "poster"):
        assert problem_of(await take.get(what)).code == "media-unknown"
    await take.make()

    peaks = msgspec.json.decode((await take.get("peaks")).content, type=Peaks)
    assert abs(peaks.duration_s - 3.0) < 0.1
    assert 25 <= len(peaks.peaks) <= 31
    assert max(peaks.peaks) > 50
    poster = await take.get("poster")
    assert poster.headers["content-type"] == "image/jpeg"
    assert poster.content.startswith(b"\xff\xd8\xff")
    again = await take.get("poster", if_none_match=poster.headers["etag"])
    assert (again.status_code, again.content) == (304, b"")


async def test_sound_alone_has_no_poster(memory_stack: Stack, folder: Path) -> None:
    take = await record_take(memory_stack, folder, record(1.0))
    await take.make()
    assert problem_of(await take.get("poster")).code == "media-unknown"
    assert (await take.media()).has_poster is False


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("bytes=0-", (0, None)), ("bytes=0-0", (0, 1)), ("bytes=100-199", (100, 200)), ("bytes=-7", (-7, None))],
)
async def test_a_range_gives_exactly_its_bytes(
    memory_stack: Stack, folder: Path, asked: str, expected: tuple[int, int | None]
) -> None:
    take = await record_take(memory_stack, folder, record(1.0))
    for _ in ("as recorded", "as made"):
        whole = (await take.get()).content
        answer = await take.get(range=asked)
        assert answer.status_code == 206
        assert answer.content == whole[slice(*expected)]
        assert answer.headers["accept-ranges"] == "bytes"
        first, end, _ = slice(*expected).indices(len(whole))
        assert answer.headers["content-range"] == f"bytes {first}-{end - 1}/{len(whole)}"
        head = await memory_stack.client.head(f"{memory_stack.path}/media", headers={"range": asked})
        assert (head.status_code, head.content) == (206, b"")
        assert head.headers["content-length"] == answer.headers["content-length"] == str(len(answer.content))
        await take.make()


async def test_if_range_gives_the_whole_where_the_file_is_another_by_now(memory_stack: Stack, folder: Path) -> None:
    take = await record_take(memory_stack, folder, record(1.0))
    before = (await take.get()).headers["etag"]
    assert (await take.get(range="bytes=0-9", if_range=before)).status_code == 206
    await take.make()
    answer = await take.get(range="bytes=0-9", if_range=before)
    assert (answer.status_code, len(answer.content)) == (200, (await take.media()).size)


@pytest.mark.parametrize(
    "asked", ["bytes=", "bytes=-", "bytes=a-b", "bytes=5-4", "bytes=-0", "bytes=99999999-", "bytes=1", "bytes=0x1-2"]
)
async def test_a_bad_range_gets_its_code_and_the_size(memory_stack: Stack, folder: Path, asked: str) -> None:
    take = await record_take(memory_stack, folder, record(1.0))
    for _ in ("as recorded", "as made"):
        size = len((await take.get()).content)
        answer = await take.get(range=asked)
        assert problem_of(answer).code == "range-not-satisfiable"
        assert answer.headers["content-range"] == f"bytes */{size}"
        await take.make()


@pytest.mark.parametrize("asked", ["bytes=0-1,5-9", "lines=1-2", "nonsense"])
async def test_what_need_not_be_understood_gets_the_whole(memory_stack: Stack, folder: Path, asked: str) -> None:
    take = await record_take(memory_stack, folder, record(1.0), is_complete=False)
    answer = await take.get(range=asked)
    assert (answer.status_code, answer.content) == (200, record(1.0))


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("download=zip", "invalid-request"),
        ("run=x", "invalid-request"),
        ("run=10000", "invalid-request"),
        ("chunks=0", "invalid-request"),
        ("chunks=-1", "invalid-request"),
        ("download=media", "media-unknown"),
        ("download=mp4", "media-unknown"),
    ],
)
async def test_bad_input_gets_its_code(memory_stack: Stack, folder: Path, query: str, code: str) -> None:
    take = await record_take(memory_stack, folder, record(1.0), is_complete=False)
    assert problem_of(await take.get(f"media?{query}")).code == code


@pytest.mark.parametrize("what", ["media", "peaks", "poster"])
async def test_what_is_unknown_or_deleted_is_refused_as_everywhere(
    memory_stack: Stack, folder: Path, what: str
) -> None:
    client = memory_stack.client
    assert problem_of(await client.get(f"/api/recordings/no-id/{what}")).code == "invalid-recording-id"
    assert problem_of(await client.get(f"{memory_stack.path}/{what}")).code == "recording-unknown"
    assert problem_of(await client.post(f"{memory_stack.path}/{what}")).code == "method-not-allowed"
    await memory_stack.register()
    assert problem_of(await client.get(f"{memory_stack.path}/{what}")).code == "media-unknown"
    await client.delete(memory_stack.path)
    assert problem_of(await client.get(f"{memory_stack.path}/{what}")).code == "recording-deleted"


# -- saved


async def test_a_saved_file_is_called_by_its_title(memory_stack: Stack, folder: Path) -> None:
    take = Take(memory_stack, folder)
    folder.mkdir()
    await take.begin(title='Über "alles"/../x')
    await take.send(record(1.0))
    answer = await take.get("media?download=original")
    assert answer.headers["content-disposition"] == (
        "attachment; filename=\"Uber _alles__.._x.webm\"; filename*=UTF-8''%C3%9Cber%20_alles__.._x.webm"
    )
    assert (await take.get()).headers["content-disposition"].startswith("inline; ")


async def test_sound_is_saved_as_m4a_with_its_packets_as_they_are(memory_stack: Stack, folder: Path) -> None:
    take = await record_take(memory_stack, folder, record(3.0))
    await take.make()
    assert (await take.media()).has_mp4

    answer = await take.get("media?download=mp4")

    assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/mp4")
    assert ".m4a" in answer.headers["content-disposition"]
    assert answer.headers["content-length"] == str(len(answer.content))
    assert abs(duration_of(answer.content) - 3.0) < 0.1
    with av.open(io.BytesIO(answer.content), "r") as copy, av.open(io.BytesIO(record(3.0)), "r") as original:
        packets = [[bytes(packet) for packet in container.demux() if packet.size] for container in (copy, original)]
    assert packets[0] == packets[1]


async def test_what_no_mp4_takes_is_not_encoded_anew(memory_stack: Stack, folder: Path) -> None:
    take = await record_take(memory_stack, folder, record(1.0, video="libvpx"), mime_type="video/webm")
    await take.make()
    assert not (await take.media()).has_mp4
    assert problem_of(await take.get("media?download=mp4")).code == "media-not-convertible"


# -- lost


@pytest.mark.parametrize("name", ["media.webm", "media.json"])
@pytest.mark.parametrize("loss", ["gone", "damaged"])
async def test_a_made_file_that_is_lost_is_made_anew_under_new_keys(
    stack: Stack, folder: Path, name: str, loss: str
) -> None:
    take = await record_take(stack, folder, record(2.0))
    made = await take.make()
    key = MediaKey(stack.recording_id, made.media_id, name).text
    body = bytearray(await stack.store.get(key))
    await stack.store.delete(key)
    if loss == "damaged":
        body[len(body) // 2] ^= 0xFF
        await stack.store.put(key, bytes(body))

    assert problem_of(await take.get()).code == "media-damaged"
    # What was recorded is served meanwhile.
    assert (await take.get()).content == record(2.0)
    assert stack.recording_id in await media_ledger_of(stack.ledger).list_unmade(1_000)
    again = await take.make()
    assert again.media_id != made.media_id
    assert abs(duration_of((await take.get()).content) - 2.0) < 0.1
