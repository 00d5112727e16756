"""The one place where whatever went wrong becomes `application/problem+json` (RFC 9457).

Refusals say themselves what they mean. Errors of the stores, of the framework and of ourselves are
translated here; what is inside the server never reaches an answer, only the log, under the
answer's request id.
"""

import logging
from typing import Any, Final, NamedTuple

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.exceptions.http_exceptions import MethodNotAllowedException, NotFoundException
from litestar.types import Scope

from protocol.errors import PROBLEM_CHUNKS_MAX, STATUS_OF_CODE, ErrorCode, Problem
from server.parts import Parts
from server.refusal import Refusal
from server.request_id import request_id_of
from server.storage.blob_store import BlobStoreError
from server.storage.ledger import LedgerError

_log = logging.getLogger(__name__)

PROBLEM_TYPE: Final = "application/problem+json"
# A store that restarts is back within seconds; a client's own backoff grows from here.
_STORE_RETRY_AFTER_S: Final = 2
_OWN_FAULT_RETRY_AFTER_S: Final = 5

_CODE_OF_STATUS: Final = {
    400: ErrorCode.INVALID_REQUEST,
    404: ErrorCode.NOT_FOUND,
    405: ErrorCode.METHOD_NOT_ALLOWED,
    413: ErrorCode.BODY_TOO_LARGE,
    415: ErrorCode.UNSUPPORTED_MEDIA_TYPE,
    429: ErrorCode.TOO_MANY_REQUESTS,
}


class RenderedProblem(NamedTuple):
    """A problem as an answer's parts."""

    status: int
    headers: dict[str, str]
    body: bytes


def answer_problem(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The answer for any exception that left a route."""
    rendered = render_problem(request.scope, error, request.app.state.get("parts"))
    return Response(rendered.body, media_type=PROBLEM_TYPE, status_code=rendered.status, headers=rendered.headers)


def render_problem(scope: Scope, error: Exception, parts: Parts | None) -> RenderedProblem:
    """What to answer to the request of `scope`, and note of it for the log and the metrics; no Content-Type yet."""
    refusal = _translate(scope, error, parts)
    problem = Problem(
        type=f"urn:holdfast:problem:{refusal.code}",
        title=refusal.code.replace("-", " ").capitalize(),
        status=STATUS_OF_CODE[refusal.code],
        code=refusal.code,
        detail=refusal.detail,
        next_step=refusal.next_step,
        chunks=refusal.chunks[:PROBLEM_CHUNKS_MAX],
        request_id=request_id_of(scope),
    )
    headers = dict(error.headers or {}) if isinstance(error, MethodNotAllowedException) else refusal.headers
    if refusal.retry_after_s is not None:
        headers["retry-after"] = str(refusal.retry_after_s)
    if refusal.closes_connection:
        headers["connection"] = "close"
    _note(scope, refusal)
    scope["state"]["problem_code"] = str(refusal.code)
    return RenderedProblem(problem.status, headers, msgspec.json.encode(problem))


def _translate(scope: Scope, error: Exception, parts: Parts | None) -> Refusal:
    match error:
        case Refusal():
            return error
        case BlobStoreError():
            return _store_away(
                scope, error, parts, ErrorCode.BUCKET_UNAVAILABLE, "the bucket does not answer as it should"
            )
        case LedgerError():
            return _store_away(
                scope, error, parts, ErrorCode.LEDGER_UNAVAILABLE, "the ledger does not answer as it should"
            )
        case NotFoundException():
            return Refusal(
                ErrorCode.NOT_FOUND,
                f"there is nothing at {scope['path']}",
                next_step="/schema/openapi.json lists every call.",
            )
        case MethodNotAllowedException():
            return Refusal(
                ErrorCode.METHOD_NOT_ALLOWED,
                f"{scope.get('method')} is not a method of {scope['path']}",
                next_step=f"It takes {(error.headers or {}).get('allow', 'another')}.",
            )
        case HTTPException() if error.status_code in _CODE_OF_STATUS:
            return Refusal(_CODE_OF_STATUS[error.status_code], error.detail, next_step="Send a request as documented.")
        case _:
            _log.error("unhandled error", exc_info=error, extra={"request_id": request_id_of(scope)})
            return Refusal(
                ErrorCode.INTERNAL_ERROR,
                "the server failed in a way it did not expect",
                next_step="Try again; the server's log has the reason under this request_id.",
                retry_after_s=_OWN_FAULT_RETRY_AFTER_S,
            )


def _store_away(scope: Scope, error: Exception, parts: Parts | None, code: ErrorCode, detail: str) -> Refusal:
    _log.warning(code, extra={"request_id": request_id_of(scope), "reason": str(error)})
    # Perhaps it is not away but another one.
    if parts is not None:
        parts.installation.notice_trouble()
    return Refusal(
        code,
        detail,
        next_step="Keep the bytes and send them again after Retry-After; GET /api/health/ready says what is ill.",
        retry_after_s=_STORE_RETRY_AFTER_S,
    )


def _note(scope: Scope, refusal: Refusal) -> None:
    _log.debug(
        "refused",
        extra={
            "request_id": request_id_of(scope),
            "method": scope.get("method"),
            "path": scope["path"],
            "code": str(refusal.code),
            "reason": refusal.detail,
        },
    )
