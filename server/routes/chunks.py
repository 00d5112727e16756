"""The chunks of a recording: taken, listed, and given back."""

import hashlib

from litestar import Response, Router, get, put
from litestar.params import FromPath

from protocol.checksums import InvalidDigestError, format_content_digest, parse_content_digest
from protocol.errors import ErrorCode
from protocol.limits import CHUNK_MAX_BYTES
from protocol.wire import Receipt
from server.ingest.ingest import IncomingChunk
from server.refusal import Refusal
from server.routes.answers import (
    AnyRequest,
    answer_json,
    parts_of,
    read_chunk_index,
    read_page,
    read_recording_id,
    read_run,
)
from server.routes.bodies import read_body, read_head, take_place
from server.routes.guards import require_installation
from server.storage.ledger import StoredChunk


@put("/{chunk_index:str}")
async def put_chunk(request: AnyRequest, recording_id: FromPath[str], chunk_index: FromPath[str]) -> Response[bytes]:
    parts = parts_of(request)
    known_id, index, run = read_recording_id(recording_id), read_chunk_index(chunk_index), read_run(request)
    digest = _read_digest(request)
    head = read_head(request.scope)
    with take_place(head, parts.waiting, CHUNK_MAX_BYTES, ErrorCode.CHUNK_TOO_LARGE) as place:
        hasher = hashlib.sha256()
        body = await read_body(
            request.receive, head, CHUNK_MAX_BYTES, ErrorCode.CHUNK_TOO_LARGE, on_piece=hasher.update
        )
        place.shrink(len(body))
        chunk = IncomingChunk(known_id, index, run, body, digest, hashed=hasher.digest())
        outcome = await parts.ingest.accept(chunk, place)
    parts.metrics.count_receipt(size=outcome.chunk.size, is_new=outcome.is_new)
    return answer_json(receipt_of(outcome.chunk), 201 if outcome.is_new else 200)


@get("/")
async def list_chunks(request: AnyRequest, recording_id: FromPath[str]) -> Response[bytes]:
    cursor, limit = read_page(request)
    return answer_json(await parts_of(request).reader.list_chunks(read_recording_id(recording_id), cursor, limit))


@get("/{chunk_index:str}")
async def get_chunk(request: AnyRequest, recording_id: FromPath[str], chunk_index: FromPath[str]) -> Response[bytes]:
    known_id, index = read_recording_id(recording_id), read_chunk_index(chunk_index)
    body, chunk = await parts_of(request).reader.read_chunk(known_id, index)
    return answer_bytes(body, chunk)


def receipt_of(chunk: StoredChunk) -> Receipt:
    """The receipt for a row: the same row, the same receipt, byte for byte."""
    return Receipt(
        recording_id=chunk.recording_id,
        chunk_index=chunk.chunk_index,
        run=chunk.run,
        size=chunk.size,
        sha256=chunk.sha256.hex(),
        acknowledged_at=chunk.acknowledged_at,
        chunkId=chunk.chunk_id,
    )


def answer_bytes(body: bytes, chunk: StoredChunk) -> Response[bytes]:
    """A chunk's bytes, as something to save and never to show: their content is the sender's."""
    return Response(
        body,
        media_type="application/octet-stream",
        headers={
            "content-disposition": "attachment",
            "content-digest": format_content_digest(chunk.sha256),
            "chunk-run": str(chunk.run),
        },
    )


def _read_digest(request: AnyRequest) -> bytes:
    field = request.headers.get("content-digest")
    try:
        return parse_content_digest(field or "")
    except InvalidDigestError as error:
        raise Refusal(
            ErrorCode.DIGEST_MISSING,
            str(error) if field else "the Content-Digest header is missing",
            next_step="Send Content-Digest: sha-256=:BASE64: of the body (RFC 9530).",
        ) from None


chunk_routes = Router(
    "/api/recordings/{recording_id:str}/chunks",
    guards=[require_installation],
    route_handlers=[put_chunk, list_chunks, get_chunk],
)
