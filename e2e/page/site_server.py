"""Serves a built site over loopback with the headers that the product's server sends, and can spoil files."""

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
    """A running server. `missing` and `damaged` hold endings of paths that are refused or spoiled."""

    folder: Path
    url: str = ""
    missing: set[str] = field(default_factory=set)
    damaged: set[str] = field(default_factory=set)
    extra: dict[str, tuple[str, bytes]] = field(default_factory=dict)  # path -> (media type, content)
    requests: list[str] = field(default_factory=list)

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """Status, media type and body of a GET."""
        if path in self.extra:
            return (200, *self.extra[path])
        name = path.lstrip("/") or "index.html"
        file = self.folder / name
        if any(name.endswith(ending) for ending in self.missing) or not file.is_file():
            return 404, "text/plain", b"not here"
        body = file.read_bytes()
        if any(name.endswith(ending) for ending in self.damaged):
            body = body[:-1] + bytes([body[-1] ^ 1])
        return 200, MEDIA_TYPES[file.suffix], body


@contextmanager
def serving(folder: Path) -> Iterator[SiteServer]:
    """Serve until the end of the block, on a port that the system chose."""
    site = SiteServer(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
            path = self.path.split("?", 1)[0]
            site.requests.append(path)
            status, media_type, body = site.answer(path)
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
            is_lasting = path.startswith("/assets/") and status == 200
            self.send_header("Cache-Control", "public, max-age=31536000, immutable" if is_lasting else "no-cache")
            self.end_headers()
            self.wfile.write(body)

        def refuse(self) -> None:
            """There is no API here: as away as a server can be that still answers."""
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(503)
            self.send_header("Retry-After", "1")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_PUT = do_PATCH = do_DELETE = refuse  # noqa: N815

        def log_message(self, *_: object) -> None:
            return

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A browser that leaves in the middle of an answer is no news."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    site.url = f"http://localhost:{server.server_address[1]}"
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
