"""The hot route's own ways: how requests arrive on a connection, and what is answered to whoever goes away."""

import asyncio
import json
from collections.abc import AsyncIterator
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from protocol.ids import loose_recording_id
from protocol.wire import Receipt
from server import held_connections, hot_route, http_protocol
from server.http_protocol import HEAD_S, IDLE_S, sweep_connections
from server.storage.blob_store import BlobStoreUnavailableError
from server.storage.ledger import LedgerUnavailableError
from tests.server.routes import wire_client
from tests.server.routes.wire_client import exchange, port_of, request_of, served_on_a_socket, serving
from tests.server.stack import Stack


@pytest.fixture
async def port(memory_stack: Stack) -> AsyncIterator[int]:
    async with served_on_a_socket(memory_stack) as found:
        yield found


def answers_in(told: bytes) -> list[tuple[int, dict[str, str], Any]]:
    """(status, headers, JSON) of each answer in a stream of them."""
    found = []
    while told:
        head, _, rest = told.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        length = int(headers["content-length"])
        found.append((int(first.split()[1]), headers, json.loads(rest[:length])))
        told = rest[length:]
    return found


async def test_a_whole_request_is_answered_with_a_receipt_and_the_connection_stays(
    memory_stack: Stack, port: int, taken: list[bytes]
) -> None:
    told = await exchange(port, request_of("a"), request_of("b", "data", "Connection: close"), pause_s=0.05)
    (first, headers, receipt), (second, last_headers, _) = answers_in(told)
    assert (first, second, len(taken)) == (200, 200, 2)
    assert msgspec.convert(receipt, Receipt).recording_id == loose_recording_id("a")
    assert headers["content-type"] == "application/json"
    assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")
    assert headers["x-request-id"] and headers["x-request-id"] != last_headers["x-request-id"]
    assert last_headers["connection"] == "close"
    assert len(await memory_stack.rows(loose_recording_id("b"))) == 1


async def test_each_answer_has_the_date_of_its_own_second(memory_stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    dates = []
    async with serving(memory_stack) as server:
        for unix_s in (1_000_000_000, 1_000_000_001):
            monkeypatch.setattr("uvicorn.server.time", SimpleNamespace(time=lambda now_s=unix_s: now_s))
            await server.on_tick(0)
            ((_, headers, _),) = answers_in(await exchange(port_of(server), request_of("a", "x", "Connection: close")))
            dates.append(headers["date"])
    assert dates == [formatdate(1_000_000_000, usegmt=True), formatdate(1_000_000_001, usegmt=True)]


async def test_a_request_in_pieces_goes_the_ordinary_way_and_gets_the_same_receipt(
    port: int, taken: list[bytes]
) -> None:
    whole = request_of("a", "x" * 500, "Connection: close")
    first = answers_in(await exchange(port, whole))
    cut = answers_in(await exchange(port, whole[:30], whole[30:-200], whole[-200:-1], whole[-1:], pause_s=0.02))
    assert len(taken) == 1
    assert (cut[0][0], cut[0][2]) == (200, first[0][2])


async def test_pipelined_requests_are_answered_in_their_order(port: int) -> None:
    told = await exchange(
        port, request_of("a") + request_of("b", "other") + request_of("c", "third", "Connection: close")
    )
    assert [answer["chunkId"] for _, _, answer in answers_in(told)] == ["a", "b", "c"]


async def test_http_1_0_is_answered_and_closed(port: int) -> None:
    ((status, headers, _),) = answers_in(await exchange(port, request_of("a", version="1.0")))
    assert (status, headers["connection"]) == (200, "close")


async def test_a_client_that_goes_away_cancels_nothing(memory_stack: Stack, port: int) -> None:
    store: Any = memory_stack.store
    held = asyncio.Event()
    original = store.put

    async def put_when_told(key: str, body: bytes) -> str:
        await held.wait()
        return str(await original(key, body))

    store.put = put_when_told
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request_of("a"))
    await writer.drain()
    while memory_stack.parts.waiting.chunk_count == 0:
        await asyncio.sleep(0)
    writer.close()
    await writer.wait_closed()
    held.set()
    await memory_stack.parts.ingest.drain()
    assert len(await memory_stack.rows(loose_recording_id("a"))) == 1
    assert memory_stack.parts.waiting.chunk_count == 0


@pytest.mark.parametrize(
    ("store_name", "call", "error", "code"),
    [
        ("store", "put", BlobStoreUnavailableError("away"), "bucket-unavailable"),
        ("ledger", "acknowledge_coming", LedgerUnavailableError("away"), "ledger-unavailable"),
        ("ledger", "acknowledge_coming", RuntimeError("a bug of ours"), "internal-error"),
    ],
)
async def test_a_store_that_fails_is_a_problem_with_retry_after(
    memory_stack: Stack, port: int, store_name: str, call: str, error: Exception, code: str
) -> None:
    async def fail(*_: Any, **__: Any) -> Any:
        raise error

    setattr(getattr(memory_stack, store_name), call, fail)
    ((status, headers, problem),) = answers_in(await exchange(port, request_of("a", "data", "Connection: close")))
    assert (problem["code"], headers["content-type"]) == (code, "application/problem+json")
    assert (status >= 500, int(headers["retry-after"]) > 0) == (True, True)
    assert problem["request_id"] == headers["x-request-id"]


