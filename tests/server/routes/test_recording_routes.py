"""Recordings over HTTP: each answer and each refusal, over the fakes and over the real stores."""

import hashlib
from typing import Any

import httpx
import pytest

from protocol.limits import JSON_BODY_MAX_BYTES
from server.storage.keys import CertificateKey, RecordingKey, TombstoneKey, new_uuid7
from tests.server.routes.problem_of import problem_of
from tests.server.routes.test_chunk_routes import put
from tests.server.stack import Stack

UNKNOWN = "01939b00-0000-7000-8000-00000000dead"


def manifest_of(*bodies: bytes, ended: str = "stopped") -> dict[str, Any]:
    return {
        "runs": [{"run": 0, "mime_type": "audio/webm"}],
        "chunks": [
            {"run": 0, "chunk_index": index, "size": len(body), "sha256": hashlib.sha256(body).hexdigest()}
            for index, body in enumerate(bodies)
        ],
        "ended": ended,
    }


async def complete(stack: Stack, *bodies: bytes) -> httpx.Response:
    return await stack.client.post(f"{stack.path}/complete", json=manifest_of(*bodies))


def claims_of(*bodies: bytes) -> dict[str, Any]:
    return {
        "chunks": [
            {"chunk_index": index, "sha256": hashlib.sha256(body).hexdigest()} for index, body in enumerate(bodies)
        ]
    }


async def test_registering_answers_201_then_200_and_stores_the_document_first(stack: Stack) -> None:
    first = await stack.register(title="A take")
    keys = await stack.keys()
    second = await stack.register(title="A take")

    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["title"] == second.json()["title"] == "A take"
    assert RecordingKey(stack.recording_id).text in keys
    assert await stack.keys() == keys


async def test_registering_other_fields_under_the_same_id_is_refused(stack: Stack) -> None:
    await stack.register()
    assert problem_of(await stack.register(mime_type="video/webm")).code == "recording-differs"
    assert (await stack.client.get(stack.path)).json()["mime_type"] == "audio/webm"


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "id of version 4": ({"recording_id": "6a2f41a3-c54c-4ce8-82d2-0324e1c32e22"}, "invalid-recording-id"),
    "id is no UUID": ({"recording_id": "x"}, "invalid-recording-id"),
    "id is a number": ({"recording_id": 1}, "invalid-recording-id"),
    "no MIME type": ({"mime_type": ""}, "invalid-request"),
    "MIME type with a line break": ({"mime_type": "a\nb"}, "invalid-request"),
    "time without an offset": ({"started_at": "2026-01-01T00:00:00"}, "invalid-request"),
    "time is nonsense": ({"started_at": "yesterday"}, "invalid-request"),
    "title too long": ({"title": "x" * 201}, "invalid-request"),
    "title with U+0000": ({"title": "a\0b"}, "invalid-request"),
    "body too large": ({"title": "x" * JSON_BODY_MAX_BYTES}, "body-too-large"),
}


@pytest.mark.parametrize(("changes", "code"), WRONG.values(), ids=WRONG.keys())
async def test_a_wrong_registration_gets_its_own_code_and_nothing_is_stored(
    stack: Stack, changes: dict[str, Any], code: str
) -> None:
    keys = await stack.keys()
    problem = problem_of(await stack.register(**changes))
    assert problem.code == code
    if code == "invalid-request":
        assert next(iter(changes)) in problem.detail, "the detail names the field"
    assert await stack.keys() == keys
    assert (await stack.client.get(stack.path)).status_code == 404


async def test_a_recording_is_described_with_its_gaps(stack: Stack) -> None:
    await stack.register()
    await put(stack, b"a", index=0)
    await put(stack, b"bcd", index=3)
    described = (await stack.client.get(stack.path)).json()
    assert (described["state"], described["chunk_count"], described["byte_count"]) == ("open", 2, 4)
    assert described["gaps"] == [[1, 2]]


