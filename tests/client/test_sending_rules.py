"""Delays, limits and what an answer means for the next attempt."""

import itertools

import msgspec
import pytest

from client_py.core.answers import read_refusal
from client_py.core.backoff import RETRY_AFTER_MS_MAX, RETRY_DELAY_MS_MAX, Backoff, retry_delay_ms
from client_py.core.book import Book
from client_py.core.effects import SendRequest
from client_py.core.events import Answered, Moment, Unanswered
from client_py.core.formats import rank_formats
from client_py.core.requests import IN_FLIGHT_MAX, TIMEOUT_MS_MAX, DeleteFlight, Requests, timeout_ms
from protocol.errors import STATUS_OF_CODE, ErrorCode, Problem, is_final
from protocol.limits import CHUNK_MAX_BYTES, MIB


def moment(monotonic_ms: int, jitter: float = 0.5) -> Moment:
    return Moment(monotonic_ms, 0, jitter)


def problem(code: ErrorCode, *, status: int | None = None, retry_after: str = "") -> Answered:
    body = Problem(type="urn", title="t", status=STATUS_OF_CODE[code], code=code, detail="d")
    headers = {"content-type": "application/problem+json; charset=utf-8"}
    headers |= {"retry-after": retry_after} if retry_after else {}
    return Answered(
        request_id=1, status=status or STATUS_OF_CODE[code], headers=headers, body=msgspec.json.encode(body)
    )


def test_delays_double_up_to_a_minute_and_never_end() -> None:
    ceilings = [retry_delay_ms(failures, 0.999999) + 1 for failures in range(200)]
    assert ceilings[:4] == [500, 1_000, 2_000, 4_000]
    assert max(ceilings) == RETRY_DELAY_MS_MAX
    assert all(later >= earlier for earlier, later in itertools.pairwise(ceilings))
    assert retry_delay_ms(7, 0.0) == 0


def test_a_nudge_ends_our_own_waiting_and_not_the_servers() -> None:
    backoff = Backoff()
    backoff.fail(moment(1_000))
    assert not backoff.is_open(moment(1_200))
    assert backoff.is_open(moment(1_250))
    backoff.fail(moment(2_000), retry_after_ms=30_000)
    backoff.nudge()
    assert not backoff.is_open(moment(31_999))
    assert backoff.is_open(moment(32_000))
    backoff.succeed()
    assert backoff.is_open(moment(0))


def test_an_absurd_retry_after_is_cut() -> None:
    backoff = Backoff()
    backoff.fail(moment(0), retry_after_ms=10**12)
    assert backoff.is_open(moment(RETRY_AFTER_MS_MAX))


def test_an_attempts_limit_lets_a_slow_line_deliver_and_doubles_after_each_timeout() -> None:
    assert timeout_ms(0, 0) == 30_000
    assert timeout_ms(MIB, 0) == 30_000 + 256_000
    assert timeout_ms(MIB, 1) == 2 * timeout_ms(MIB, 0)
    assert timeout_ms(CHUNK_MAX_BYTES, 50) == TIMEOUT_MS_MAX == 1_800_000


@pytest.mark.parametrize("code", list(ErrorCode))
def test_i10_only_the_codes_that_the_protocol_lists_are_final(code: ErrorCode) -> None:
    refusal = read_refusal(problem(code))
    assert refusal.code == code
    assert refusal.is_final == is_final(code)
    assert refusal.is_of_line == (STATUS_OF_CODE[code] in (408, 429, 503))


@pytest.mark.parametrize("status", [400, 403, 404, 409, 410, 413, 418, 500, 502, 503, 504])
def test_a_status_alone_is_never_final(status: int) -> None:
    html = Answered(request_id=1, status=status, headers={"content-type": "text/html"}, body=b"<html>")
    assert not read_refusal(html).is_final
    assert not read_refusal(problem(ErrorCode.CHUNK_DIFFERS, status=status)).is_final or status == 409


def test_a_body_that_the_server_found_too_slow_is_a_timeout_of_the_line() -> None:
    proxy = Answered(request_id=1, status=408, headers={"content-type": "text/html"}, body=b"<html>")
    for refusal in (read_refusal(problem(ErrorCode.BODY_TOO_SLOW)), read_refusal(proxy)):
        assert (refusal.is_of_line, refusal.is_timeout, refusal.is_final) == (True, True, False)
        assert "slow" in refusal.words


def start_all(book: Book, requests: Requests) -> list[int]:
    """Start as many as may be started; their numbers."""
    while requests.has_room:
        requests.start(DeleteFlight(recording_id="any"), "DELETE", "/any")
    return [effect.request_id for effect in book.take_effects() if isinstance(effect, SendRequest)]


def test_the_window_shrinks_to_one_and_widens_only_by_answers_within_half_the_limit() -> None:
    book = Book()
    requests = Requests(book)
    first = start_all(book, requests)
    assert len(first) == IN_FLIGHT_MAX
    requests.narrow()
    for request_id in first:
        requests.finish(request_id)
    (alone,) = start_all(book, requests)
    book.at = moment(16_000)  # more than half of 30 s: a second one beside it would have come too late
    requests.finish(alone)
    requests.widen()
    (alone,) = start_all(book, requests)
    book.at = moment(16_000 + 14_000)
    requests.finish(alone)
    requests.widen()
    assert len(start_all(book, requests)) == 2


def test_no_answer_is_the_lines_fault() -> None:
    assert read_refusal(Unanswered(request_id=1, is_timeout=False)).is_of_line
    assert read_refusal(Unanswered(request_id=1, is_timeout=True)).is_timeout


@pytest.mark.parametrize(
    ("field", "expected_ms"),
    [("7", 7_000), ("0", 0), ("", 0), ("soon", 0), ("-1", 0), ("1.5", 0), ("²", 0), ("9" * 20, 0)],
)
def test_retry_after_is_read_in_seconds_or_not_at_all(field: str, expected_ms: int) -> None:
    assert read_refusal(problem(ErrorCode.OVERLOADED, retry_after=field)).retry_after_ms == expected_ms


def test_webm_comes_first_and_nothing_known_means_the_browsers_default() -> None:
    supported = ["video/mp4", "audio/mp4", "audio/webm", "audio/webm;codecs=opus", "video/webm"]
    assert rank_formats("microphone", supported)[:2] == ["audio/webm;codecs=opus", "audio/webm"]
    assert rank_formats("camera", supported) == ["video/webm", "video/mp4"]
    assert rank_formats("screen", ["audio/webm"]) == []
