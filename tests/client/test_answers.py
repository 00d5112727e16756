"""Only what decodes is believed, whatever answers in the server's place: a captive portal answers 200 too."""

import pytest

from client_py.core.answers import decode_answer, read_refusal
from client_py.core.events import Answered
from client_py.core.journal import decode_record
from protocol.wire import RecordingTitle

STRANGE_BODIES = [
    b"",
    b"<html>Please sign in</html>",
    b'{"title":"\xff"}',  # no UTF-8: not an error of msgspec's own kind
    b"[" * 100_000,
    b'{"title":7}',
]


def answered(status: int, body: bytes, content_type: str = "application/json") -> Answered:
    return Answered(request_id=1, status=status, headers={"content-type": content_type}, body=body)


@pytest.mark.parametrize("body", STRANGE_BODIES)
def test_a_body_that_does_not_decode_is_no_answer(body: bytes) -> None:
    assert decode_answer(answered(200, body), RecordingTitle, 200) is None


@pytest.mark.parametrize("body", STRANGE_BODIES)
def test_a_problem_that_does_not_decode_is_never_final(body: bytes) -> None:
    refusal = read_refusal(answered(409, body, "application/problem+json"))
    assert not refusal.is_final


@pytest.mark.parametrize("record", [b"\xa1\xff", b"\x81\xa4type\xa1\xff", b"", b"\xc1"])
def test_a_record_that_does_not_decode_is_unknown(record: bytes) -> None:
    assert decode_record(record) is None
