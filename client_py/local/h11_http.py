"""Requests over asyncio's streams, spoken by h11; one connection a request, closed with it.

An attempt that is cancelled or runs out of time closes its connection, so that no request lives on
whose answer nobody awaits.
"""

import asyncio
import ssl
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

import h11

from client_py.ports import NetworkError, RequestTimedOutError
from protocol.limits import MANIFEST_BODY_MAX_BYTES, MIB

READ_BYTES: Final = 64 * 1024
# A certificate repeats the manifest; nothing that the client asks for is larger.
ANSWER_BYTES_MAX: Final = MANIFEST_BODY_MAX_BYTES + MIB


@dataclass(frozen=True, slots=True)
class H11Response:
    """See `client_py.ports.HttpResponse`."""

    status: int
    headers: dict[str, str]
    body: bytes


class InvalidServerUrlError(ValueError):
    """It is no address that requests could be sent to."""


class H11Http:
    """client_py.ports.Http for the server at `base_url`. Raises `InvalidServerUrlError`."""

    def __init__(self, base_url: str) -> None:
        self._origin: Final = parse_server_url(base_url)
        self._tls: Final = ssl.create_default_context() if self._origin.scheme == "https" else None

    async def request(
        self, method: str, path: str, *, headers: dict[str, str], body: bytes | None, timeout_s: float
    ) -> H11Response:
        try:
            async with asyncio.timeout(timeout_s):
                return await self._exchange(method, path, headers, body)
        except TimeoutError:
            raise RequestTimedOutError(f"{method} {path}: no whole answer within {timeout_s:g} s") from None
        except (OSError, h11.ProtocolError) as error:
            raise NetworkError(f"{method} {path}: {error or type(error).__name__}") from error

    async def _exchange(self, method: str, path: str, headers: dict[str, str], body: bytes | None) -> H11Response:
        port = self._origin.port or (443 if self._tls else 80)
        reader, writer = await asyncio.open_connection(self._origin.hostname, port, ssl=self._tls)
        try:
            connection = h11.Connection(h11.CLIENT)
            fields = {**headers, "host": self._origin.netloc, "connection": "close", "accept": "application/json"}
            if body is not None:
                fields["content-length"] = str(len(body))
            request = h11.Request(method=method, target=self._origin.path + path, headers=list(fields.items()))
            head, end = connection.send(request), b""
            if body:
                head = (head or b"") + (connection.send(h11.Data(data=body)) or b"")
            end = connection.send(h11.EndOfMessage()) or b""
            writer.write((head or b"") + end)
            return await _read_answer(connection, reader)
        finally:
            writer.transport.abort()


async def _read_answer(connection: h11.Connection, reader: asyncio.StreamReader) -> H11Response:
    """The whole answer, which may come before the whole body is sent: a refusal does."""
    response: h11.Response | None = None
    content = bytearray()
    while True:
        match connection.next_event():
            case h11.NEED_DATA:
                connection.receive_data(await reader.read(READ_BYTES))
            case h11.Response() as response:
                pass
            case h11.Data(data=data):
                content += data
                if len(content) > ANSWER_BYTES_MAX:
                    raise NetworkError(f"the answer is longer than {ANSWER_BYTES_MAX} bytes")
            case h11.EndOfMessage() if response is not None:
                fields = {name.decode("latin-1"): value.decode("latin-1") for name, value in response.headers}
                return H11Response(response.status_code, fields, bytes(content))
            case h11.InformationalResponse():
                pass
            case _:
                raise NetworkError("the connection was closed before the answer")


def parse_server_url(text: str) -> SplitResult:
    """Its parts, without a slash at the end. Raises `InvalidServerUrlError`."""
    try:
        parts = urlsplit(text.rstrip("/"))
        is_usable = (
            parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        )
    except ValueError:
        is_usable = False
    if not is_usable or parts.query or parts.fragment or parts.username is not None:
        raise InvalidServerUrlError(f"{text!r} is no server's address; expected one like http://localhost:3000")
    return parts
