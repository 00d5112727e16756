"""`/ops` and what it reads: figures of now and of the last hour, and where every chunk lies."""

import asyncio
from uuid import UUID

from litestar import Response, Router, get, route
from litestar.enums import HttpMethod
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from protocol.errors import ErrorCode
from protocol.ids import InvalidIdError, loose_recording_id
from protocol.limits import CHUNK_INDEX_MAX
from server.refusal import Refusal
from server.routes.answers import AnyRequest, answer_json, parts_of, read_number, read_page, read_recording_id
from server.routes.guards import require_installation
from server.routes.page import answer_unbuilt, show_file


@route("/ops", http_method=[HttpMethod.GET, HttpMethod.HEAD])
async def show_ops_page(request: AnyRequest) -> Response[bytes]:
    """The page; it answers under any name, because it keeps nothing in the browser."""
    try:
        return await show_file(request, "ops.html")
    except Refusal:
        return answer_unbuilt()


@get("/now")
async def show_now(request: AnyRequest) -> Response[bytes]:
    return answer_json(await parts_of(request).overviewer.look())


@get("/history")
async def show_history(request: AnyRequest) -> Response[bytes]:
    return answer_json(await asyncio.to_thread(parts_of(request).history.read))


@get("/recordings/{recording_id:str}/places", guards=[require_installation])
async def list_places(request: AnyRequest, recording_id: FromPath[str]) -> Response[bytes]:
    """From a cursor, or from the chunk `from` on."""
    cursor, limit = read_page(request)
    known_id = read_recording_id(recording_id)
    first = read_number(request.query_params.get("from", "0"), "from", 0, CHUNK_INDEX_MAX)
    return answer_json(await parts_of(request).browser.list_places(known_id, cursor, limit, first_index=first))


@get("/loose", guards=[require_installation])
async def find_loose_chunk(request: AnyRequest) -> Response[bytes]:
    """The place of a loose chunk, by its chunkId in the query."""
    chunk_id = request.query_params.get("chunk_id", "")
    try:
        loose_id = loose_recording_id(chunk_id)
    except InvalidIdError as error:
        raise Refusal(
            ErrorCode.INVALID_CHUNK_ID, str(error), next_step="Send ?chunk_id= with the chunkId, percent-encoded."
        ) from None
    return answer_json(await parts_of(request).browser.list_places(loose_id, None, 1))


@get("/objects/{object_id:str}", guards=[require_installation])
async def show_object(request: AnyRequest, object_id: FromPath[str]) -> Response[bytes]:
    try:
        known_id = UUID(object_id)
    except ValueError:
        raise Refusal(
            ErrorCode.INVALID_REQUEST,
            f"the object's id is {object_id[:64]!r}; expected a UUID",
            next_step="The places of a recording's chunks name the objects.",
        ) from None
    return answer_json(await parts_of(request).browser.find_object(known_id))


ops_routes: list[ControllerRouterHandler] = [
    show_ops_page,
    Router("/api/ops", route_handlers=[show_now, show_history, list_places, find_loose_chunk, show_object]),
]
