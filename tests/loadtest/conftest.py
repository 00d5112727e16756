"""A server that keeps what k6 sends."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

REFUSED = {3, 7}


class Witness(ThreadingHTTPServer):
    """Answers 200 as the upload route does, 503 for the chunks in REFUSED, and keeps every body."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), WitnessHandler)
        self.bodies: list[tuple[str, bytes]] = []


class WitnessHandler(BaseHTTPRequestHandler):
    """Keeps connections open, as k6 does."""

    protocol_version = "HTTP/1.1"
    server: Witness

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append((self.path, body))
        n = int(json.loads(body)["chunkId"].rpartition("-")[2])
        self.send_response(503 if n in REFUSED else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Nothing on the tests' stderr."""


@pytest.fixture
def witness() -> Iterator[Witness]:
    with Witness() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
