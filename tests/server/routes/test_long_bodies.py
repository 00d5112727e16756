"""Bodies of megabytes over real connections: whole, in order, and cut off where they stall."""

import asyncio
import random
from contextlib import suppress
from functools import partial

import pytest

from protocol.checksums import format_content_digest, sha256
from protocol.limits import CHUNK_MAX_BYTES
from server.routes import chunks
from server.routes.bodies import read_body
from tests.server.routes.wire_client import exchange, served_on_a_socket
from tests.server.stack import Stack

MIB = 1024 * 1024


def bytes_of(index: int, size: int) -> bytes:
    return random.Random(index).randbytes(size)


def put_of(stack: Stack, index: int, body: bytes, *fields: str, version: str = "1.1") -> bytes:
    """The whole request as it goes over the wire."""
    head = [
        f"PUT {stack.path}/chunks/{index} HTTP/{version}",
        "Host: localhost",
        f"Content-Length: {len(body)}",
        f"Content-Digest: {format_content_digest(sha256(body))}",
        "Chunk-Run: 0",
        *fields,
    ]
    return "\r\n".join([*head, "", ""]).encode() + body


async def stored_sizes(stack: Stack) -> dict[int, int]:
    """Size by index of what is stored; each one's bytes were compared."""
    sizes: dict[int, int] = {}
    for row in await stack.rows():
        found = await stack.client.get(f"{stack.path}/chunks/{row.chunk_index}")
        assert found.content == bytes_of(row.chunk_index, row.size)
        sizes[row.chunk_index] = row.size
    return sizes


@pytest.mark.parametrize("piece_bytes", [10 * MIB, 300_007], ids=["at once", "in pieces"])
async def test_long_bodies_one_behind_the_other_are_each_stored_as_they_were_sent(
    memory_stack: Stack, piece_bytes: int
) -> None:
    # Given a connection on which the next request begins right behind a body, as a client that pipelines sends it
    await memory_stack.register()
    sizes = {0: 3 * MIB + 1, 1: 7, 2: 200_001, 3: CHUNK_MAX_BYTES, 4: 1}
    requests = [put_of(memory_stack, index, bytes_of(index, size)) for index, size in sizes.items()]
    last = put_of(memory_stack, 5, bytes_of(5, MIB), "Connection: close")
    wire = b"".join([*requests, last])
    # When all of it is sent
    async with served_on_a_socket(memory_stack) as port:
        answers = await exchange(port, *(wire[at : at + piece_bytes] for at in range(0, len(wire), piece_bytes)))
    # Then each has its answer and its bytes are stored
    assert answers.count(b"HTTP/1.1 201") == 6
    assert await stored_sizes(memory_stack) == {**sizes, 5: MIB}
    assert memory_stack.parts.waiting.byte_count == 0


async def test_a_long_body_of_http_1_0_and_one_that_waits_for_100_continue(memory_stack: Stack) -> None:
    await memory_stack.register()
    async with served_on_a_socket(memory_stack) as port:
        old = await exchange(port, put_of(memory_stack, 0, bytes_of(0, 2 * MIB), version="1.0"))
        body = bytes_of(1, 2 * MIB)
        request = put_of(memory_stack, 1, body, "Expect: 100-continue", "Connection: close")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request[: -len(body)])
        assert (await reader.readline()).startswith(b"HTTP/1.1 100")
        writer.write(body)
        waited_for = await reader.read()
        writer.close()
    assert old.startswith(b"HTTP/1.1 201")
    assert b"HTTP/1.1 201" in waited_for
    assert await stored_sizes(memory_stack) == {0: 2 * MIB, 1: 2 * MIB}


async def test_a_peer_that_goes_in_the_middle_of_a_long_body_leaves_nothing_behind(memory_stack: Stack) -> None:
    await memory_stack.register()
    keys = await memory_stack.keys()
    request = put_of(memory_stack, 0, bytes_of(0, 4 * MIB))
    async with served_on_a_socket(memory_stack) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request[: 2 * MIB])
        await writer.drain()
        async with asyncio.timeout(10):
            while not memory_stack.parts.waiting.byte_count:
                await asyncio.sleep(0)
            writer.close()
            while memory_stack.parts.waiting.byte_count:
                await asyncio.sleep(0)
    assert await memory_stack.rows() == []
    assert await memory_stack.keys() == keys


async def test_a_long_body_that_stalls_is_cut_off_and_its_late_bytes_are_no_request(
    memory_stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    await memory_stack.register()
    monkeypatch.setattr(chunks, "read_body", partial(read_body, window_s=0.1))
    request = put_of(memory_stack, 0, bytes_of(0, 4 * MIB))
    async with served_on_a_socket(memory_stack) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request[: 2 * MIB])
        answer = await reader.readuntil(b"\r\n\r\n")
        writer.write(put_of(memory_stack, 1, bytes_of(1, 10)))
        with suppress(ConnectionError):  # closed either way
            assert b"HTTP/1.1" not in await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"connection: close" in answer
    assert await memory_stack.rows() == []
    assert memory_stack.parts.waiting.byte_count == 0
