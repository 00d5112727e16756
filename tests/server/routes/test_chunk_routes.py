"""PUT and GET of chunks: every refusal leaves bucket and ledger as they were."""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec
import pytest

from protocol.checksums import format_content_digest
from protocol.errors import ErrorCode
from protocol.limits import CHUNK_MAX_BYTES
from protocol.wire import Receipt
from server.ingest.waiting import Waiting
from server.storage.blob_store import BlobStoreUnavailableError
from server.storage.keys import ChunkKey, new_uuid7, parse_key
from server.storage.ledger import LedgerUnavailableError
from tests.server.faulty_stores import FaultyBlobStore, FaultyLedger
from tests.server.routes.asgi_call import call, piece, pieces
from tests.server.routes.problem_of import problem_of
from tests.server.stack import Stack


def headers_of(body: bytes, run: int = 0) -> dict[str, str]:
    digest = format_content_digest(hashlib.sha256(body).digest())
    return {"Content-Digest": digest, "Chunk-Run": str(run)}


async def put(stack: Stack, body: bytes, index: object = 0, run: int = 0, **headers: str) -> httpx.Response:
    given = {**headers_of(body, run), **{name.replace("_", "-"): value for name, value in headers.items()}}
    return await stack.client.put(f"{stack.path}/chunks/{index}", content=body, headers=given)


async def test_a_chunk_gets_a_receipt_when_bucket_and_ledger_hold_it(stack: Stack) -> None:
    await stack.register()

    response = await put(stack, b"bytes", index=3, run=2)

    assert response.status_code == 201
    receipt = msgspec.json.decode(response.content, type=Receipt)
    digest = hashlib.sha256(b"bytes").digest()
    assert (receipt.recording_id, receipt.chunk_index, receipt.run) == (stack.recording_id, 3, 2)
    assert (receipt.size, receipt.sha256) == (5, digest.hex())
    assert b"chunkId" not in response.content
    (row,) = await stack.rows()
    assert (row.chunk_index, row.run, row.sha256, row.acknowledged_at) == (3, 2, digest, receipt.acknowledged_at)
    key = next(key for key in await stack.keys() if str(row.object_id) in key)
    assert parse_key(key) == ChunkKey(stack.recording_id, 3, 2, digest, row.object_id)
    assert await stack.store.get(key) == b"bytes"


async def test_the_same_chunk_again_gets_the_same_receipt_byte_for_byte(stack: Stack) -> None:
    await stack.register()
    first = await put(stack, b"bytes")
    keys = await stack.keys()

    second = await put(stack, b"bytes")

    assert (first.status_code, second.status_code) == (201, 200)
    assert second.content == first.content
    assert await stack.keys() == keys
    assert len(await stack.rows()) == 1


@pytest.mark.parametrize(("body", "run"), [(b"other", 0), (b"bytes", 1)], ids=["other bytes", "another run"])
async def test_another_content_under_the_same_key_is_refused_and_the_stored_bytes_stay(
    stack: Stack, body: bytes, run: int
) -> None:
    await stack.register()
    first = await put(stack, b"bytes")
    keys, rows = await stack.keys(), await stack.rows()

    response = await put(stack, body, run=run)

    problem = problem_of(response)
    assert (problem.code, problem.chunks) == ("chunk-differs", [0])
    assert (await stack.keys(), await stack.rows()) == (keys, rows)
    assert (await stack.client.get(f"{stack.path}/chunks/0")).content == b"bytes"
    assert (await put(stack, b"bytes")).content == first.content


async def test_the_largest_chunk_is_taken(stack: Stack) -> None:
    await stack.register()
    body = b"x" * CHUNK_MAX_BYTES
    assert (await put(stack, body)).status_code == 201
    assert (await stack.client.get(f"{stack.path}/chunks/0")).content == body


async def test_one_chunk_sent_at_once_by_several_has_one_row_and_one_receipt(stack: Stack) -> None:
    await stack.register()
    responses = await asyncio.gather(*(put(stack, b"bytes") for _ in range(6)))
    assert sorted(response.status_code for response in responses) == [200] * 5 + [201]
    assert len({response.content for response in responses}) == 1
    assert len([key for key in await stack.keys() if str(stack.recording_id) in key and key.startswith("chunks/")]) == 1


