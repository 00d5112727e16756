"""Which answers count. A captive portal answers 200 too, so nothing is believed that does not decode.

A refusal is final only as a problem+json whose `code` the protocol lists as final; everything else
is tried again (I10). What blames the line (the network, the server as a whole) makes the whole
queue wait; what may be this request's own fault makes it wait, too, so that it cannot block others.
"""

from typing import Final, TypeVar

from msgspec import Struct

from client_py.core.events import Answered, Unanswered
from protocol.decoding import UndecodableError, decode_json
from protocol.errors import ErrorCode, Problem, is_final

_T = TypeVar("_T")
_STATUS_TOO_SLOW: Final = 408  # the server gave the body up: it came in more slowly than it waits for
_STATUS_OF_THE_LINE: Final = frozenset({_STATUS_TOO_SLOW, 429, 502, 503, 504})

AWAY: Final = "The server does not answer. What is saved on this device is sent when it is back."
SLOW: Final = "The network is slow. What is saved on this device is sent a little at a time."
STRANGE: Final = "Something else answers in the server's place, perhaps a sign-in page of the network."
_WORDS_OF_CODE: Final = {
    ErrorCode.BODY_TOO_SLOW: SLOW,
    ErrorCode.OVERLOADED: "The server is busy. It is tried again by itself.",
    ErrorCode.TOO_MANY_REQUESTS: "The server is busy. It is tried again by itself.",
    ErrorCode.DRAINING: "The server is being restarted.",
    ErrorCode.BUCKET_UNAVAILABLE: "The server cannot reach its storage at the moment.",
    ErrorCode.LEDGER_UNAVAILABLE: "The server cannot reach its database at the moment.",
    ErrorCode.STORE_MISMATCH: "The server's storage and database do not belong together; its operator must act.",
}


class Refusal(Struct, frozen=True, kw_only=True):
    """Why a request did not succeed."""

    code: str = ""  # empty: no answer, or none that is ours
    is_final: bool = False
    is_of_line: bool = False  # nothing to do with this request: the same one goes first again
    is_timeout: bool = False  # the line was too slow for this request, by our clock or the server's
    words: str = ""
    detail: str = ""
    retry_after_ms: int = 0
    chunks: list[int] = []


def decode_answer(answer: Answered, form: type[_T], *statuses: int) -> _T | None:
    """The body as `form` if the status is one of these and it decodes strictly, else None."""
    if answer.status not in statuses:
        return None
    try:
        return decode_json(answer.body, form)
    except UndecodableError:
        return None


def read_refusal(event: Answered | Unanswered) -> Refusal:
    """What an answer that is no success means for the next attempt."""
    if isinstance(event, Unanswered):
        return Refusal(is_of_line=True, is_timeout=event.is_timeout, words=AWAY)
    problem = _decode_problem(event)
    is_of_line = event.status in _STATUS_OF_THE_LINE
    is_timeout = event.status == _STATUS_TOO_SLOW
    retry_after_ms = _retry_after_ms(event) if event.status in (429, 503) else 0
    if problem is None:
        words = SLOW if is_timeout else AWAY if is_of_line else STRANGE
        return Refusal(is_of_line=is_of_line, is_timeout=is_timeout, words=words, retry_after_ms=retry_after_ms)
    return Refusal(
        code=problem.code,
        is_final=is_final(problem.code),
        is_of_line=is_of_line,
        is_timeout=is_timeout,
        words=_WORDS_OF_CODE.get(problem.code, AWAY) if is_of_line or event.status >= 500 else "",  # type: ignore[call-overload]
        detail=problem.detail,
        retry_after_ms=retry_after_ms,
        chunks=problem.chunks,
    )


def _decode_problem(answer: Answered) -> Problem | None:
    media_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/problem+json" or answer.status < 400:
        return None
    try:
        problem = decode_json(answer.body, Problem)
    except UndecodableError:
        return None
    return problem if problem.status == answer.status else None


def _retry_after_ms(answer: Answered) -> int:
    """The header's delay in seconds (RFC 9110, section 10.2.3); our server never sends the date form."""
    text = answer.headers.get("retry-after", "").strip()
    return int(text) * 1000 if text.isascii() and text.isdigit() and len(text) < 10 else 0
