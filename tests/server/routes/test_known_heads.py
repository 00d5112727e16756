"""A head that is known is not parsed again, and nobody can tell."""

import asyncio
from itertools import pairwise
from typing import Any, Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from protocol.ids import loose_recording_id
from server import http_protocol
from server.http_protocol import make_protocol
from server.known_heads import HEAD_BYTES_MAX, HEADS_MAX, KnownHeads
from tests.server.routes.wire_client import exchange, request_of, served_on_a_socket
from tests.server.stack import Stack

HEADERS: Final = [(b"host", b"localhost"), (b"content-length", b"4")]
REQUEST: Final = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody"


def test_only_the_same_head_with_a_body_of_its_length_is_found() -> None:
    known = KnownHeads()
    assert known.find(REQUEST) is None
    known.remember(REQUEST, HEADERS, 4)
    found = known.find(REQUEST.replace(b"body", b"more"))
    assert found is not None
    assert (found.headers, found.body.announced_bytes, REQUEST[found.head_bytes :]) == (HEADERS, 4, b"body")
    for other in (REQUEST[:-1], REQUEST + b"!", REQUEST + REQUEST, REQUEST.replace(b"localhost", b"Localhost"), b""):
        assert known.find(other) is None


@pytest.mark.parametrize(
    ("data", "headers", "body_bytes"),
    [
        (REQUEST + REQUEST, HEADERS, 4),
        (b"\r\n\r\n" + REQUEST, HEADERS, 4),
        (REQUEST, HEADERS, 3),
        (REQUEST, HEADERS[:1], 4),
        (REQUEST, [(b"content-length", b"0" * 19 + b"4")], 4),
        (REQUEST.replace(b"localhost", b"h" * HEAD_BYTES_MAX), HEADERS, 4),
    ],
    ids=["two", "an empty line before it", "in pieces", "no length", "no sane length", "a long head"],
)
def test_what_is_not_one_whole_request_with_its_length_told_is_not_remembered(
    data: bytes, headers: list[tuple[bytes, bytes]], body_bytes: int
) -> None:
    known = KnownHeads()
    known.remember(data, headers, body_bytes)
    assert (len(known), known.find(data)) == (0, None)


def test_heads_that_differ_each_time_do_not_gather() -> None:
    known = KnownHeads()
    for number in range(HEADS_MAX + 1):
        known.remember(REQUEST.replace(b"localhost", b"host-%d" % number), HEADERS, 4)
    assert len(known) == 1


