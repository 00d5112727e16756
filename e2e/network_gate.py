"""The network between browser and server, as a TCP gate that a story shuts, opens and bends.

The page lives at the gate's address. A story bends single requests at exact points ("half of the
body has passed", "the server has answered, the browser has not heard it"), which no timing could hit.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from e2e.tcp_gate import Line, TcpGate, until_either_ends

PORTAL_PAGE = b"<!doctype html><title>Welcome to Hotel Wi-Fi</title><p>Please log in."


class Bend(Enum):
    """What happens to a request."""

    PASS = auto()
    HOLD = auto()  # half of its body goes on, then nothing more happens on this connection
    LOSE_ANSWER = auto()  # the server gets all of it; the connection dies when the answer comes
    PORTAL = auto()  # never reaches the server; a captive portal's page is answered, with 200
    DROP = auto()  # the connection dies before the server hears anything


@dataclass(frozen=True)
class Request:
    """A request's head; `body_bytes` is its Content-Length."""

    method: str
    path: str
    body_bytes: int

    @property
    def is_chunk(self) -> bool:
        """Whether it carries a chunk."""
        return self.method == "PUT" and "/chunks/" in self.path


Rule = Callable[[Request], Bend]


def pass_all(_request: Request) -> Bend:
    """The rule of an honest network."""
    return Bend.PASS


def drop_api(request: Request) -> Bend:
    """The page itself can be loaded, its server cannot be reached."""
    return Bend.DROP if request.path.startswith("/api/") else Bend.PASS


class NetworkGate(TcpGate):
    """Forwards to `upstream_port` on 127.0.0.1."""

    def __init__(self, upstream_port: int) -> None:
        self.upstream_port = upstream_port
        self.rule: Rule = pass_all
        self.bent: list[tuple[Bend, Request]] = []  # every request that was not passed, in order
        self.passed: list[Request] = []
        self.bytes_per_s: int | None = None  # of all connections together, each way; None: as fast as it goes
        self._lines = {"up": Line(), "down": Line()}
        self._is_away = False
        self._clients: set[asyncio.StreamWriter] = set()
        super().__init__("network-gate")

    def away(self) -> None:
        """Every connection dies, and every new one at once, until `back`. The port stays ours meanwhile."""
        self._is_away = True
        self.cut()

    def back(self) -> None:
        """An honest network again; what a bend still holds is cut."""
        self._is_away = False
        self.rule = pass_all
        self.bytes_per_s = None
        self.cut()

    @property
    def piece_bytes(self) -> int:
        """How much goes on at a time: little on a slow line, which is shared by several connections."""
        return 65_536 if self.bytes_per_s is None else 2_048

    async def carry(self, way: str, size: int) -> None:
        """Wait as long as the line takes for so many bytes, behind those it was given before."""
        if self.bytes_per_s is not None:
            await self._lines[way].carry(size, self.bytes_per_s)

    def cut(self) -> None:
        """Every connection that is open now dies."""

        async def abort_all() -> None:
            for client in list(self._clients):
                client.transport.abort()

        self.run(abort_all())

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        upstream: asyncio.StreamWriter | None = None
        try:
            if self._is_away:
                return
            upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", self.upstream_port)
            connection = _Connection(self, reader, writer, upstream_reader, upstream)
            await connection.run()
        finally:
            self._clients.discard(writer)
            writer.transport.abort()
            if upstream is not None:
                upstream.transport.abort()


class _Connection:
    """One connection of the browser and its twin to the server."""

    def __init__(
        self,
        gate: NetworkGate,
        client_reader: asyncio.StreamReader,
        client: asyncio.StreamWriter,
        upstream_reader: asyncio.StreamReader,
        upstream: asyncio.StreamWriter,
    ) -> None:
        self._gate = gate
        self._client_reader = client_reader
        self._client = client
        self._upstream_reader = upstream_reader
        self._upstream = upstream
        self._is_answer_lost = False

    async def run(self) -> None:
        """Until either side ends."""
        await until_either_ends(self._forward_requests(), self._forward_answers())

    async def _forward_requests(self) -> None:
        while True:
            head = await self._client_reader.readuntil(b"\r\n\r\n")
            request = _parse_head(head)
            bend = self._gate.rule(request)
            if bend is Bend.PASS:
                self._gate.passed.append(request)
            if bend is Bend.DROP:
                self._gate.bent.append((bend, request))
                return
            if bend is Bend.PORTAL:
                await self._client_reader.readexactly(request.body_bytes)
                await self._answer_as_portal()
                self._gate.bent.append((bend, request))
                return
            self._is_answer_lost = bend is Bend.LOSE_ANSWER
            self._upstream.write(head)
            if bend is Bend.HOLD:
                self._upstream.write(await self._client_reader.readexactly(request.body_bytes // 2))
                await self._upstream.drain()
                self._gate.bent.append((bend, request))
                await asyncio.Event().wait()
            await self._forward_body(request.body_bytes)
            if bend is Bend.LOSE_ANSWER:
                self._gate.bent.append((bend, request))

    async def _forward_body(self, remaining: int) -> None:
        while remaining:
            piece = await self._client_reader.read(min(remaining, self._gate.piece_bytes))
            if not piece:
                raise ConnectionResetError
            await self._gate.carry("up", len(piece))
            self._upstream.write(piece)
            await self._upstream.drain()
            remaining -= len(piece)
        await self._upstream.drain()

    async def _forward_answers(self) -> None:
        while piece := await self._upstream_reader.read(self._gate.piece_bytes):
            if self._is_answer_lost:
                return
            await self._gate.carry("down", len(piece))
            self._client.write(piece)
            await self._client.drain()

    async def _answer_as_portal(self) -> None:
        self._client.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
            % (len(PORTAL_PAGE), PORTAL_PAGE)
        )
        await self._client.drain()
        self._client.write_eof()
        await self._client_reader.read()  # until the browser has closed its side too


def _parse_head(head: bytes) -> Request:
    first, *fields = head.decode("latin-1").split("\r\n")
    method, path, _version = first.split(" ", 2)
    lengths = [int(f.split(":", 1)[1]) for f in fields if f.lower().startswith("content-length:")]
    return Request(method, path, lengths[0] if lengths else 0)
