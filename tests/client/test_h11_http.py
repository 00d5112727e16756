"""Requests without a browser: whole answers, early ones, and an error for everything else."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from client_py.local.h11_http import ANSWER_BYTES_MAX, H11Http, InvalidServerUrlError, parse_server_url
from client_py.ports import NetworkError, RequestTimedOutError

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 201 Created\r\nContent-Length: 4\r\nX-Name: Value\r\n\r\nbody"


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[str]:
    async def serve_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve_and_close, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/base/"


async def test_a_request_carries_its_bytes_and_headers_and_gives_the_whole_answer() -> None:
    heard = bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        heard.extend(head + await reader.readexactly(1_000_000))
        writer.write(OK[:30])
        await writer.drain()
        writer.write(OK[30:])

    async with serving(serve) as url:
        answer = await H11Http(url).request("PUT", "/x", headers={"chunk-run": "7"}, body=bytes(1_000_000), timeout_s=9)
    assert (answer.status, answer.headers["x-name"], answer.body) == (201, "Value", b"body")
    head = bytes(heard).partition(b"\r\n\r\n")[0].decode().lower().split("\r\n")
    assert head[0] == "put /base/x http/1.1"
    assert {"chunk-run: 7", "content-length: 1000000", "connection: close"} <= set(head)
    assert any(line.startswith("host: 127.0.0.1:") for line in head)


async def test_a_refusal_that_comes_before_the_whole_body_is_an_answer() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with serving(serve) as url:
        answer = await H11Http(url).request("PUT", "/", headers={}, body=bytes(30_000_000), timeout_s=30)
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut", b"not http at all\r\n\r\n"]
)
async def test_no_answer_half_an_answer_and_nonsense_are_network_errors(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    async with serving(serve) as url:
        with pytest.raises(NetworkError, match="GET /x"):
            await H11Http(url).request("GET", "/x", headers={}, body=None, timeout_s=9)
    with pytest.raises(NetworkError):  # nobody listens there any more
        await H11Http(url).request("GET", "/x", headers={}, body=None, timeout_s=9)


async def test_an_attempt_ends_at_its_limit_and_its_connection_with_it() -> None:
    is_open, is_closed = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        is_open.set()
        await reader.read()
        is_closed.set()

    async with serving(serve) as url:
        with pytest.raises(RequestTimedOutError):
            await H11Http(url).request("GET", "/", headers={}, body=None, timeout_s=0.05)
        await asyncio.wait_for(is_closed.wait(), 9)
        is_open.clear()
        is_closed.clear()
        task = asyncio.create_task(H11Http(url).request("GET", "/", headers={}, body=None, timeout_s=9))
        await is_open.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.wait_for(is_closed.wait(), 9)


async def test_an_answer_without_end_is_cut_off() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(ANSWER_BYTES_MAX // 1_000_000 + 2):
            writer.write(bytes(1_000_000))

    async with serving(serve) as url:
        with pytest.raises(NetworkError, match="longer than"):
            await H11Http(url).request("GET", "/", headers={}, body=None, timeout_s=30)


@pytest.mark.parametrize(
    "text", ["", "localhost:3000", "ftp://host", "http://", "http://host:99999", "http://host?x", "http://me@host"]
)
def test_what_is_no_servers_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidServerUrlError, match="expected one like http://localhost:3000"):
        parse_server_url(text)