@dataclass
class Wrong:
    """A PUT that must be refused."""

    code: ErrorCode
    body: Any = b"bytes"
    index: object = 0
    headers: dict[str, str] = field(default_factory=dict)
    recording: str | None = None
    without: tuple[str, ...] = ()


WRONG = {
    "index is no number": Wrong(ErrorCode.INVALID_CHUNK_INDEX, index="x"),
    "index is negative": Wrong(ErrorCode.INVALID_CHUNK_INDEX, index="-1"),
    "index has zeros before it": Wrong(ErrorCode.INVALID_CHUNK_INDEX, index="00"),
    "index has other digits": Wrong(ErrorCode.INVALID_CHUNK_INDEX, index="%D9%A3"),
    "index is too large": Wrong(ErrorCode.INVALID_CHUNK_INDEX, index=100_000_000),
    "id is no UUID": Wrong(ErrorCode.INVALID_RECORDING_ID, recording="abc"),
    "id is in capitals": Wrong(ErrorCode.INVALID_RECORDING_ID, recording="01939B00-0000-7000-8000-000000000001"),
    "id is of version 4": Wrong(ErrorCode.INVALID_RECORDING_ID, recording="6a2f41a3-c54c-4ce8-82d2-0324e1c32e22"),
    "run is missing": Wrong(ErrorCode.INVALID_REQUEST, without=("Chunk-Run",)),
    "run is no number": Wrong(ErrorCode.INVALID_REQUEST, headers={"Chunk-Run": "one"}),
    "run is too large": Wrong(ErrorCode.INVALID_REQUEST, headers={"Chunk-Run": "10000"}),
    "digest is missing": Wrong(ErrorCode.DIGEST_MISSING, without=("Content-Digest",)),
    "digest is of another algorithm": Wrong(ErrorCode.DIGEST_MISSING, headers={"Content-Digest": "sha-512=:AAAA:"}),
    "digest is no base64": Wrong(ErrorCode.DIGEST_MISSING, headers={"Content-Digest": "sha-256=:????:"}),
    "digest is another's": Wrong(ErrorCode.DIGEST_MISMATCH, headers=headers_of(b"others")),
    "body is empty": Wrong(ErrorCode.CHUNK_EMPTY, body=b"", headers=headers_of(b"")),
    "body is announced too large": Wrong(ErrorCode.CHUNK_TOO_LARGE, body=b"x" * (CHUNK_MAX_BYTES + 1)),
    "body is encoded": Wrong(ErrorCode.UNSUPPORTED_MEDIA_TYPE, headers={"Content-Encoding": "gzip"}),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
async def test_a_wrong_chunk_gets_its_own_code_and_nothing_is_stored(stack: Stack, wrong: Wrong) -> None:
    await stack.register()
    keys = await stack.keys()
    headers = {**headers_of(wrong.body), **wrong.headers}
    for name in wrong.without:
        del headers[name]

    path = f"/api/recordings/{wrong.recording or stack.recording_id}/chunks/{wrong.index}"
    response = await stack.client.put(path, content=wrong.body, headers=headers)

    assert problem_of(response).code == wrong.code
    assert await stack.keys() == keys
    assert await stack.rows() == []


async def test_a_body_without_length_is_counted_while_it_comes(stack: Stack) -> None:
    await stack.register()
    keys = await stack.keys()
    response = await stack.client.put(
        f"{stack.path}/chunks/0", content=pieces(b"x" * CHUNK_MAX_BYTES, b"x"), headers=headers_of(b"")
    )
    assert problem_of(response).code == "chunk-too-large"
    assert response.headers["connection"] == "close"
    assert await stack.keys() == keys


async def test_a_body_announced_too_large_is_refused_before_a_byte_of_it_is_read(memory_stack: Stack) -> None:
    headers = {**headers_of(b""), "Content-Length": str(CHUNK_MAX_BYTES + 1)}
    path = f"{memory_stack.path}/chunks/0"
    answer = await call(memory_stack.app, "PUT", path, headers, [piece(b"x", more=True)])
    assert (answer.status, answer.json()["code"], answer.messages_taken) == (413, "chunk-too-large", 0)


async def test_a_body_that_ends_before_its_length_is_refused(stack: Stack) -> None:
    await stack.register()
    keys = await stack.keys()
    headers = {**headers_of(b"bytes and more"), "Content-Length": "14"}
    for messages in ([piece(b"bytes", more=False)], [piece(b"bytes", more=True)]):
        answer = await call(stack.app, "PUT", f"{stack.path}/chunks/0", headers, messages)
        assert (answer.status, answer.json()["code"]) == (400, "body-incomplete")
    assert (await stack.keys(), await stack.rows()) == (keys, [])


async def test_a_chunk_of_an_unknown_recording_is_refused_until_it_is_registered(stack: Stack) -> None:
    keys = await stack.keys()
    assert problem_of(await put(stack, b"bytes")).code == "recording-unknown"
    assert await stack.keys() == keys
    await stack.register()
    assert (await put(stack, b"bytes")).status_code == 201


async def test_a_chunk_of_a_deleted_recording_is_refused(stack: Stack) -> None:
    await stack.register()
    await stack.client.delete(stack.path)
    keys = await stack.keys()
    assert problem_of(await put(stack, b"bytes")).code == "recording-deleted"
    assert await stack.keys() == keys


async def test_a_chunk_outside_the_manifest_of_a_complete_recording_is_refused(stack: Stack) -> None:
    await stack.register()
    first = await put(stack, b"bytes")
    await complete(stack, [b"bytes"])

    assert problem_of(await put(stack, b"more", index=1)).code == "recording-complete"
    assert len(await stack.rows()) == 1
    assert (await put(stack, b"bytes")).content == first.content


async def complete(stack: Stack, bodies: list[bytes]) -> httpx.Response:
    manifest = {
        "runs": [{"run": 0, "mime_type": "audio/webm"}],
        "chunks": [
            {"run": 0, "chunk_index": index, "size": len(body), "sha256": hashlib.sha256(body).hexdigest()}
            for index, body in enumerate(bodies)
        ],
        "ended": "stopped",
    }
    response = await stack.client.post(f"{stack.path}/complete", json=manifest)
    assert response.status_code == 200, response.text
    return response


async def test_chunks_are_listed_in_order_by_pages(stack: Stack) -> None:
    await stack.register()
    for index in (2, 0, 1):
        await put(stack, b"%d" % index, index=index)

    first = (await stack.client.get(f"{stack.path}/chunks", params={"limit": 2})).json()
    second = (
        await stack.client.get(f"{stack.path}/chunks", params={"limit": 2, "cursor": first["next_cursor"]})
    ).json()

    assert [row["chunk_index"] for row in first["chunks"] + second["chunks"]] == [0, 1, 2]
    assert second["next_cursor"] is None


async def test_a_chunk_is_given_back_as_something_to_save(stack: Stack) -> None:
    await stack.register()
    await put(stack, b"<script>", run=4)
    response = await stack.client.get(f"{stack.path}/chunks/0")
    assert response.content == b"<script>"
    assert response.headers["content-type"] == "application/octet-stream"
    assert response.headers["content-disposition"] == "attachment"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["content-digest"] == headers_of(b"<script>")["Content-Digest"]
    assert response.headers["chunk-run"] == "4"


async def test_reading_refuses_by_name(stack: Stack) -> None:
    get = stack.client.get
    assert problem_of(await get(f"{stack.path}/chunks/0")).code == "recording-unknown"
    await stack.register()
    assert problem_of(await get(f"{stack.path}/chunks/0")).code == "chunk-unknown"
    assert problem_of(await get(f"{stack.path}/chunks/x")).code == "invalid-chunk-index"
    assert problem_of(await get(f"{stack.path}/chunks?cursor=!")).code == "invalid-cursor"
    assert problem_of(await get(f"{stack.path}/chunks?limit=0")).code == "invalid-request"
    assert problem_of(await get("/api/recordings/x/chunks")).code == "invalid-recording-id"
    await stack.client.delete(stack.path)
    assert problem_of(await get(f"{stack.path}/chunks/0")).code == "recording-deleted"
    assert problem_of(await get(f"{stack.path}/chunks")).code == "recording-deleted"


async def test_bytes_that_fail_their_digest_are_never_served_and_asked_for_again(stack: Stack) -> None:
    await stack.register()
    await put(stack, b"bytes")
    (row,) = await stack.rows()
    key = next(key for key in await stack.keys() if str(row.object_id) in key)
    await stack.store.delete(key)
    await stack.store.put(key, b"bytez")

    response = await stack.client.get(f"{stack.path}/chunks/0")

    assert problem_of(response).code == "chunk-damaged"
    assert b"bytez" not in response.content
    again = await put(stack, b"bytes")
    assert again.status_code == 201
    assert (await stack.client.get(f"{stack.path}/chunks/0")).content == b"bytes"


async def test_overload_is_refused_before_a_byte_of_the_body_is_read(memory_stack: Stack) -> None:
    stack = memory_stack
    await stack.register()
    held = stack.parts.waiting.take(stack.parts.settings.bytes_waiting_max - 4)
    headers = {**headers_of(b"bytes"), "Content-Length": "5"}

    answer = await call(stack.app, "PUT", f"{stack.path}/chunks/0", headers, [piece(b"bytes", more=False)])

    assert (answer.status, answer.json()["code"], answer.messages_taken) == (503, "overloaded", 0)
    assert answer.headers["retry-after"]
    held.give_back()
    assert (await put(stack, b"bytes")).status_code == 201


async def test_a_stopping_process_takes_nothing_new_and_says_so(memory_stack: Stack) -> None:
    stack = memory_stack
    await stack.register()
    stack.app.begin_drain()
    assert problem_of(await put(stack, b"bytes")).code == "draining"
    assert await stack.rows() == []


def _bucket_fails(stack: Stack) -> None:
    assert isinstance(stack.store, FaultyBlobStore)
    stack.store.put_faults.extend([BlobStoreUnavailableError("s3.internal is away")] * 2)


def _ledger_fails(stack: Stack) -> None:
    assert isinstance(stack.ledger, FaultyLedger)
    stack.ledger.acknowledge_faults.append(LedgerUnavailableError("password of db.internal"))


def _we_fail(stack: Stack) -> None:
    assert isinstance(stack.ledger, FaultyLedger)
    stack.ledger.acknowledge_faults.append(ZeroDivisionError("internals"))


@pytest.mark.parametrize(
    ("fail", "code"),
    [
        (_bucket_fails, "bucket-unavailable"),
        (_ledger_fails, "ledger-unavailable"),
        (_we_fail, "internal-error"),
    ],
)
async def test_a_failure_of_our_own_is_retryable_and_shows_no_internals(
    memory_stack: Stack, fail: Callable[[Stack], None], code: str
) -> None:
    stack = memory_stack
    await stack.register()
    fail(stack)

    response = await put(stack, b"bytes")

    assert problem_of(response).code == code
    assert "internal" not in response.text.replace("internal-error", "").replace("Internal error", "")
    assert await stack.rows() == []
    assert (stack.parts.waiting.byte_count, stack.parts.waiting.chunk_count) == (0, 0)
    assert (await put(stack, b"bytes")).status_code == 201


async def test_an_emptied_ledger_is_a_mismatch_and_takes_nothing(memory_stack: Stack) -> None:
    stack = memory_stack
    await stack.register()
    assert isinstance(stack.ledger, FaultyLedger)
    stack.ledger.recordings.clear()
    stack.ledger.installation_id = None

    # The client heals recording-unknown by registering again, and that must not go into an emptied ledger.
    assert problem_of(await stack.register()).code == "store-mismatch"
    problem = problem_of(await put(stack, b"bytes"))

    assert problem.code == "store-mismatch"
    assert "rebuild-ledger" in problem.next_step


async def test_a_disputed_chunk_is_neither_taken_nor_served(memory_stack: Stack) -> None:

    from protocol.states import ChunkState

    stack = memory_stack
    await stack.register()
    await put(stack, b"bytes")
    assert isinstance(stack.ledger, FaultyLedger)
    (row,) = await stack.rows()
    stack.ledger.chunks.write(msgspec.structs.replace(row, state=ChunkState.DISPUTED))

    assert problem_of(await put(stack, b"bytes")).code == "chunk-disputed"
    assert problem_of(await stack.client.get(f"{stack.path}/chunks/0")).code == "chunk-disputed"


async def test_bodies_without_length_take_the_largest_place(memory_stack: Stack) -> None:
    waiting = memory_stack.parts.waiting
    assert isinstance(waiting, Waiting)
    held = waiting.take(memory_stack.parts.settings.bytes_waiting_max - CHUNK_MAX_BYTES + 1)
    response = await memory_stack.client.put(
        f"/api/recordings/{new_uuid7()}/chunks/0", content=pieces(b"x"), headers=headers_of(b"x")
    )
    assert problem_of(response).code == "overloaded"
    held.give_back()
