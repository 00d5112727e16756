"""A long backlog, the order of sending, what tabs tell each other, and what the page shows."""

import asyncio

import msgspec

from client_py.core.book import Book, Recording, Registration
from client_py.core.effects import ChunkBody, SendRequest, TellTabs
from client_py.core.events import Moment
from client_py.core.journal import Piece, Sealed
from client_py.core.queue import SendQueue
from client_py.core.requests import IN_FLIGHT_MAX, Requests
from client_py.core.states import ChunkLife, RecordingLife
from client_py.core.tabs import EXPIRE_MS, Appeared, DeleteElsewhere, Rows, Tabs
from client_py.messages import RecordingView, Settings
from client_py.testing.world import STORY_SETTINGS, World
from tests.client.stories import everything_complete, story

FIRST = "019c1c38-a400-7000-8000-000000000001"
SECOND = "019c1c38-a400-7000-8000-000000000002"


def recording_of(book: Book, recording_id: str, started_at_ms: int, chunk_count: int) -> Recording:
    recording = Recording(
        recording_id, life=RecordingLife.CLOSED, started_at_ms=started_at_ms, source="microphone", settings=Settings()
    )
    recording.registration = Registration.REGISTERED
    book.recordings[recording_id] = recording
    for index in range(chunk_count):
        sealed = Sealed(
            chunk_index=index, run=0, size=10, sha256=bytes(32), first_slice=index, first_offset=0,
            next_slice=index + 1, next_offset=0, pieces=[Piece(1, 0, index * 10, 10)],
        )  # fmt: skip
        recording.add_chunk(sealed, ChunkLife.SEALED)
    return recording


def test_the_oldest_recording_goes_first_and_its_chunks_in_order() -> None:
    book = Book()
    queue = SendQueue(book, Requests(book))
    younger, older = recording_of(book, FIRST, 2_000, 3), recording_of(book, SECOND, 1_000, 3)
    for recording in (younger, older):
        for index in (2, 0, 1):
            queue.add(recording, recording.chunks[index])
    queue.pump()
    sent = [effect.path for effect in book.take_effects() if isinstance(effect, SendRequest)]
    assert len(sent) == IN_FLIGHT_MAX
    assert sent == [
        f"/api/recordings/{SECOND}/chunks/0",
        f"/api/recordings/{SECOND}/chunks/1",
        f"/api/recordings/{SECOND}/chunks/2",
        f"/api/recordings/{FIRST}/chunks/0",
    ]


def test_a_recording_that_cannot_be_registered_does_not_hold_up_the_others() -> None:
    book = Book()
    queue = SendQueue(book, Requests(book))
    older, younger = recording_of(book, FIRST, 1_000, 1), recording_of(book, SECOND, 2_000, 1)
    older.registration = Registration.UNREGISTERED
    older.registering.fail(Moment(0, 0, 0.9))
    for recording in (older, younger):
        queue.add(recording, recording.chunks[0])
    queue.pump()
    (effect,) = [effect for effect in book.take_effects() if isinstance(effect, SendRequest)]
    assert effect.path == f"/api/recordings/{SECOND}/chunks/0"
    assert isinstance(effect.body, ChunkBody)
    assert effect.headers["chunk-run"] == "0"
    assert effect.headers["content-digest"].startswith("sha-256=:")


@story
async def test_a_backlog_of_thousands_of_chunks_is_sent_in_order(world: World) -> None:
    world.server.is_away = True
    tab = world.open_tab(msgspec.structs.replace(STORY_SETTINGS, chunk_bytes=64))
    tab.window.slice_bytes = (64, 64)
    capture = await tab.record(0.5)
    for _ in range(3_000):
        tab.window.capture_slice()
    await tab.stop()
    assert tab.view.recordings[0].chunks_sealed > 3_000
    world.server.is_away = False
    await everything_complete(tab)
    assert world.server.content_of(capture.recording_id) == capture.content
    indexes = [index for _, index in world.server.puts]
    assert all(abs(index - place) < 2 * IN_FLIGHT_MAX for place, index in enumerate(indexes))
    assert sum(path.endswith("/verify") for _, path, _ in world.server.log) < 60, "a page of chunks at a time"


@story
async def test_persisting_is_not_slowed_by_a_server_that_hangs(world: World) -> None:
    """I7: with every request hanging, a slice is durable before the next one comes."""
    world.server.latency_s = 10_000.0
    tab = world.open_tab()
    capture = await tab.record(20.0)
    assert capture.saved >= len(capture.slices) - 2
    await asyncio.sleep(20.0)
    assert capture.saved >= len(capture.slices) - 2


@story
async def test_the_view_is_sent_at_most_ten_times_a_second_and_only_when_it_changed(world: World) -> None:
    tab = world.open_tab(msgspec.structs.replace(STORY_SETTINGS, slice_ms=10))
    await tab.record(1.0)
    before = len(tab.window.views)
    await asyncio.sleep(10.0)
    assert len(tab.window.views) - before <= 101
    await tab.stop()
    await everything_complete(tab)
    await asyncio.sleep(30.0)
    settled = len(tab.window.views)
    await asyncio.sleep(300.0)
    assert len(tab.window.views) == settled


def row(recording_id: str) -> RecordingView:
    return RecordingView(
        recording_id=recording_id, state="saved", title="", started_at_ms=0, is_live=False, slices_captured=0,
        slices_durable=0, chunks_sealed=0, chunks_acknowledged=0, chunks_verified=0, chunks_cleared=0,
        chunks_parked=0, bytes_captured=0, bytes_local=0,
    )  # fmt: skip


def test_rows_of_another_tab_are_shown_until_it_falls_silent() -> None:
    book = Book()
    tabs = Tabs(book)
    recording_of(book, FIRST, 0, 0)
    heard = msgspec.json.encode(Rows(tab="other", rows=[row(FIRST), row(SECOND)]))
    assert tabs.decode(heard) is None
    assert [each.recording_id for each in tabs.rows_of_others()] == [SECOND], "its own rows are its own"
    book.at = Moment(EXPIRE_MS, 0, 0)
    assert tabs.rows_of_others() == []


def test_strange_messages_of_other_tabs_are_ignored() -> None:
    tabs = Tabs(Book())
    for content in (b"", b"{}", b'{"type":"dance"}', b"\xff", b'{"type":"rows","tab":1}'):
        assert tabs.decode(content) is None
    assert tabs.decode(msgspec.json.encode(Appeared(recording_id=FIRST))) == Appeared(recording_id=FIRST)
    assert tabs.decode(msgspec.json.encode(DeleteElsewhere(recording_id=FIRST))) is not None


def test_rows_are_published_after_a_change_and_now_and_then() -> None:
    book = Book()
    tabs = Tabs(book)
    tabs.name("me")
    published = []
    for second in range(25):
        book.at = Moment(second * 1_000, 0, 0)
        tabs.publish([row(FIRST)] if second < 20 else [])
        published += [second for effect in book.take_effects() if isinstance(effect, TellTabs)]
    assert published == [0, 10, 20]
