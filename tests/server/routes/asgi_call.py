"""One request straight into the application, with control over every message of its body."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from server.envelope import Envelope


@dataclass
class Answer:
    """What came back."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    messages_taken: int = 0

    def json(self) -> Any:
        return msgspec.json.decode(self.body)


async def call(
    app: Envelope, method: str, raw_path: str, headers: dict[str, str], messages: Iterable[dict[str, Any]]
) -> Answer:
    """Send `messages` one after another as the application asks for them, then a disconnect."""
    from urllib.parse import unquote

    answer = Answer()
    coming = iter(messages)

    async def receive() -> dict[str, Any]:
        answer.messages_taken += 1
        return next(coming, {"type": "http.disconnect"})

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            answer.body += message.get("body", b"")

    path, _, query = raw_path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode("ascii"),
        "query_string": query.encode("ascii"),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "server": ("localhost", 3000),
        "client": ("127.0.0.1", 1),
    }
    await app(scope, receive, send)  # type: ignore[arg-type]
    return answer


def piece(body: bytes, *, more: bool) -> dict[str, Any]:
    """One message of a body."""
    return {"type": "http.request", "body": body, "more_body": more}


async def pieces(*bodies: bytes) -> AsyncIterator[bytes]:
    """A body without Content-Length, for httpx."""
    for body in bodies:
        yield body
