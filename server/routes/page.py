"""The built page: `/` on its one address, its service worker, and files named by their content.

An origin is a storage: recordings made on 127.0.0.1 would not be found on localhost. So the page
lives at HOLDFAST_PUBLIC_URL alone, and `/` on any other name redirects there.
"""

from urllib.parse import urlsplit

from litestar import Response, route
from litestar.enums import HttpMethod
from litestar.params import FromPath

from protocol.errors import ErrorCode
from server.refusal import Refusal
from server.routes.answers import AnyRequest, parts_of, path_after
from server.routes.page_files import PageFile, find_page_file

_UNCHANGING = "public, max-age=31536000, immutable"
# Asked for again each time, by ETag: a new build shows at the next load.
_CHECKED = "no-cache"

_NOT_BUILT = b"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Holdfast: the page is not built</title>
<h1>The page is not built yet</h1>
<p>The server runs, and its API answers. Run <code>make build</code> and load this page again.</p>
</html>
"""

_METHODS = [HttpMethod.GET, HttpMethod.HEAD]


@route(["/", "/index.html"], http_method=_METHODS)
async def show_page(request: AnyRequest) -> Response[bytes]:
    settings = parts_of(request).settings
    if not _is_public_host(request, settings.public_origin):
        query = request.scope["query_string"].decode("ascii", errors="replace")
        location = f"{settings.public_url}/{'?' + query if query else ''}"
        return Response(b"", status_code=307, headers={"location": location})
    file = await find_page_file(settings.web_dir, "index.html", request.headers.get("accept-encoding", ""))
    if file is None:
        return answer_unbuilt()
    return _answer(request, file, _CHECKED)


@route("/{name:str}", http_method=_METHODS)
async def show_root_file(request: AnyRequest, name: FromPath[str]) -> Response[bytes]:
    """Files that must stand at the root: a service worker's reach is the folder it comes from."""
    return await show_file(request, name)


@route("/assets/{_name:path}", http_method=_METHODS)
async def show_asset(request: AnyRequest) -> Response[bytes]:
    return await _show(request, f"assets/{path_after(request, '/assets/')}", _UNCHANGING)


async def show_file(request: AnyRequest, name: str) -> Response[bytes]:
    """A file of the build whose content may change under its name. Raises `Refusal` (not-found)."""
    return await _show(request, name, _CHECKED)


def answer_unbuilt() -> Response[bytes]:
    """What stands in place of a page before there is one."""
    return Response(_NOT_BUILT, status_code=503, media_type="text/html")


async def _show(request: AnyRequest, name: str, cache_control: str) -> Response[bytes]:
    web_dir = parts_of(request).settings.web_dir
    file = await find_page_file(web_dir, name, request.headers.get("accept-encoding", ""))
    if file is None:
        raise Refusal(
            ErrorCode.NOT_FOUND,
            f"there is no file /{name[:200]}",
            next_step="Load the page anew; if it stays, run `make build`.",
        )
    return _answer(request, file, cache_control)


def _answer(request: AnyRequest, file: PageFile, cache_control: str) -> Response[bytes]:
    headers = {"cache-control": cache_control, "etag": file.etag, "vary": "accept-encoding"}
    if file.encoding:
        headers["content-encoding"] = file.encoding
    if request.headers.get("if-none-match") == file.etag:
        return Response(b"", status_code=304, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)


def _is_public_host(request: AnyRequest, public_origin: str) -> bool:
    """Whether the request names the page's own host and port; the port may be left out where it is the scheme's."""
    public = urlsplit(public_origin)
    default_port = {"http": 80, "https": 443}[public.scheme]
    try:
        asked = urlsplit(f"//{request.headers.get('host', '')}")
        asked_port = asked.port or default_port
    except ValueError:
        return False
    return (asked.hostname, asked_port) == (public.hostname, public.port or default_port)


page_routes = [show_page, show_root_file, show_asset]
