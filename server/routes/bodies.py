"""How a request's body is taken: whole, bounded, counted, and cut off where it comes too slowly.

A place under the worker's bound is taken before the first byte is read (I6), so that overload costs
neither memory nor the sender's upload.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from typing import Any, Final, TypeVar

from litestar import Request
from msgspec import Struct

from protocol.decoding import UndecodableError, decode_json
from protocol.errors import ErrorCode
from server.ingest.waiting import Place, Waiting
from server.refusal import Refusal

T = TypeVar("T")
AnyRequest = Request[Any, Any, Any]
ReceiveMessage = Callable[[], Awaitable[Any]]

# Slower than this is cut off: 2 KiB/s, measured over windows of 30 s. A stalled body is the same with no byte at all.
BODY_WINDOW_S: Final = 30.0
BODY_WINDOW_BYTES: Final = 60 * 1024


class BodyHead(Struct, frozen=True, gc=False):
    """What a request's headers say of its body; `announced_bytes` is None without a Content-Length."""

    media_type: str
    encoding: str
    announced_bytes: int | None


def read_head(scope: Mapping[str, Any]) -> BodyHead:
    """The head of an ASGI scope, in one pass. Raises `Refusal` (invalid-request) for a length that is no number."""
    media_type, encoding, announced = "", "identity", None
    for name, value in scope["headers"]:
        if name == b"content-type":
            media_type = _media_type_of(value)
        elif name == b"content-length":
            # The HTTP parser refuses what is no number; a header without the parser's check must not pass either.
            if not (value.isdigit() and len(value) <= 18):
                raise Refusal(
                    ErrorCode.INVALID_REQUEST,
                    f"Content-Length is {value[:32].decode('latin-1')!r}; expected a number of bytes",
                )
            announced = int(value)
        elif name == b"content-encoding":
            encoding = value.decode("latin-1").lower()
    return BodyHead(media_type, encoding, announced)


@lru_cache(maxsize=64)
def _media_type_of(value: bytes) -> str:
    return value.partition(b";")[0].strip().lower().decode("latin-1")


def take_place(head: BodyHead, waiting: Waiting, size_max: int, too_large: ErrorCode) -> Place:
    """A place for this body, by its Content-Length or, without one, for the largest allowed; a context manager.

    Raises `Refusal`: `too_large`, overloaded, draining, unsupported-media-type (an encoded body).
    """
    if head.encoding != "identity":
        raise Refusal(
            ErrorCode.UNSUPPORTED_MEDIA_TYPE,
            f"Content-Encoding is {head.encoding[:32]!r}; a body is taken as it is",
            next_step="Send it without Content-Encoding.",
            closes_connection=True,
        )
    announced = head.announced_bytes
    if announced is not None and announced > size_max:
        raise _too_large(too_large, f"Content-Length is {announced}", size_max)
    return waiting.take(size_max if announced is None else announced)


async def read_body(
    receive: ReceiveMessage,
    head: BodyHead,
    size_max: int,
    too_large: ErrorCode,
    window_s: float = BODY_WINDOW_S,
    on_piece: Callable[[bytes], object] | None = None,
) -> bytes:
    """The whole body, of exactly Content-Length bytes where that is given.

    `on_piece` is given each piece as it comes. They are of some 300 KiB at most (what the loop reads at once, and what
    the protocol lets gather), so that hashing one takes the event loop 0.2 to 0.9 ms and needs no thread.

    Raises `Refusal`: `too_large`, body-too-slow, body-incomplete.
    """
    loop = asyncio.get_running_loop()
    announced = head.announced_bytes
    pieces: list[bytes] = []
    size = window_began_at = 0
    try:
        async with asyncio.timeout(window_s) as window:
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise _incomplete(size, announced)
                piece = message["body"]
                size += len(piece)
                if size > size_max:
                    raise _too_large(too_large, f"more than {size_max} bytes arrived", size_max)
                pieces.append(piece)
                if on_piece is not None:
                    on_piece(piece)
                if not message.get("more_body", False):
                    break
                if size - window_began_at >= BODY_WINDOW_BYTES:
                    window_began_at = size
                    window.reschedule(loop.time() + window_s)
    except TimeoutError:
        raise Refusal(
            ErrorCode.BODY_TOO_SLOW,
            f"{size - window_began_at} bytes arrived in {window_s:g} s; expected at least {BODY_WINDOW_BYTES}",
            next_step="Send it again, with fewer requests at once.",
            closes_connection=True,
        ) from None
    if announced is not None and size != announced:
        raise _incomplete(size, announced)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def read_json(request: AnyRequest, kind: type[T], waiting: Waiting, size_max: int) -> T:
    """The body as `kind`. Raises `Refusal`, unsupported-media-type, invalid-json and invalid-request among them."""
    head = read_head(request.scope)
    require_json(head)
    with take_place(head, waiting, size_max, ErrorCode.BODY_TOO_LARGE):
        return parse_json(await read_body(request.receive, head, size_max, ErrorCode.BODY_TOO_LARGE), kind)


def require_json(head: BodyHead) -> None:
    """Raise `Refusal` (unsupported-media-type) unless the body is announced as JSON.

    A missing type is refused too: a page of another origin may send text or nothing without being
    asked for permission first, and would reach a server on this machine.
    """
    if head.media_type != "application/json":
        raise Refusal(
            ErrorCode.UNSUPPORTED_MEDIA_TYPE,
            f"Content-Type is {head.media_type[:64]!r}; this call takes application/json",
            next_step="Send JSON with Content-Type: application/json.",
        )


def parse_json(body: bytes, kind: type[T]) -> T:
    """The Struct in a body. Raises `Refusal`: invalid-json, invalid-request, invalid-recording-id."""
    try:
        return decode_json(body, kind)
    except UndecodableError as error:
        raise Refusal(
            _code_of(error), str(error), next_step="/schema/openapi.json describes the body of this call."
        ) from None


def _code_of(error: UndecodableError) -> ErrorCode:
    return ErrorCode.INVALID_RECORDING_ID if "`$.recording_id`" in str(error) else error.code


def _too_large(code: ErrorCode, what: str, size_max: int) -> Refusal:
    return Refusal(
        code,
        f"{what}; this call takes at most {size_max} bytes",
        next_step="Send less at once.",
        closes_connection=True,
    )


def _incomplete(size: int, announced: int | None) -> Refusal:
    expected = "its end" if announced is None else f"{announced} bytes"
    return Refusal(
        ErrorCode.BODY_INCOMPLETE,
        f"the body ended after {size} bytes; expected {expected}",
        next_step="Send it again. Nothing was stored.",
        closes_connection=True,
    )