async def test_the_second_request_of_a_kind_is_not_parsed(memory_stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[bytes] = []
    original = HttpToolsProtocol.data_received

    def note(self: Any, data: bytes) -> None:
        parsed.append(data)
        original(self, data)

    monkeypatch.setattr(HttpToolsProtocol, "data_received", note)
    first, second, last = request_of("a"), request_of("b"), request_of("c", "data", "Connection: close")
    async with served_on_a_socket(memory_stack) as port:
        told = await exchange(port, first, second, last, pause_s=0.05)
        assert parsed == [first, last]
        assert told.count(b"HTTP/1.1 200 ") == 3
        assert await memory_stack.rows(loose_recording_id("b"))
        # A head that ends its connection is not kept.
        await exchange(port, last)
        assert parsed == [first, last, last]


async def test_before_the_first_comparison_a_known_head_waits_as_any_other(
    memory_stack: Stack, taken: list[bytes]
) -> None:
    installation: Any = memory_stack.parts.installation
    async with served_on_a_socket(memory_stack) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for verdict in (installation.verdict, None):
            installation._verdict = verdict
            writer.write(request_of("a"))
            assert b" 200 " in await reader.readuntil(b"\r\n")
            await reader.readuntil(b"}")
        assert len(taken) == 1
        writer.close()


class _Wire(asyncio.Transport):
    """A connection's other end: keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_closed = False

    def write(self, data: Any) -> None:
        self.written += data

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed

    def pause_reading(self) -> None:
        """Whoever feeds the connection does not look."""

    def resume_reading(self) -> None:
        """See `pause_reading`."""


class _Ready:
    """Parts of a worker that knows what it stands on, as far as `may_take` looks."""

    class installation:  # noqa: N801
        verdict = True


async def _tell_everything(scope: Any, receive: Any, send: Any) -> None:
    """An application whose answer is what it was asked, without the body where it is asked to be early."""
    body = b""
    while scope["path"] != "/early":
        message = await receive()
        if message["type"] != "http.request":
            return
        body += message["body"]
        if not message["more_body"]:
            break
    told = repr((scope["method"], scope["path"], scope["query_string"], scope["headers"], body)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(told))]})
    await send({"type": "http.response.body", "body": told})


def _take_and_tell(_parts: Any, headers: Any, _head: Any, body: bytes, answer: Any) -> None:
    """A hot route whose answer is what it was given, at once or, where the body asks for it, later."""
    told = repr((headers, body)).encode()
    if body.startswith(b"later"):
        asyncio.get_running_loop().call_soon(answer, 503 if b"refuse" in body else 200, b"x-way: hot\r\n", told)
    else:
        answer(200, b"x-way: hot\r\n", told)


async def _converse(packets: list[bytes], knows_heads: bool) -> list[tuple[bytes, bool, bool]]:
    """What a worker answers to the packets on one connection and then on another one.

    Of each: what was written, whether it was closed, and whether the rest of a head is awaited.
    """
    config = Config(_tell_everything, log_config=None, access_log=False, lifespan="off")
    config.load()
    kind = make_protocol(lambda: _Ready)  # type: ignore[arg-type, return-value]
    if not knows_heads:
        kind.known_heads.remember = lambda *_: None  # type: ignore[method-assign]
    told = []
    for _ in range(2):
        connection, wire = kind(config=config, server_state=ServerState(), app_state={}), _Wire()
        connection.connection_made(wire)
        for packet in packets:
            if wire.is_closed:
                break
            connection.data_received(packet)
            # What was asked is answered before the next packet, or after it.
            for _ in range(0 if b"hurry" in packet else 12):
                await asyncio.sleep(0)
        while connection.tasks:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        connection.connection_lost(None)
        told.append((wire.written, wire.is_closed, connection.has_begun_head))
    return told


def _request(body: bytes, *fields: bytes, line: bytes = b"POST /api/chunks/upload HTTP/1.1") -> bytes:
    return b"\r\n".join([line, b"Host: localhost", *fields, b"Content-Length: %d" % len(body), b"", body])


# A few of each kind, so that the same head comes again, in company and by itself.
_REQUESTS: Final = [
    *(_request(body) for body in (b"body", b"more", b"", b"later", b"later hurry", b"later refuse")),
    *(_request(body, b"X-Request-Id: mine") for body in (b"body", b"\r\n\r\n")),
    _request(b"body", b"Connection: close"),
    _request(b"body", b"Connection: keep-alive"),
    _request(b"body", b"Expect: 100-continue"),
    _request(b"body", b"Connection: upgrade", b"Upgrade: websocket"),
    _request(b"body", line=b"POST /api/chunks/upload HTTP/1.0"),
    _request(b"body", line=b"POST /api/chunks/upload?query HTTP/1.1"),
    _request(b"body", line=b"PUT /api/chunks/upload HTTP/1.1"),
    b"POST /api/chunks/upload HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
    b"POST /api/chunks/upload HTTP/1.1\r\n\r\n",
    b"\r\n" + _request(b"body"),
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
]


@st.composite
def _packets(draw: st.DrawFn) -> list[bytes]:
    """Requests on one connection, some of them whole in a packet, others cut or several in one."""
    packets = []
    for requests in draw(st.lists(st.lists(st.sampled_from(_REQUESTS), min_size=1, max_size=2), max_size=8)):
        stream = b"".join(requests)
        cuts = draw(st.lists(st.integers(0, len(stream)), max_size=2)) if draw(st.booleans()) else []
        ends = [0, *sorted(cuts), len(stream)]
        packets += [stream[begin:end] for begin, end in pairwise(ends) if begin < end]
    return packets


# One that begins in a packet and one that ends in it look alike where the parser is not asked where it is.
_REST: Final = b"load HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody"
_AS_A_BODY: Final = _request(_request(b"body"), line=b"PUT /early HTTP/1.1")


@settings(max_examples=500)
@given(packets=_packets())
@example(packets=[_request(b"body")])
@example(packets=[_request(b""), _request(b"")])
@example(packets=[_request(b"later hurry"), _request(b"later hurry"), _request(b"later hurry")])
@example(packets=[b"POST /api/chunks/up", _REST, _REST])
@example(packets=[_request(b"body"), _AS_A_BODY[: -len(_request(b"body"))], _request(b"body")])
def test_a_connection_that_knows_heads_answers_as_one_that_parses_each(packets: list[bytes]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(http_protocol, "take_upload", _take_and_tell)
        told = [asyncio.run(_converse(packets, knows_heads)) for knows_heads in (True, False)]
    assert told[0] == told[1]
