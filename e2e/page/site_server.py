"""Serves a built site over loopback with the headers that the product's server sends, and can spoil files.

It has no API: whatever is sent to it is refused as by a server that is overloaded, except on the few
paths that try the browser's HTTP adapter (`/echo`, `/redirect`, `/cut`, `/never`).
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from web_build.site import MEDIA_TYPES

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self';"
    " style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; manifest-src 'self'"
)


@dataclass
class SiteServer:
    """A running server. `missing` and `damaged` hold endings of paths that are refused or spoiled.

    `folder` may be changed while it runs: the site was built anew. While `is_away` no request is answered.
    """

    folder: Path
    is_away: bool = False
    url: str = ""
    missing: set[str] = field(default_factory=set)
    damaged: set[str] = field(default_factory=set)
    requests: list[str] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    def read(self, path: str) -> tuple[int, str, bytes]:
        """Status, media type and body of a file."""
        name = path.lstrip("/") or "index.html"
        file = self.folder / name
        if any(name.endswith(ending) for ending in self.missing) or not file.is_file():
            return 404, "text/plain", b"not here"
        body = file.read_bytes()
        if any(name.endswith(ending) for ending in self.damaged):
            body = body[:-1] + bytes([body[-1] ^ 1])
        return 200, MEDIA_TYPES[file.suffix], body


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: SiteServer

    def do_GET(self) -> None:
        if self.site.is_away:
            self.close_connection = True
            return
        path = self.path.split("?", 1)[0]
        self.site.requests.append(path)
        match path:
            case "/redirect":
                self._answer(302, {"Location": "/"}, b"")
            case "/cut":
                self._answer(200, {"Content-Length": "1000"}, b"only this")
                self.close_connection = True
            case "/never":
                self.site.closing.wait()
                self.close_connection = True
            case _:
                status, media_type, body = self.site.read(path)
                is_lasting = path.startswith("/assets/") and status == 200
                caching = "public, max-age=31536000, immutable" if is_lasting else "no-cache"
                self._answer(status, {"Content-Type": media_type, "Cache-Control": caching}, body)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.site.is_away:
            self.close_connection = True
            return
        if self.path == "/echo":
            run = self.headers.get("Chunk-Run", "")
            self._answer(201, {"X-Method": self.command, "X-Run": run}, body)
        else:
            self._answer(503, {"Retry-After": "1"}, b"")

    do_PUT = do_PATCH = do_DELETE = do_POST  # noqa: N815

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        fields = {"Content-Length": str(len(body)), "Content-Security-Policy": CONTENT_SECURITY_POLICY} | headers
        for name, value in fields.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A browser that leaves in the middle of an answer is no news."""


@contextmanager
def serving(folder: Path) -> Iterator[SiteServer]:
    """Serve until the end of the block, on a port that the system chose."""
    site = SiteServer(folder)
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"site": site}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    site.url = f"http://localhost:{server.server_address[1]}"
    try:
        yield site
    finally:
        site.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()