async def test_while_draining_it_refuses_and_before_the_first_comparison_it_waits(
    memory_stack: Stack, port: int, taken: list[bytes]
) -> None:
    installation: Any = memory_stack.parts.installation
    known, installation._verdict = installation._verdict, None
    assert not hot_route.may_take(memory_stack.parts)
    ((status, _, _),) = answers_in(await exchange(port, request_of("a", "data", "Connection: close")))
    assert (status, taken) == (200, [])
    installation._verdict = known
    memory_stack.app.begin_drain()
    ((status, _, problem),) = answers_in(await exchange(port, request_of("b", "data", "Connection: close")))
    assert (status, problem["code"]) == (503, "draining")


async def test_a_prepared_refusal_says_what_the_ordinary_one_says(memory_stack: Stack, port: int) -> None:
    place = memory_stack.parts.waiting.take(memory_stack.parts.settings.bytes_waiting_max)
    told = []
    for address in (b"/api/chunks/upload", b"/api/chunks/upload", b"/api/chunks/upload?way=ordinary"):
        request = request_of("a", "data", "Connection: close").replace(b"/api/chunks/upload", address)
        ((status, headers, problem),) = answers_in(await exchange(port, request))
        request_id = problem.pop("request_id")
        assert request_id == headers["x-request-id"]
        names = ("content-type", "retry-after", "cache-control", "x-content-type-options")
        told.append((request_id, status, problem, [headers[name] for name in names]))
    place.give_back()
    (first_id, *first), (second_id, *second), (_, *ordinary) = told
    assert first == second == ordinary
    assert (first_id != second_id, ordinary[:1]) == (True, [503])


@pytest.mark.parametrize("is_whole", [True, False], ids=["short way", "ordinary way"])
async def test_a_refused_connection_is_read_again_only_in_its_turn(
    memory_stack: Stack, monkeypatch: pytest.MonkeyPatch, is_whole: bool
) -> None:
    monkeypatch.setattr(held_connections, "TICK_S", 3600.0)
    kinds: list[type[http_protocol.HoldfastProtocol]] = []
    original = http_protocol.make_protocol

    def note(find_parts: Any) -> Any:
        kinds.append(original(find_parts))
        return kinds[0]

    monkeypatch.setattr(wire_client, "make_protocol", note)
    async with served_on_a_socket(memory_stack) as port:
        waiting = memory_stack.parts.waiting
        place = waiting.take(memory_stack.parts.settings.bytes_waiting_max)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        # A query takes a request off the short way.
        address = b"/api/chunks/upload" if is_whole else b"/api/chunks/upload?way=ordinary"
        writer.write(request_of("refused").replace(b"/api/chunks/upload", address))
        assert b" 503 " in await reader.readuntil(b"\r\n")
        await reader.readuntil(b"}")
        writer.write(request_of("next", "data", "Connection: close"))
        await writer.drain()
        place.give_back()
        assert len(kinds[0].held) == 1
        await exchange(port, request_of("other", "data", "Connection: close"))
        assert await memory_stack.rows(loose_recording_id("next")) == []
        kinds[0].held.release()
        assert b" 200 " in await reader.readuntil(b"\r\n")
        assert len(await memory_stack.rows(loose_recording_id("next"))) == 1
        writer.close()


@pytest.mark.parametrize(
    ("sent", "is_answering", "silent_s", "is_overdue"),
    [
        (b"", False, HEAD_S + 1, True),
        (b"", False, HEAD_S - 1, False),
        (b"POST /api/chunks/upload HTTP/1.1\r\nHost: l", False, HEAD_S + 1, True),
        (request_of("a"), False, HEAD_S + 1, False),
        (request_of("a"), False, IDLE_S + 1, True),
        (request_of("a"), True, IDLE_S + 1, False),
    ],
    ids=["nothing sent", "just connected", "half a head", "answered", "idle after an answer", "being answered"],
)
async def test_a_silent_connection_is_overdue_by_what_it_owes(
    memory_stack: Stack, sent: bytes, is_answering: bool, silent_s: float, is_overdue: bool
) -> None:
    found: list[Any] = []
    kind = http_protocol.HoldfastProtocol
    original = kind.connection_made

    def note(self: Any, transport: Any) -> None:
        found.append(self)
        original(self, transport)

    kind.connection_made = note  # type: ignore[method-assign]
    try:
        async with served_on_a_socket(memory_stack) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            if sent.startswith(b"POST") and b"\r\n\r\n" in sent:
                await reader.readuntil(b"}")
            else:
                await asyncio.sleep(0.05)
            (connection,) = found
            if is_answering:
                connection.cycle.response_complete = False
            since_s = connection.quiet_since_s
            assert connection.is_overdue(since_s + silent_s) is is_overdue
            writer.close()
    finally:
        kind.connection_made = original  # type: ignore[method-assign]


async def test_the_sweep_closes_overdue_connections_alone(
    memory_stack: Stack, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "SWEEP_EVERY_S", 0.01)
    closed: list[str] = []

    class Transport:
        def __init__(self, name: str) -> None:
            self.name = name

        def close(self) -> None:
            closed.append(self.name)

    class Connection:
        def __init__(self, name: str) -> None:
            self.transport = Transport(name)

        def is_overdue(self, _now_s: float) -> bool:
            return self.transport.name == "silent"

    sweeping = asyncio.create_task(sweep_connections({Connection("silent"), Connection("busy")}))
    while not closed:
        await asyncio.sleep(0)
    sweeping.cancel()
    assert set(closed) == {"silent"}
