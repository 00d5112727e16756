"""Audits of many pages: nothing is lost between two of them, and another process goes on from wherever one ended."""

import asyncio

import msgspec
import pytest

from protocol.states import ChunkState, RecordingState
from protocol.wire import Tombstone
from server.audit import foreign, object_listing, recording_listing
from server.audit.tally import Tally, read_tally, write_tally
from server.storage.keys import CertificateKey, TombstoneKey, new_uuid7
from tests.server.audit.scene import Scene, repairs
from tests.server.recordings.held import STARTED_AT, registration_of
from tests.server.recordings.watched import Watched

OWN, PACKS, RECORDINGS = 11, 7, 5


@pytest.fixture(params=[(1, 2), (2, 2), (3, 5), (4, 3), (7, 8)], ids=lambda sizes: f"{sizes[0]}-keys-{sizes[1]}-rows")
def small_pages(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of so few keys and rows that every kind of boundary is met."""
    keys, rows = request.param
    for module in (foreign, object_listing, recording_listing):
        monkeypatch.setattr(module, "LIST_PAGE_MAX", keys)
    for module in (object_listing, recording_listing):
        monkeypatch.setattr(module, "LIST_ROWS_MAX", rows)


async def fill(scene: Scene) -> None:
    await scene.register()
    for index in range(OWN):
        await scene.store_own(index)
    for index in range(OWN, OWN + 3 * PACKS, 3):
        await scene.store_pack(range(index, index + 3))
    for _ in range(RECORDINGS - 1):
        await scene.register_as(registration_of(new_uuid7()))


@pytest.mark.usefixtures("small_pages")
async def test_every_difference_is_found_wherever_pages_end(memory: Scene) -> None:
    await fill(memory)
    clean = await memory.audit()
    assert (repairs(clean), clean.chunks, clean.objects) == ({}, OWN + 3 * PACKS, OWN + PACKS)
    keys = [row.object.key for row in await memory.audit_ledger.list_objects(after_key="", up_to_key="~", limit=1_000)]
    for key in keys[::2]:
        await memory.store.delete(key)
    for key in ("a", "chunks/x", "chunks/y", "packs/x", "recordings/x", "z"):
        await memory.store.put(key, b"x")
    documents = await memory.keys("recordings/0")
    for key in documents[::2]:
        await memory.store.delete(key)
    found = await memory.audit()
    assert (found.missing, found.foreign, found.restored) == (len(keys[::2]), 6, len(documents[::2]))
    assert found.rerequested == sum(state is ChunkState.WANTED for state in await memory.states(OWN + 3 * PACKS))
    assert repairs(await memory.audit()) == {"foreign": 6}


@pytest.mark.usefixtures("small_pages")
async def test_an_audit_that_stops_between_two_pages_goes_on_from_there(memory: Scene) -> None:
    await fill(memory)
    whole = await memory.audit()
    saved, pages = write_tally(Tally()), 0
    while True:
        tally = read_tally(saved)
        is_done = await memory.auditor().step(tally)  # another process each time
        saved, pages = write_tally(tally), pages + 1
        if is_done:
            break
    assert (tally.chunks, tally.objects, repairs(tally)) == (whole.chunks, whole.objects, {})
    assert pages >= 10


@pytest.mark.parametrize("keys", [3, 4, 5])
async def test_no_tombstone_is_missed_where_a_page_ends_within_a_recording(
    memory: Scene, monkeypatch: pytest.MonkeyPatch, keys: int
) -> None:
    monkeypatch.setattr(recording_listing, "LIST_PAGE_MAX", keys)
    deleted = [new_uuid7() for _ in range(5)]
    for recording_id in deleted:
        await memory.register_as(registration_of(recording_id))
        tombstone = Tombstone(recording_id=recording_id, deleted_at=STARTED_AT)
        await memory.store.put(CertificateKey(recording_id).text, b"{}")
        await memory.store.put(TombstoneKey(recording_id).text, msgspec.json.encode(tombstone))
    assert (await memory.audit()).restored == 5
    for recording_id in deleted:
        found = await memory.ledger.find_recording(recording_id)
        assert found is not None and found.state is RecordingState.DELETED


async def test_a_clean_audit_asks_for_pages_and_never_for_an_object(memory: Scene) -> None:
    await fill(memory)
    watched = Watched(memory.store)
    memory.store = watched.port
    await memory.audit()
    asked = {name for name, _ in watched.calls}
    assert asked == {"list_page", "read_clock"}
    assert watched.count("list_page") == 7  # one of each kind, and four of what lies between and around them


async def test_a_row_that_comes_between_listing_and_looking_is_no_difference(memory: Scene) -> None:
    await memory.register()
    late = asyncio.Event()

    async def store_after_the_listing(name: str, prefix: object) -> None:
        if name == "list_page" and prefix == "chunks/" and not late.is_set():
            late.set()
            await memory.store_own(0)

    watched = Watched(memory.store, after=store_after_the_listing)
    audited = Scene(memory.ledger, watched.port, memory.recording_id, audit_ledger=memory.audit_ledger)
    assert repairs(await audited.audit()) == {}
    assert await memory.states(1) == [ChunkState.STORED]
