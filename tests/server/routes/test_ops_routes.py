"""What the operator's page reads: figures that add up, and where each chunk's bytes really lie."""

import asyncio
import json
from pathlib import Path
from uuid import uuid4

import pytest

from protocol.ids import loose_recording_id
from server.metrics import Metrics
from server.ops.history import HistoryKeeper
from server.storage.blob_store import BlobStoreUnavailableError
from server.storage.keys import new_uuid7
from tests.server.routes.problem_of import problem_of
from tests.server.routes.test_chunk_routes import put
from tests.server.stack import Stack

UNKNOWN = "01939b00-0000-7000-8000-00000000dead"


async def test_now_counts_receipts_objects_and_recordings(memory_stack: Stack) -> None:
    await memory_stack.register()
    for index in range(3):
        await put(memory_stack, b"bytes", index=index)
    await put(memory_stack, b"bytes")
    await put(memory_stack, b"other")

    overview = (await memory_stack.client.get("/api/ops/now")).json()

    sample = overview["now"]
    assert sample["receipts"] == {"new": 3.0, "again": 1.0}
    assert sample["received_bytes"] == 15.0
    assert sample["refusals"] == {"chunk-differs": 1.0}
    assert sample["ack_seconds"][-1] == 5.0
    assert sample["ack_bounds_s"][-1] == -1.0
    assert sample["ack_seconds"] == sorted(sample["ack_seconds"])
    assert overview["recordings"] == {"open": 1}
    assert overview["findings"] == {}
    assert set(overview["checks"]) == {"bucket", "ledger", "installation", "disk", "process"}


async def test_now_says_that_a_store_is_away_instead_of_failing(memory_stack: Stack) -> None:
    memory_stack.store.get_fault = BlobStoreUnavailableError("away")  # type: ignore[attr-defined]
    answer = await memory_stack.client.get("/api/ops/now")
    assert answer.status_code == 200
    assert answer.json()["checks"]["bucket"].startswith("away")


async def test_every_place_is_where_the_bytes_are(stack: Stack) -> None:
    await stack.register()
    bodies = [f"chunk {index}".encode() for index in range(5)]
    await asyncio.gather(*(put(stack, body, index=index) for index, body in enumerate(bodies)))

    first = (await stack.client.get(f"/api/ops{stack.path.removeprefix('/api')}/places?limit=3")).json()
    query = {"limit": 3, "cursor": first["next_cursor"]}
    second = (await stack.client.get(f"/api/ops{stack.path.removeprefix('/api')}/places", params=query)).json()

    places = [*first["places"], *second["places"]]
    assert second["next_cursor"] is None
    assert [place["chunk_index"] for place in places] == list(range(5))
    later = (await stack.client.get(f"/api/ops{stack.path.removeprefix('/api')}/places?from=3")).json()
    assert later["places"] == places[3:]
    for place, body in zip(places, bodies, strict=True):
        assert await stack.store.get_range(place["object_key"], place["object_offset"], place["size"]) == body
        contents = (await stack.client.get(f"/api/ops/objects/{place['object_id']}")).json()
        assert contents["key"] == place["object_key"]
        assert contents["size_in_bucket"] == contents["size"]
        assert place in contents["chunks"]


async def test_an_object_that_is_gone_from_the_bucket_shows_as_gone(stack: Stack) -> None:
    await stack.register()
    await put(stack, b"bytes")
    place = (await stack.client.get(f"/api/ops{stack.path.removeprefix('/api')}/places")).json()["places"][0]
    await stack.store.delete(place["object_key"])
    contents = (await stack.client.get(f"/api/ops/objects/{place['object_id']}")).json()
    assert contents["size_in_bucket"] is None
    assert len(contents["chunks"]) == 1


