"""What every answer carries, whoever made it: request id, security headers, caching; and its measure.

It wraps the whole application, because the framework's own middleware does not see an answer to an
address or a method that does not exist.
"""

import logging
import time
from typing import Any, Final

from litestar import Litestar
from litestar.enums import ScopeType
from litestar.types import Message, Receive, Scope, Send

from server.metrics import Metrics
from server.parts import Parts
from server.request_id import assign_request_id

# 'wasm-unsafe-eval' compiles Pyodide and is no eval of text; the worker's script needs the policy on its own answer.
CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self' 'wasm-unsafe-eval'",
        "worker-src 'self'",
        "connect-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob:",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)

SECURITY_HEADERS: Final = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode("ascii")),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(self), microphone=(self), display-capture=(self)"),
)

_log = logging.getLogger(__name__)

# Every answer is a line at level debug; these are worth one always.
_LOGGED_STATUS: Final = 500
_LOGGED_S: Final = 5.0


class Envelope:
    """The ASGI application that a server runs."""

    def __init__(self, litestar: Litestar, metrics: Metrics) -> None:
        self.litestar = litestar
        self._metrics = metrics

    def find_parts(self) -> Parts | None:
        """This worker's parts, once they are open."""
        return self.litestar.state.get("parts")

    def begin_drain(self) -> None:
        """Admit no new body from now on; what was admitted is finished."""
        parts = self.find_parts()
        if parts is not None:
            parts.waiting.begin_drain()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self.litestar(scope, receive, send)
            return
        started_s = time.perf_counter()
        state: dict[str, Any] = scope.setdefault("state", {})
        request_id = assign_request_id(scope).encode("ascii")
        status = 500

        async def send_enveloped(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = list(message["headers"])
                headers.append((b"x-request-id", request_id))
                headers.extend(SECURITY_HEADERS)
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append((b"cache-control", b"no-store"))
                message["headers"] = headers
            await send(message)

        try:
            await self.litestar(scope, receive, send_enveloped)
        finally:
            route = str(scope.get("path_template") or "none")
            seconds = time.perf_counter() - started_s
            self._metrics.observe_request(scope["method"], route, status, seconds, state.get("problem_code"))
            level = logging.DEBUG if status < _LOGGED_STATUS and seconds < _LOGGED_S else logging.INFO
            if _log.isEnabledFor(level):
                _log.log(level, "answered", extra=_describe(scope, route, status, seconds))


def _describe(scope: Scope, route: str, status: int, seconds: float) -> dict[str, Any]:
    """What a line says of a request: ids and codes, never a query, a header or a body."""
    state = scope["state"]
    described = {
        "request_id": state["request_id"],
        "method": scope.get("method"),
        "route": route,
        "status": status,
        "ms": round(seconds * 1e3, 1),
        "code": state.get("problem_code"),
        # As the route parsed it from the address; the body of a registration is not looked at.
        "recording_id": scope.get("path_params", {}).get("recording_id"),
        "chunk_index": scope.get("path_params", {}).get("chunk_index"),
    }
    return {name: value for name, value in described.items() if value is not None}
