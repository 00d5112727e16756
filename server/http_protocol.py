"""HTTP/1.1 on one connection: uvicorn's protocol with deadlines for the silent, and the hot route's short way.

uvicorn waits for ever for the first byte and the head of a request. Here a sweep, not a timer a request, closes
connections that are silent too long (I6); what a body may take is bounded in server/routes/bodies.py.

A request for the hot route that arrives whole in one read is answered without the framework. One that does not goes
the ordinary way from its head on, so nothing is decided by how a client cuts its packets. A head that was parsed
before is not parsed again (server/known_heads.py).

A connection that was just answered 503 is not read again at once (server/held_connections.py).
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from msgspec import Struct
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from protocol.errors import STATUS_OF_CODE
from server.held_connections import HeldConnections
from server.hot_route import HOT_METHOD, HOT_PATH, Headers, may_take, take_upload
from server.known_heads import KnownHeads
from server.routes.bodies import BodyHead

if TYPE_CHECKING:
    from server.parts import Parts

# From the connection, or a request's first byte, to the end of its head.
HEAD_S: Final = 10.0
# Longer than the 60 s that proxies and balancers keep an idle connection, so that they close it first:
# else a request may be sent into a connection that is being closed.
IDLE_S: Final = 75.0
# How late a deadline is noticed.
SWEEP_EVERY_S: Final = 2.0
# A connection costs some 10 KiB and a descriptor; k6 and browsers together need a few hundred.
CONNECTIONS_MAX: Final = 8_192

_TOO_MANY: Final = (
    STATUS_LINE[503]
    + b"content-length: 0\r\nretry-after: 1\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n"
)


_UNAVAILABLE: Final = 503
_HELD_CODES: Final = frozenset(str(code) for code, status in STATUS_OF_CODE.items() if status == _UNAVAILABLE)


class _Settable:
    """Where uvicorn wakes a request's task; the hot route has none."""

    def set(self) -> None:
        """Nobody waits."""


_nobody: Final = _Settable()


class _HotCycle(Struct, eq=False):
    """A request on the hot route, as far as uvicorn's protocol looks at one."""

    keep_alive: bool
    response_complete: bool = False
    is_refused: bool = False
    disconnected: bool = False
    message_event: _Settable = _nobody


class _CommonFields:
    """The fields that uvicorn adds to every answer, as they go over the wire."""

    def __init__(self) -> None:
        self._fields: list[tuple[bytes, bytes]] = []
        self._encoded = b""

    def encode(self, fields: list[tuple[bytes, bytes]]) -> bytes:
        """uvicorn makes them anew once a second, for the date."""
        if fields is not self._fields:
            self._fields, self._encoded = fields, b"".join(b"%b: %b\r\n" % field for field in fields)
        return self._encoded


