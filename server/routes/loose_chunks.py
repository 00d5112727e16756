"""Loose chunks, the JSON way in: `POST /api/chunks/upload` and `GET /api/chunks/{chunkId}`."""

from uuid import UUID

from litestar import Response, Router, get, post

from protocol.errors import ErrorCode
from protocol.ids import InvalidIdError, loose_recording_id
from protocol.limits import LOOSE_BODY_MAX_BYTES
from protocol.wire import LooseChunk
from server.ingest.ingest import IncomingChunk
from server.ingest.waiting import Place
from server.refusal import Refusal
from server.routes.answers import AnyRequest, answer_json, parts_of, path_after
from server.routes.bodies import parse_json, read_body, read_head, require_json, take_place
from server.routes.chunks import answer_bytes, receipt_of
from server.routes.guards import require_installation

_PREFIX = "/api/chunks/"


def read_loose_chunk(body: bytes, place: Place) -> IncomingChunk:
    """The chunk in a body; `place` shrinks to its bytes. Raises `Refusal`: invalid-json, invalid-chunk-id, …"""
    loose = parse_json(body, LooseChunk)
    content = loose.data.encode("utf-8")
    place.shrink(len(content))
    return IncomingChunk(_read_loose_id(loose.chunkId), 0, 0, content, None, loose.chunkId)


@post("/upload", status_code=200)
async def upload_loose_chunk(request: AnyRequest) -> Response[bytes]:
    parts, head = parts_of(request), read_head(request.scope)
    require_json(head)
    with take_place(head, parts.waiting, LOOSE_BODY_MAX_BYTES, ErrorCode.BODY_TOO_LARGE) as place:
        body = await read_body(request.receive, head, LOOSE_BODY_MAX_BYTES, ErrorCode.BODY_TOO_LARGE)
        outcome = await parts.ingest.accept(read_loose_chunk(body, place), place)
    parts.metrics.count_receipt(size=outcome.chunk.size, is_new=outcome.is_new)
    return answer_json(receipt_of(outcome.chunk))


# A chunkId may be "upload", and may hold or end in slashes, which the framework's own paths do not keep apart.
@get(["/", "/upload", "/{_chunk_id:path}"])
async def get_loose_chunk(request: AnyRequest) -> Response[bytes]:
    loose_id = _read_loose_id(path_after(request, _PREFIX))
    body, chunk = await parts_of(request).reader.read_chunk(loose_id, 0)
    return answer_bytes(body, chunk)


def _read_loose_id(chunk_id: str) -> UUID:
    try:
        return loose_recording_id(chunk_id)
    except InvalidIdError as error:
        raise Refusal(
            ErrorCode.INVALID_CHUNK_ID, str(error), next_step="Percent-encode it once in an address."
        ) from None


loose_chunk_routes = Router(
    "/api/chunks", guards=[require_installation], route_handlers=[upload_loose_chunk, get_loose_chunk]
)