async def test_a_loose_chunk_is_found_by_its_chunk_id(stack: Stack) -> None:
    chunk_id = f"a/b?{uuid4()}"
    await stack.client.post("/api/chunks/upload", json={"chunkId": chunk_id, "data": "words"})
    (place,) = (await stack.client.get("/api/ops/loose", params={"chunk_id": chunk_id})).json()["places"]
    assert (place["chunk_id"], place["recording_id"]) == (chunk_id, str(loose_recording_id(chunk_id)))
    assert await stack.store.get_range(place["object_key"], place["object_offset"], place["size"]) == b"words"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/api/ops/recordings/no-id/places", "invalid-recording-id"),
        (f"/api/ops/recordings/{UNKNOWN}/places", "recording-unknown"),
        (f"/api/ops/recordings/{UNKNOWN}/places?cursor=x", "invalid-cursor"),
        (f"/api/ops/recordings/{UNKNOWN}/places?limit=0", "invalid-request"),
        (f"/api/ops/recordings/{UNKNOWN}/places?from=-1", "invalid-request"),
        ("/api/ops/objects/no-id", "invalid-request"),
        (f"/api/ops/objects/{UNKNOWN}", "not-found"),
        ("/api/ops/loose", "invalid-chunk-id"),
        ("/api/ops/loose?chunk_id=%20", "invalid-chunk-id"),
        ("/api/ops/loose?chunk_id=never-sent", "chunk-unknown"),
        ("/api/ops/nothing", "not-found"),
    ],
)
async def test_bad_input_gets_its_code(memory_stack: Stack, path: str, code: str) -> None:
    assert problem_of(await memory_stack.client.get(path)).code == code


async def test_a_deleted_recording_has_no_places(memory_stack: Stack) -> None:
    await memory_stack.register()
    await memory_stack.client.delete(memory_stack.path)
    path = f"/api/ops{memory_stack.path.removeprefix('/api')}/places"
    assert problem_of(await memory_stack.client.get(path)).code == "recording-deleted"


async def test_the_page_says_that_it_is_not_built_and_is_served_when_it_is(memory_stack: Stack) -> None:
    assert (await memory_stack.client.get("/ops")).status_code == 503
    folder = memory_stack.parts.settings.web_dir
    folder.mkdir(parents=True)
    (folder / "ops.html").write_text("<!doctype html><title>ops</title>")
    answer = await memory_stack.client.get("/ops", headers={"host": "127.0.0.1:3000"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "script-src 'self'" in answer.headers["content-security-policy"]


# -- the last hour


def test_an_hour_is_kept_and_no_more() -> None:
    at_s = 0.0
    keeper = HistoryKeeper(Metrics(), None, read_clock_s=lambda: at_s)
    for _ in range(500):
        keeper.take()
        at_s += 10
    samples = keeper.read().samples
    assert samples[-1].at - samples[0].at == 3_600


async def test_one_process_takes_the_samples_and_every_one_gives_them(tmp_path: Path) -> None:
    first, second = (HistoryKeeper(Metrics(), tmp_path) for _ in range(2))
    running = [asyncio.create_task(keeper.run()) for keeper in (first, second)]
    while not first.read().samples:
        await asyncio.sleep(0)
    assert second.read() == first.read()
    assert len(first.read().samples) == 1
    # The one that took them dies; the other goes on where it ended.
    running[0].cancel()
    await asyncio.gather(running[0], return_exceptions=True)
    running[1].cancel()
    await asyncio.gather(running[1], return_exceptions=True)
    third = HistoryKeeper(Metrics(), tmp_path)
    running.append(asyncio.create_task(third.run()))
    while len(third.read().samples) < 2:
        await asyncio.sleep(0)
    running[2].cancel()
    await asyncio.gather(*running, return_exceptions=True)
    assert json.loads((tmp_path / "history.json").read_text())["every_s"] == 10.0


async def test_the_bucket_is_measured_where_it_is_real(real_stack: Stack) -> None:
    from server.storage.measured_blob_store import MeasuredBlobStore

    seen: list[tuple[str, str, bool]] = []
    store = MeasuredBlobStore(real_stack.store, lambda call, what, _, ok: seen.append((call, what, ok)))
    key = f"recordings/{new_uuid7()}/recording.json"
    await store.put(key, b"x")
    assert await store.get(key) == b"x"
    with pytest.raises(Exception, match="no object"):
        await store.get(key + "x")
    assert seen == [("put", "other", True), ("get", "other", True), ("get", "other", True)]