class HoldfastProtocol(HttpToolsProtocol):
    """One connection. `find_parts`, `held`, `known_heads` and `common` are the worker's, set by `make_protocol`."""

    find_parts: Callable[[], "Parts | None"]
    held: HeldConnections
    known_heads: KnownHeads
    common: _CommonFields

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.quiet_since_s = self.loop.time()
        self.has_begun_head = True  # a new connection owes a head as one in the middle of it does
        self._hot_parts: Parts | None = None
        self._hot_body: list[bytes] | None = None
        self._is_between_requests = True  # as far as the parser is
        self._request_data = b""  # what it is given now, if a request begins with it

    # -- deadlines

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS_MAX:
            transport.write(_TOO_MANY)
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.held.forget(self)
        super().connection_lost(exc)

    def is_overdue(self, now_s: float) -> bool:
        """Whether the peer is silent beyond what it may be."""
        if self.has_begun_head:
            return now_s - self.quiet_since_s > HEAD_S
        is_answering = self.cycle is not None and not self.cycle.response_complete
        return not is_answering and now_s - self.quiet_since_s > IDLE_S

    def on_message_begin(self) -> None:
        """As uvicorn's, without the ASGI scope: the hot route has no use for it."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._is_between_requests = False
        if not self.has_begun_head:
            self.has_begun_head = True
            self.quiet_since_s = self.loop.time()

    def on_response_complete(self) -> None:
        """As uvicorn's, which besides sets a timer for the idle time of each connection after each answer."""
        self.quiet_since_s = self.loop.time()
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._hold_if_refused()

    # -- held after a refusal

    def pause_reading(self) -> None:
        """See `Connection`."""
        self.flow.pause_reading()

    def resume_reading(self) -> None:
        """See `Connection`."""
        if not self.transport.is_closing():
            self.flow.resume_reading()

    def _hold_if_refused(self) -> None:
        """Only when the refused request's body is over: some clients hear the answer no sooner."""
        cycle: RequestResponseCycle | _HotCycle = self.cycle
        if isinstance(cycle, _HotCycle):
            is_refused = cycle.is_refused
        else:
            is_refused = not cycle.more_body and cycle.scope["state"].get("problem_code") in _HELD_CODES
        if is_refused:
            self.held.hold(self)

    # -- the hot route

    def data_received(self, data: bytes) -> None:
        is_beginning = self._is_between_requests
        if is_beginning and self._may_begin() and (known := self.known_heads.find(data)) is not None:
            parts = self.find_parts()
            if may_take(parts):
                self.has_begun_head = False
                self._take(parts, known.headers, known.body, data[known.head_bytes :])
                return
        self._request_data = data if is_beginning else b""
        super().data_received(data)
        self._request_data = b""
        if self._hot_body is not None and self.parser is not None:
            # Its end is still to come: the ordinary way from here on.
            pieces, self._hot_body = self._hot_body, None
            self._begin_ordinary()
            for piece in pieces:
                super().on_body(piece)

    def on_headers_complete(self) -> None:
        self.has_begun_head = False
        if (
            self.url == HOT_PATH
            and self.parser.get_method() == HOT_METHOD
            and not self.expect_100_continue
            and self._may_begin()
            and not self.parser.should_upgrade()
            and may_take(parts := self.find_parts())
        ):
            self._hot_parts, self._hot_body = parts, []
            return
        self._begin_ordinary()

    def _begin_ordinary(self) -> None:
        """What uvicorn does from a request's beginning to the end of its head."""
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self._hot_body is None:
            super().on_body(body)
        else:
            self._hot_body.append(body)

    def on_message_complete(self) -> None:
        self._is_between_requests = True
        if self._hot_body is None:
            super().on_message_complete()
            if self.cycle.response_complete and not self.transport.is_closing():
                self.cycle.more_body = False
                self._hold_if_refused()
            return
        pieces, self._hot_body = self._hot_body, None
        keeps_alive = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if keeps_alive and self._request_data:
            self.known_heads.remember(self._request_data, self.headers, len(body))
        assert self._hot_parts is not None
        self._take(self._hot_parts, self.headers, None, body, keeps_alive)

    def _may_begin(self) -> bool:
        """Whether the request before was answered."""
        return self.cycle is None or self.cycle.response_complete

    def _take(
        self, parts: "Parts", headers: Headers, head: BodyHead | None, body: bytes, keeps_alive: bool = True
    ) -> None:
        cycle = _HotCycle(keeps_alive)
        self.cycle = cast(RequestResponseCycle, cycle)
        take_upload(parts, headers, head, body, partial(self._answer, cycle))

    def _answer(self, cycle: _HotCycle, status: int, fields: bytes, body: bytes) -> None:
        cycle.response_complete = True
        cycle.is_refused = status == _UNAVAILABLE
        if cycle.disconnected or self.transport.is_closing():
            return
        closes = not cycle.keep_alive or b"connection: close\r\n" in fields
        common = self.common.encode(self.server_state.default_headers)
        ending = (
            b"connection: close\r\n\r\n" if not cycle.keep_alive and b"connection: close" not in fields else b"\r\n"
        )
        length = b"content-length: %d\r\n" % len(body)
        self.transport.write(b"".join((STATUS_LINE[status], common, fields, length, ending, body)))
        if closes:
            self.transport.close()
        self.on_response_complete()


def make_protocol(find_parts: Callable[[], "Parts | None"]) -> type[HoldfastProtocol]:
    """The protocol for one worker's connections."""

    def find_room() -> int:
        parts = find_parts()
        return 0 if parts is None else parts.waiting.room

    own = {
        "find_parts": staticmethod(find_parts),
        "held": HeldConnections(find_room),
        "known_heads": KnownHeads(),
        "common": _CommonFields(),
    }
    return type("WorkerProtocol", (HoldfastProtocol,), own)


async def sweep_connections(connections: set[Any]) -> None:
    """Close overdue connections for ever; ends by cancellation."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(SWEEP_EVERY_S)
        now_s = loop.time()
        for connection in list(connections):
            if connection.is_overdue(now_s):
                connection.transport.close()
