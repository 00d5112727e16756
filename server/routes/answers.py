"""How routes reach their parts, read ids and numbers from an address, and answer with JSON."""

import re
from typing import Any, Final, cast
from urllib.parse import unquote_to_bytes
from uuid import UUID

import msgspec
from litestar import Request, Response

from protocol.errors import ErrorCode
from protocol.ids import InvalidIdError, parse_recording_id
from protocol.limits import CHUNK_INDEX_MAX, PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX, RUN_MAX
from server.parts import Parts
from server.refusal import Refusal

AnyRequest = Request[Any, Any, Any]

encode_json: Final = msgspec.json.Encoder().encode
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)


def parts_of(request: AnyRequest) -> Parts:
    """This worker's parts."""
    return cast(Parts, request.app.state["parts"])


def answer_json(body: object, status: int = 200) -> Response[bytes]:
    """A Struct as JSON; `bytes` are JSON already."""
    content = body if isinstance(body, bytes) else encode_json(body)
    return Response(content, media_type="application/json", status_code=status)


def read_recording_id(text: str) -> UUID:
    """The id in an address. Raises `Refusal` (invalid-recording-id)."""
    try:
        return parse_recording_id(text)
    except InvalidIdError as error:
        raise Refusal(
            ErrorCode.INVALID_RECORDING_ID, str(error), next_step="Use the id that the recording was registered with."
        ) from None


def read_chunk_index(text: str) -> int:
    """The index in an address. Raises `Refusal` (invalid-chunk-index)."""
    if _NUMBER.fullmatch(text) is None or int(text) > CHUNK_INDEX_MAX:
        raise Refusal(
            ErrorCode.INVALID_CHUNK_INDEX,
            f"a chunk index is a whole number from 0 to {CHUNK_INDEX_MAX}, got {text[:32]!r}",
            next_step="Chunks are numbered from 0 without a gap.",
        )
    return int(text)


def read_run(request: AnyRequest) -> int:
    """The Chunk-Run header. Raises `Refusal` (invalid-request)."""
    text = request.headers.get("chunk-run", "")
    if _NUMBER.fullmatch(text) is None or int(text) > RUN_MAX:
        raise Refusal(
            ErrorCode.INVALID_REQUEST,
            f"the Chunk-Run header is {text[:32]!r}; expected a whole number from 0 to {RUN_MAX}",
            next_step="Send the number of the run that the chunk's slices belong to, e.g. Chunk-Run: 0.",
        )
    return int(text)


def read_number(text: str, name: str, least: int, most: int) -> int:
    """A number of the query. Raises `Refusal` (invalid-request)."""
    if _NUMBER.fullmatch(text) is None or not least <= int(text) <= most:
        raise Refusal(
            ErrorCode.INVALID_REQUEST,
            f"{name} is {text[:32]!r}; expected a whole number from {least} to {most}",
            next_step=f"Leave {name} out, or send such a number.",
        )
    return int(text)


def read_page(request: AnyRequest) -> tuple[str | None, int]:
    """(cursor, limit) of a listing. Raises `Refusal` (invalid-request)."""
    query = request.query_params
    text = query.get("limit", str(PAGE_ROWS_DEFAULT))
    if _NUMBER.fullmatch(text) is None or not 1 <= int(text) <= PAGE_ROWS_MAX:
        raise Refusal(
            ErrorCode.INVALID_REQUEST,
            f"limit is {text[:32]!r}; expected a whole number from 1 to {PAGE_ROWS_MAX}",
            next_step="Ask for fewer rows and follow next_cursor.",
        )
    return query.get("cursor") or None, int(text)


def path_after(request: AnyRequest, prefix: str) -> str:
    """What follows `prefix` in the address as it was sent, percent-decoded once.

    The framework joins double slashes and drops a last one, and a chunkId may hold both. Bytes beyond
    ASCII become U+FFFD, which no id allows.
    """
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode("utf-8")
    path = raw.partition(b"?")[0]
    head = prefix.encode("ascii")
    if not path.startswith(head):
        # Another spelling of the prefix itself, such as //api/chunks/x: only the framework's form is left.
        return request.scope["path"].removeprefix(prefix.rstrip("/")).lstrip("/")
    return unquote_to_bytes(path[len(head) :]).decode("ascii", errors="replace")