async def test_recordings_are_listed_newest_first_by_pages(memory_stack: Stack) -> None:
    stack = memory_stack
    ids = []
    for _ in range(3):
        stack.recording_id = new_uuid7()
        ids.append(str(stack.recording_id))
        await stack.register()
    pages, cursor = [], ""
    while True:
        page = (await stack.client.get("/api/recordings", params={"limit": 2, "cursor": cursor})).json()
        pages.append([recording["recording_id"] for recording in page["recordings"]])
        if page["next_cursor"] is None:
            break
        cursor = page["next_cursor"]
    assert [len(page) for page in pages] == [2, 1]
    assert [found for page in pages for found in page] == sorted(ids, reverse=True)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("cursor=nonsense", "invalid-cursor"),
        ("limit=0", "invalid-request"),
        ("limit=1001", "invalid-request"),
        ("limit=x", "invalid-request"),
        ("limit=-1", "invalid-request"),
        ("q=", "invalid-request"),
        ("q=%20%20", "invalid-request"),
        ("q=a%00b", "invalid-request"),
        (f"q={'x' * 201}", "invalid-request"),
        ("q=talk&cursor=nonsense", "invalid-cursor"),
        ("state=", "invalid-request"),
        ("state=deleted", "invalid-request"),
        ("state=open,", "invalid-request"),
        ("state=Open", "invalid-request"),
        ("started_from=", "invalid-request"),
        ("started_from=2026-01-31", "invalid-request"),
        ("started_from=2026-01-31T18:00:00", "invalid-request"),
        ("started_before=2026-01-31T18:00:00+01:00", "invalid-request"),
        ("started_before=0001-01-01T00:00:00Z", "invalid-request"),
        ("started_before=2026-01-01T00:00:00Z&started_from=2026-01-01T00:00:00Z", "invalid-request"),
    ],
)
async def test_a_wrong_page_is_refused(memory_stack: Stack, query: str, code: str) -> None:
    problem = problem_of(await memory_stack.client.get(f"/api/recordings?{query}"))
    assert problem.code == code
    if code == "invalid-request":
        assert problem.detail.startswith(f"{query.partition('=')[0]} is ")
        assert "; expected " in problem.detail


