"""Loose chunks: the JSON way in, and back by any chunkId."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import pytest

from protocol.ids import loose_recording_id
from protocol.limits import LOOSE_BODY_MAX_BYTES
from protocol.wire import Receipt
from server.storage.pack_format import read_pack_index
from tests.server.routes.asgi_call import call, pieces
from tests.server.routes.problem_of import problem_of
from tests.server.routes.wire_client import served_on_a_socket
from tests.server.stack import Stack

# One of each kind that an address could spoil: slashes at every place, dots, percent signs, what needs quoting.
CHUNK_IDS = [
    "a",
    "upload",
    "a/b",
    "a//b",
    "/",
    "//",
    "/a",
    "a/",
    "a/.",
    "..",
    ".",
    "a%2Fb",
    "%",
    "%41",
    "a+b",
    "a?b=c",
    "a#b",
    "a;b",
    "a&b",
    '"\\',
    "~!@$^*()_={}[]|:',.<>`",
    "x" * 128,
]


@pytest.fixture
async def connection_stack(memory_stack: Stack) -> AsyncIterator[Stack]:
    """Over a connection, where whole requests pass the framework by."""
    async with (
        served_on_a_socket(memory_stack) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        yield replace(memory_stack, client=client)


@pytest.fixture(params=["memory", "connection", "real"])
def stack(request: pytest.FixtureRequest) -> Stack:
    """What holds by the framework's route must hold by the short way, and over the real stores."""
    found: Stack = request.getfixturevalue(f"{request.param}_stack")
    return found


async def upload(stack: Stack, chunk_id: str, data: str = "data") -> Any:
    return await stack.client.post("/api/chunks/upload", json={"chunkId": chunk_id, "data": data})


@pytest.mark.parametrize("chunk_id", CHUNK_IDS)
async def test_any_allowed_chunk_id_comes_back_by_its_address(memory_stack: Stack, chunk_id: str) -> None:
    stack = memory_stack
    response = await upload(stack, chunk_id, f"data of {chunk_id}")
    assert response.status_code == 200
    assert response.json()["chunkId"] == chunk_id

    # Straight into the application: a client of its own would tidy the dots away.
    addresses = {quote(chunk_id, safe="")} | ({quote(chunk_id, safe="/")} if "//" not in chunk_id else set())
    for address in addresses:
        answer = await call(stack.app, "GET", f"/api/chunks/{address}", {}, [])
        assert (answer.status, answer.body.decode()) == (200, f"data of {chunk_id}"), address


