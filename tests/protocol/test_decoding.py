"""Whatever bytes come, decoding gives the Struct or exactly one exception that says what is wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.decoding import UndecodableError, decode_json
from protocol.errors import ErrorCode
from protocol.wire import LooseChunk, RecordingTitle


def test_a_body_is_decoded() -> None:
    assert decode_json(b'{"title":"a"}', RecordingTitle) == RecordingTitle(title="a")


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        (b"", ErrorCode.INVALID_JSON, "truncated"),
        (b"<html>", ErrorCode.INVALID_JSON, "invalid character"),
        (b'{"title":"a"', ErrorCode.INVALID_JSON, "truncated"),
        (b'{"title":"a"} x', ErrorCode.INVALID_JSON, "trailing"),
        (b'{"title":"\xff"}', ErrorCode.INVALID_JSON, "utf-8"),
        (b'{"title":"\\ud800"}', ErrorCode.INVALID_JSON, "not JSON"),
        (b'\xef\xbb\xbf{"title":"a"}', ErrorCode.INVALID_JSON, "invalid character"),
        ('{"title":"a"}'.encode("utf-16"), ErrorCode.INVALID_JSON, "invalid character"),
        (b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", ErrorCode.INVALID_JSON, "nested too deeply"),
        (b"[]", ErrorCode.INVALID_REQUEST, "Expected `object`"),
        (b"{}", ErrorCode.INVALID_REQUEST, "missing required field `title`"),
        (b'{"title":7}', ErrorCode.INVALID_REQUEST, r"\$\.title"),
    ],
)
def test_a_refusal_says_what_is_wrong(body: bytes, code: ErrorCode, words: str) -> None:
    with pytest.raises(UndecodableError, match=words) as caught:
        decode_json(body, RecordingTitle)
    assert caught.value.code == code


@given(st.binary(max_size=60) | st.binary(max_size=20).map(lambda junk: b'{"chunkId":"a","data":"' + junk + b'"}'))
def test_arbitrary_bytes_raise_nothing_else(body: bytes) -> None:
    try:
        decode_json(body, LooseChunk)
    except UndecodableError as error:
        assert error.code in (ErrorCode.INVALID_JSON, ErrorCode.INVALID_REQUEST)