async def test_recordings_are_sought_by_state_and_time_and_the_cursor_goes_on_in_the_same_search(
    stack: Stack,
) -> None:
    ids = []
    for hour in range(5):
        stack.recording_id = new_uuid7()
        ids.append(str(stack.recording_id))
        await stack.register(started_at=f"2031-05-06T0{hour}:00:00Z")
        if hour == 3:
            await complete(stack)
    query = {
        "state": "open,damaged",
        "started_from": "2031-05-06T02:00:00+01:00",
        "started_before": "2031-05-06T04:00:00.000001Z",
        "limit": "2",
    }
    found, cursor = [], ""
    while True:
        page = (await stack.client.get("/api/recordings", params=query | {"cursor": cursor})).json()
        found += [recording["recording_id"] for recording in page["recordings"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert found == sorted((ids[1], ids[2], ids[4]), reverse=True)


async def test_recordings_are_sought_by_a_part_of_their_title_or_id_and_come_in_pages(stack: Stack) -> None:
    ids = []
    for title in ("The first talk", "A walk", "Talk no. 2", "TALK 3"):
        stack.recording_id = new_uuid7()
        ids.append(str(stack.recording_id))
        await stack.register(title=title)
    found, cursor = [], ""
    while True:
        page = (await stack.client.get("/api/recordings", params={"q": " talk ", "limit": 2, "cursor": cursor})).json()
        found += [recording["recording_id"] for recording in page["recordings"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert found == sorted((ids[0], ids[2], ids[3]), reverse=True)
    (one,) = (await stack.client.get("/api/recordings", params={"q": ids[1].upper()})).json()["recordings"]
    assert one["title"] == "A walk"


async def test_a_title_is_changed_and_kept_in_the_bucket_too(stack: Stack) -> None:
    await stack.register(title="old")
    response = await stack.client.patch(stack.path, json={"title": "new"})
    assert (response.status_code, response.json()["title"]) == (200, "new")
    assert any(f"{stack.recording_id}/titles/" in key for key in await stack.keys())
    assert problem_of(await stack.client.patch(stack.path, json={"title": ""})).code == "invalid-request"
    assert problem_of(await stack.client.patch(stack.path, content=b"{")).code == "unsupported-media-type"


async def test_verify_says_what_bucket_and_ledger_really_hold(stack: Stack) -> None:
    await stack.register()
    await put(stack, b"a", index=0)
    await put(stack, b"b", index=1)
    await put(stack, b"c", index=2)
    rows = await stack.rows()
    await stack.store.delete(next(key for key in await stack.keys() if str(rows[2].object_id) in key))

    response = await stack.client.post(f"{stack.path}/verify", json=claims_of(b"a", b"x", b"c", b"d"))

    answered = response.json()["chunks"]
    assert [chunk["state"] for chunk in answered] == ["verified", "differs", "missing", "unknown"]
    assert answered[1]["sha256"] == hashlib.sha256(b"b").hexdigest()
    assert (await put(stack, b"c", index=2)).status_code == 201
    again = await stack.client.post(f"{stack.path}/verify", json=claims_of(b"a", b"b", b"c"))
    assert {chunk["state"] for chunk in again.json()["chunks"]} == {"verified"}


async def test_a_wrong_verify_gets_its_own_code(memory_stack: Stack) -> None:
    stack = memory_stack
    path = f"{stack.path}/verify"
    post = stack.client.post
    assert problem_of(await post(path, json=claims_of(b"a"))).code == "recording-unknown"
    await stack.register()
    assert problem_of(await post(path, json={"chunks": []})).code == "invalid-request"
    too_many = {"chunks": [{"chunk_index": i, "sha256": "0" * 64} for i in range(1_001)]}
    assert problem_of(await post(path, json=too_many)).code == "invalid-request"
    capitals = {"chunks": [{"chunk_index": 0, "sha256": "A" * 64}]}
    assert "sha256" in problem_of(await post(path, json=capitals)).detail
    assert problem_of(await post("/api/recordings/x/verify", json=claims_of(b"a"))).code == "invalid-recording-id"


async def test_complete_gives_one_certificate_for_ever(stack: Stack) -> None:
    await stack.register()
    await put(stack, b"a", index=0)
    assert problem_of(await stack.client.get(f"{stack.path}/certificate")).code == "certificate-unknown"

    problem = problem_of(await complete(stack, b"a", b"b"))
    assert (problem.code, problem.chunks) == ("chunks-missing", [1])
    await put(stack, b"b", index=1)
    first = await complete(stack, b"a", b"b")

    assert first.status_code == 200
    assert first.json()["chunk_count"] == 2
    assert (await complete(stack, b"a", b"b")).content == first.content
    assert (await stack.client.get(f"{stack.path}/certificate")).content == first.content
    assert await stack.store.get(CertificateKey(stack.recording_id).text) == first.content
    assert (await stack.client.get(stack.path)).json()["state"] == "complete"
    assert problem_of(await complete(stack, b"a")).code == "manifest-differs"


async def test_a_manifest_that_contradicts_the_ledger_is_refused(stack: Stack) -> None:
    await stack.register()
    await put(stack, b"a", index=0)
    await put(stack, b"b", index=1)
    assert problem_of(await complete(stack, b"a", b"x")).code == "manifest-differs"
    assert problem_of(await complete(stack, b"a")).code == "manifest-differs"
    gap = manifest_of(b"a", b"b")
    gap["chunks"][1]["chunk_index"] = 2
    assert problem_of(await stack.client.post(f"{stack.path}/complete", json=gap)).code == "invalid-request"


async def test_a_deleted_recording_answers_410_to_everything_and_204_to_another_delete(stack: Stack) -> None:
    await stack.register()
    await put(stack, b"a", index=0)

    assert (await stack.client.delete(stack.path)).status_code == 204
    assert (await stack.client.delete(stack.path)).status_code == 204

    assert TombstoneKey(stack.recording_id).text in await stack.keys()
    client = stack.client
    answers = [
        await stack.register(),
        await client.get(stack.path),
        await client.patch(stack.path, json={"title": "x"}),
        await client.get(f"{stack.path}/chunks"),
        await client.get(f"{stack.path}/chunks/0"),
        await client.get(f"{stack.path}/certificate"),
        await client.post(f"{stack.path}/verify", json=claims_of(b"a")),
        await complete(stack, b"a"),
        await put(stack, b"a", index=0),
    ]
    assert {problem_of(answer).code for answer in answers} == {"recording-deleted"}
    listed = (await client.get("/api/recordings?limit=1000")).json()["recordings"]
    assert str(stack.recording_id) not in {recording["recording_id"] for recording in listed}


async def test_an_unknown_recording_is_called_unknown_everywhere(stack: Stack) -> None:
    client, path = stack.client, f"/api/recordings/{UNKNOWN}"
    answers = [
        await client.get(path),
        await client.patch(path, json={"title": "x"}),
        await client.get(f"{path}/chunks"),
        await client.get(f"{path}/certificate"),
        await client.post(f"{path}/complete", json=manifest_of(b"a")),
    ]
    assert {problem_of(answer).code for answer in answers} == {"recording-unknown"}


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
async def test_an_invalid_id_is_called_invalid(memory_stack: Stack, method: str) -> None:
    response = await memory_stack.client.request(method, "/api/recordings/not-an-id", json={"title": "x"})
    assert problem_of(response).code == "invalid-recording-id"