async def test_a_loose_chunk_gets_a_receipt_when_bucket_and_ledger_hold_it(stack: Stack) -> None:
    chunk_id = f"vu1-{stack.recording_id}"
    response = await upload(stack, chunk_id, "grüße")

    assert response.status_code == 200
    receipt = msgspec.json.decode(response.content, type=Receipt)
    assert receipt.recording_id == loose_recording_id(chunk_id)
    assert (receipt.chunk_index, receipt.run, receipt.chunkId) == (0, 0, chunk_id)
    content = "grüße".encode()
    assert (receipt.size, receipt.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    (row,) = await stack.rows(receipt.recording_id)
    key = next(key for key in await stack.keys() if str(row.object_id) in key)
    (entry,) = read_pack_index(await stack.store.get(key))
    assert (entry.chunk_id, entry.offset) == (chunk_id, row.offset)
    listed = (await stack.client.get("/api/recordings")).json()["recordings"]
    assert str(receipt.recording_id) not in {recording["recording_id"] for recording in listed}


async def test_the_same_loose_chunk_again_gets_the_same_receipt_and_another_is_refused(stack: Stack) -> None:
    chunk_id = f"vu2-{stack.recording_id}"
    first = await upload(stack, chunk_id, "data")
    keys = await stack.keys()

    second = await upload(stack, chunk_id, "data")
    third = await upload(stack, chunk_id, "other")

    assert (second.status_code, second.content) == (200, first.content)
    assert problem_of(third).code == "chunk-differs"
    assert await stack.keys() == keys
    assert (await stack.client.get(f"/api/chunks/{chunk_id}")).content == b"data"


WRONG = {
    "no JSON": (b"{", "invalid-json"),
    "nothing": (b"", "invalid-json"),
    "no UTF-8": (b'{"chunkId":"a","data":"\xff"}', "invalid-json"),
    "nested too deeply": (b'{"chunkId":"a","data":"a","more":' + b"[" * 100_000, "invalid-json"),
    "half a surrogate": (b'{"chunkId":"a","data":"\\ud800"}', "invalid-json"),
    "another form": (b"[]", "invalid-request"),
    "no chunkId": (b'{"data":"a"}', "invalid-request"),
    "no data": (b'{"chunkId":"a"}', "invalid-request"),
    "data is a number": (b'{"chunkId":"a","data":1}', "invalid-request"),
    "empty chunkId": (b'{"chunkId":"","data":"a"}', "invalid-chunk-id"),
    "chunkId with a space": (b'{"chunkId":"a b","data":"a"}', "invalid-chunk-id"),
    "chunkId beyond ASCII": ('{"chunkId":"ü","data":"a"}'.encode(), "invalid-chunk-id"),
    "chunkId too long": (b'{"chunkId":"%s","data":"a"}' % (b"x" * 129), "invalid-chunk-id"),
    "empty data": (b'{"chunkId":"a","data":""}', "chunk-empty"),
    "too large": (b'{"chunkId":"a","data":"%s"}' % (b"x" * LOOSE_BODY_MAX_BYTES), "body-too-large"),
}


@pytest.mark.parametrize(("body", "code"), WRONG.values(), ids=WRONG.keys())
async def test_a_wrong_loose_chunk_gets_its_own_code_and_nothing_is_stored(
    stack: Stack, body: bytes, code: str
) -> None:
    keys = await stack.keys()
    response = await stack.client.post(
        "/api/chunks/upload", content=body, headers={"Content-Type": "application/json; charset=utf-8"}
    )
    assert problem_of(response).code == code
    assert await stack.keys() == keys


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_only_json_is_taken_so_that_no_foreign_page_can_send_one_unasked(
    memory_stack: Stack, media_type: str
) -> None:
    response = await memory_stack.client.post(
        "/api/chunks/upload", content=b'{"chunkId":"a","data":"a"}', headers={"Content-Type": media_type}
    )
    assert problem_of(response).code == "unsupported-media-type"
    assert await memory_stack.keys() == ["holdfast.json"]


async def test_a_body_without_length_is_counted_while_it_comes(memory_stack: Stack) -> None:
    response = await memory_stack.client.post(
        "/api/chunks/upload",
        content=pieces(b" " * LOOSE_BODY_MAX_BYTES, b" "),
        headers={"Content-Type": "application/json"},
    )
    assert problem_of(response).code == "body-too-large"


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("/api/chunks/never-sent", "chunk-unknown"),
        ("/api/chunks/upload", "chunk-unknown"),
        ("/api/chunks/", "invalid-chunk-id"),
        ("/api/chunks", "invalid-chunk-id"),
        ("/api/chunks/a%20b", "invalid-chunk-id"),
        ("/api/chunks/%C3%BC", "invalid-chunk-id"),
        ("/api/chunks/%00", "invalid-chunk-id"),
        (f"/api/chunks/{'x' * 129}", "invalid-chunk-id"),
    ],
)
async def test_reading_a_loose_chunk_refuses_by_name(memory_stack: Stack, address: str, code: str) -> None:
    answer = await call(memory_stack.app, "GET", address, {}, [])
    assert answer.json()["code"] == code


async def test_a_query_is_no_part_of_a_chunk_id(memory_stack: Stack) -> None:
    await upload(memory_stack, "a", "data")
    assert (await memory_stack.client.get("/api/chunks/a?b=c")).content == b"data"
