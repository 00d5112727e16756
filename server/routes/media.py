"""`/api/recordings/{id}/media`, `/peaks`, `/poster`: played, seen and saved, in whole or in ranges."""

from collections.abc import AsyncIterator
from typing import Final

from litestar import Response, Router, route
from litestar.enums import HttpMethod
from litestar.params import FromPath
from litestar.response import Stream

from protocol.errors import ErrorCode
from protocol.limits import MANIFEST_CHUNKS_MAX, RUN_MAX
from server.media.containers import suffix_of
from server.media.shelf import Opened
from server.refusal import Refusal
from server.routes.answers import AnyRequest, parts_of, read_number, read_recording_id
from server.routes.file_names import describe_file, name_file
from server.routes.guards import require_installation
from server.routes.ranges import parse_range

_METHODS: Final = [HttpMethod.GET, HttpMethod.HEAD]
# It may grow, be made, or be made anew: a copy is asked about by its ETag each time.
_CHECKED: Final = "private, no-cache"
_DOWNLOADS: Final = ("media", "original", "mp4")


@route("/media", http_method=_METHODS)
async def show_media(request: AnyRequest, recording_id: FromPath[str]) -> Response[bytes] | Stream:
    known_id = read_recording_id(recording_id)
    download = _read_download(request)
    parts = parts_of(request)
    if download == "mp4":
        return await _answer(request, await parts.mp4_copies.open_mp4(known_id), is_saved=True, has_ranges=False)
    query = request.query_params
    run = read_number(query["run"], "run", 0, RUN_MAX) if "run" in query else None
    chunks = read_number(query.get("chunks", str(MANIFEST_CHUNKS_MAX)), "chunks", 1, MANIFEST_CHUNKS_MAX)
    if download == "original" or run is not None or "chunks" in query:
        is_whole = download == "original" and "chunks" not in query
        opened = await parts.shelf.open_original(known_id, run, chunks, is_whole=is_whole)
    elif download == "media":
        opened = await parts.shelf.open_made(known_id, "media")
    else:
        opened = await parts.shelf.open_best(known_id)
    return await _answer(request, opened, is_saved=download is not None)


@route("/peaks", http_method=_METHODS)
async def show_peaks(request: AnyRequest, recording_id: FromPath[str]) -> Response[bytes] | Stream:
    return await _answer(request, await parts_of(request).shelf.open_made(read_recording_id(recording_id), "peaks"))


@route("/poster", http_method=_METHODS)
async def show_poster(request: AnyRequest, recording_id: FromPath[str]) -> Response[bytes] | Stream:
    return await _answer(request, await parts_of(request).shelf.open_made(read_recording_id(recording_id), "poster"))


async def _answer(
    request: AnyRequest, opened: Opened, *, is_saved: bool = False, has_ranges: bool = True
) -> Response[bytes] | Stream:
    headers = {
        "etag": opened.etag,
        "accept-ranges": "bytes" if has_ranges else "none",
        "cache-control": _CHECKED,
        "content-disposition": _describe(opened, is_saved=is_saved),
    }
    if opened.run is not None:
        headers["media-run"] = str(opened.run)
    if _names(request.headers.get("if-none-match", ""), opened.etag):
        return Response(b"", status_code=304, headers=headers)
    asked = parse_range(request.headers.get("range", ""), opened.size) if has_ranges else None
    if request.headers.get("if-range", opened.etag) != opened.etag:
        asked = None
    first, last = asked or (0, opened.size - 1)
    headers |= {"content-length": str(last + 1 - first), "content-type": opened.media_type}
    if asked:
        headers["content-range"] = f"bytes {first}-{last}/{opened.size}"
    pieces = opened.read(first, last)
    # The first piece before the head: what cannot be read is then a problem, and no answer that breaks off.
    head = await anext(pieces, b"")
    status = 206 if asked else 200
    if request.method == HttpMethod.HEAD:
        await _close(pieces)
        return Response(b"", status_code=status, headers=headers)
    return Stream(_chain(head, pieces), status_code=status, headers=headers)


async def _chain(head: bytes, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        yield head
        async for piece in pieces:
            yield piece
    finally:
        await _close(pieces)


async def _close(pieces: AsyncIterator[bytes]) -> None:
    close = getattr(pieces, "aclose", None)
    if close is not None:
        await close()


def _describe(opened: Opened, *, is_saved: bool) -> str:
    recording = opened.recording
    suffix = {"image/jpeg": ".jpg", "application/json": ".json"}.get(opened.media_type) or suffix_of(opened.media_type)
    return describe_file(name_file(recording.title, recording.started_at, suffix), is_saved=is_saved)


def _names(header: str, etag: str) -> bool:
    """Whether If-None-Match has this tag; a weak one is as good here."""
    return header.strip() == "*" or etag in (tag.strip().removeprefix("W/") for tag in header.split(","))


def _read_download(request: AnyRequest) -> str | None:
    download: str | None = request.query_params.get("download")
    if download is not None and download not in _DOWNLOADS:
        raise Refusal(
            ErrorCode.INVALID_REQUEST,
            f"download is {download[:32]!r}; expected one of {', '.join(_DOWNLOADS)}",
            next_step="Leave it out to play the recording.",
        )
    return download


media_routes = Router(
    "/api/recordings/{recording_id:str}",
    guards=[require_installation],
    route_handlers=[show_media, show_peaks, show_poster],
)
