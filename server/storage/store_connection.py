"""One HTTP/1.1 connection to the store, for one request after another (RFC 9112)."""

import asyncio
from typing import Final, cast

import httptools
from msgspec import Struct

# An answer to a PUT is empty, a refusal some hundred bytes; of a proxy's page this much says what it is.
ANSWER_BYTES_MAX: Final = 64 * 1024


class StoreAnswer(Struct, frozen=True):
    """What the store said; `etag` is empty where it named none, and of a long body there is the beginning."""

    status: int
    etag: str
    body: bytes


class StoreConnection(asyncio.Protocol):
    """Raises `ConnectionError` where the other side breaks off, or says what is no HTTP."""

    def __init__(self) -> None:
        self.idle_since_s = 0.0
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[StoreAnswer] | None = None
        self._etag = ""
        self._body = b""

    async def ask(self, head: bytes, body: bytes) -> StoreAnswer:
        """Send a request and wait for its answer; cancelled, or without one, the connection is of no more use."""
        assert self.may_be_asked
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.writelines((head, body))
        try:
            return await self._answer
        except BaseException:
            self.abort()
            raise

    @property
    def may_be_asked(self) -> bool:
        """Whether it is open, the last request was sent to its end, and its answer left it open."""
        return self._transport is not None and self._answer is None and not self._transport.is_closing()

    def abort(self) -> None:
        """Close it at once, whatever is on its way."""
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._break_off(f"the connection ended before the answer did{'' if error is None else f' ({error})'}")

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._break_off(f"the answer is no HTTP ({error})")
            self.abort()

    # -- httptools' callbacks

    def on_message_begin(self) -> None:
        self._etag, self._body = "", b""
        if self._answer is None:  # nobody asked: the other side is not where we are
            self.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"etag":
            self._etag = value.decode("latin-1")

    def on_body(self, piece: bytes) -> None:
        if len(self._body) < ANSWER_BYTES_MAX:
            self._body += piece[: ANSWER_BYTES_MAX - len(self._body)]

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200 or self._answer is None:  # 1xx: the answer is still to come
            return
        answer, self._answer = self._answer, None
        if not answer.done():
            answer.set_result(StoreAnswer(status, self._etag, self._body))
        if self._transport is not None and (
            self._transport.get_write_buffer_size() > 0 or not self._parser.should_keep_alive()
        ):
            self.abort()

    def _break_off(self, what: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError(what))
