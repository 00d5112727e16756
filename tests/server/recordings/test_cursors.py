"""A cursor is given back as it was given, to the listing that gave it, or refused."""

from collections.abc import Callable
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import ErrorCode
from server.recordings.cursors import (
    decode_chunk_cursor,
    decode_recording_cursor,
    encode_chunk_cursor,
    encode_recording_cursor,
)
from server.refusal import Refusal


@given(st.uuids())
def test_every_recording_cursor_is_read_back(recording_id: UUID) -> None:
    assert decode_recording_cursor(encode_recording_cursor(recording_id)) == recording_id


@given(st.integers(0, 99_999_999))
def test_every_chunk_cursor_is_read_back(index: int) -> None:
    cursor = encode_chunk_cursor(index)
    assert decode_chunk_cursor(cursor) == index
    assert cursor.isascii() and cursor.replace("-", "").replace("_", "").isalnum(), "it stands in an address as it is"


@pytest.mark.parametrize("decode", [decode_chunk_cursor, decode_recording_cursor])
@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "0",
        "-1",
        "\u00e9",
        "A" * 10_000,
        encode_chunk_cursor(7) + "=",
        encode_chunk_cursor(7) + "\n",
        encode_chunk_cursor(7)[:-1],
        " " + encode_chunk_cursor(7),
        encode_recording_cursor(UUID(int=5)) + "A",
        "YwAAAA-",  # a last character with bits that decode to nothing
        "Y_____8",  # an index above the largest
    ],
)
def test_what_no_page_gave_is_refused(decode: Callable[[str], object], cursor: str) -> None:
    with pytest.raises(Refusal) as refused:
        decode(cursor)
    assert refused.value.code is ErrorCode.INVALID_CURSOR
    assert len(refused.value.detail) < 200


def test_the_cursor_of_another_listing_is_refused() -> None:
    with pytest.raises(Refusal):
        decode_chunk_cursor(encode_recording_cursor(UUID(int=5)))
    with pytest.raises(Refusal):
        decode_recording_cursor(encode_chunk_cursor(5))


@given(st.text(max_size=40))
def test_arbitrary_text_is_refused_and_never_fails_otherwise(cursor: str) -> None:
    with pytest.raises(Refusal):
        decode_recording_cursor(cursor)
