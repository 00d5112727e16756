"""`POST /api/chunks/upload` past the framework: the same call by a shorter way, because thousands a second come by it.

The ordinary route (server/routes/loose_chunks.py) stands as well, for bodies that come in pieces, other spellings of
the address, other methods and the description of the API. Both authorise, require one installation, take the chunk
and refuse it by the same functions; what is saved are a task, routing, guards and answer objects for every request.

A request is taken here only when it arrived whole: nothing here waits for a body (server/http_protocol.py).
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeGuard, cast
from weakref import WeakKeyDictionary

from litestar.types import HTTPScope

from protocol.errors import ErrorCode
from protocol.limits import LOOSE_BODY_MAX_BYTES
from server import authorisation
from server.ingest.waiting import Waiting
from server.parts import Parts
from server.problems import PROBLEM_TYPE, RenderedProblem, render_problem
from server.request_id import assign_request_id
from server.routes.answers import encode_json
from server.routes.bodies import BodyHead, read_head, require_json, take_place
from server.routes.chunks import receipt_of
from server.routes.loose_chunks import read_loose_chunk
from server.storage.ledger import Acknowledged

HOT_METHOD: Final = b"POST"
HOT_PATH: Final = b"/api/chunks/upload"

Headers = list[tuple[bytes, bytes]]
# (status, fields of the head as they go over the wire, body); called exactly once, perhaps at once.
Answer = Callable[[int, bytes, bytes], None]

_ROUTE: Final = HOT_PATH.decode("ascii")
_COMMON: Final = b"x-content-type-options: nosniff\r\ncache-control: no-store\r\nx-request-id: "
_RECEIPT: Final = b"content-type: application/json\r\n" + _COMMON
_ID_HERE: Final = "THE-REQUEST-ID"
_prepared: "WeakKeyDictionary[Waiting, tuple[int, bytes, bytes, bytes]]" = WeakKeyDictionary()
_PROBLEM: Final = f"content-type: {PROBLEM_TYPE}\r\n".encode("ascii") + _COMMON


def may_take(parts: Parts | None) -> TypeGuard[Parts]:
    """Whether this worker knows by now what it stands on; before that the ordinary route waits for it."""
    return parts is not None and parts.installation.verdict is not None


def take_upload(parts: Parts, headers: Headers, head: BodyHead | None, body: bytes, answer: Answer) -> None:
    """Begin to store the chunk in `body`; `answer` is called when it is acknowledged or refused.

    `head` is what `headers` say of the body, where that was read before.
    """
    started_s = time.perf_counter()
    scope = cast(HTTPScope, {"type": "http", "method": "POST", "path": _ROUTE, "headers": headers, "state": {}})
    request_id = assign_request_id(scope).encode("ascii")
    try:
        authorisation.authorise(scope)
        parts.installation.require_known()
        head = read_head(scope) if head is None else head
        if parts.waiting.is_full(head.announced_bytes or 0) and not parts.waiting.is_draining:
            _refuse_overloaded(parts, request_id, started_s, answer)
            return
        require_json(head)
        with take_place(head, parts.waiting, LOOSE_BODY_MAX_BYTES, ErrorCode.BODY_TOO_LARGE) as place:
            acknowledged = parts.ingest.begin(read_loose_chunk(body, place), place)
    except Exception as error:  # noqa: BLE001 - as at every route, each error becomes its answer
        _refuse(parts, scope, request_id, started_s, answer, error)
        return
    acknowledged.add_done_callback(partial(_finish, parts, scope, request_id, started_s, answer))


def _finish(
    parts: Parts,
    scope: HTTPScope,
    request_id: bytes,
    started_s: float,
    answer: Answer,
    acknowledged: "asyncio.Future[Acknowledged]",
) -> None:
    error = acknowledged.exception()
    if error is not None:
        _refuse(parts, scope, request_id, started_s, answer, error)
        return
    outcome = acknowledged.result()
    parts.metrics.count_receipt(size=outcome.chunk.size, is_new=outcome.is_new)
    answer(200, _RECEIPT + request_id + b"\r\n", encode_json(receipt_of(outcome.chunk)))
    parts.metrics.observe_request("POST", _ROUTE, 200, time.perf_counter() - started_s, None)


def _refuse_overloaded(parts: Parts, request_id: bytes, started_s: float, answer: Answer) -> None:
    """As `_refuse` would, at a fraction of its cost: under overload this is what most requests cost."""
    prepared = _prepared.get(parts.waiting)
    if prepared is None:
        prepared = _prepared[parts.waiting] = _prepare(parts)
    status, fields, before, after = prepared
    answer(status, b"%b%b\r\n%b" % (_PROBLEM, request_id, fields), b"%b%b%b" % (before, request_id, after))
    parts.metrics.observe_request("POST", _ROUTE, status, time.perf_counter() - started_s, ErrorCode.OVERLOADED.value)


def _prepare(parts: Parts) -> tuple[int, bytes, bytes, bytes]:
    """The refusal for want of room: status, fields, and the body before and after the request's id."""
    scope = cast(HTTPScope, {"type": "http", "method": "POST", "path": _ROUTE, "state": {"request_id": _ID_HERE}})
    rendered = render_problem(scope, parts.waiting.refusal(), parts)
    before, _, after = rendered.body.partition(_ID_HERE.encode("ascii"))
    return rendered.status, _fields_of(rendered), before, after


def _fields_of(rendered: RenderedProblem) -> bytes:
    return b"".join(f"{name}: {value}\r\n".encode("ascii") for name, value in rendered.headers.items())


def _refuse(
    parts: Parts, scope: HTTPScope, request_id: bytes, started_s: float, answer: Answer, error: BaseException
) -> None:
    state: dict[str, Any] = scope["state"]
    rendered = render_problem(scope, error if isinstance(error, Exception) else RuntimeError(str(error)), parts)
    answer(rendered.status, _PROBLEM + request_id + b"\r\n" + _fields_of(rendered), rendered.body)
    seconds = time.perf_counter() - started_s
    parts.metrics.observe_request("POST", _ROUTE, rendered.status, seconds, state.get("problem_code"))
