"""Identifiers are what RFC 9562 says, are read only in their canonical form, and those of two kinds never meet."""

import hashlib
import uuid
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.ids import (
    InvalidIdError,
    is_recording_id,
    loose_recording_id,
    make_uuid7,
    parse_recording_id,
    unix_ms_of,
)

VISIBLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=128)
UNIX_MS = st.integers(0, (1 << 48) - 1)
RANDOM = st.binary(min_size=10, max_size=10)


def test_the_example_of_the_rfc_is_made_from_its_parts() -> None:
    """RFC 9562, appendix A.6: rand_a 0xCC3, rand_b 0x18C4DC0C0C07398F, 2022-02-22 19:22:22 UTC."""
    made = make_uuid7(0x017F22E279B0, bytes.fromhex("0cc318c4dc0c0c07398f"))
    assert str(made) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@given(UNIX_MS, RANDOM)
def test_a_uuid7_has_its_version_variant_time_and_randomness(unix_ms: int, random_bytes: bytes) -> None:
    made = make_uuid7(unix_ms, random_bytes)
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert unix_ms_of(made) == unix_ms
    kept = int.from_bytes(random_bytes, "big")
    assert made.int & ((1 << 62) - 1) == kept & ((1 << 62) - 1)
    assert (made.int >> 64) & 0xFFF == (kept >> 64) & 0xFFF


@given(st.lists(st.tuples(UNIX_MS, RANDOM), min_size=2, max_size=20))
def test_uuid7s_sort_by_time_as_text_and_as_bytes(parts: list[tuple[int, bytes]]) -> None:
    made = [make_uuid7(unix_ms, random_bytes) for unix_ms, random_bytes in sorted(parts)]
    times = [unix_ms_of(value) for value in sorted(made, key=str)]
    assert times == sorted(times)
    assert sorted(made, key=str) == sorted(made, key=lambda value: value.bytes)


@pytest.mark.parametrize(
    ("unix_ms", "random_bytes"), [(-1, bytes(10)), (1 << 48, bytes(10)), (0, bytes(9)), (0, bytes(11))]
)
def test_parts_that_do_not_fit_are_refused(unix_ms: int, random_bytes: bytes) -> None:
    with pytest.raises(ValueError, match="must"):
        make_uuid7(unix_ms, random_bytes)


@given(UNIX_MS, RANDOM)
def test_a_recording_id_is_read_back_from_its_canonical_form(unix_ms: int, random_bytes: bytes) -> None:
    made = make_uuid7(unix_ms, random_bytes)
    assert parse_recording_id(str(made)) == made


CANONICAL = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is a UUID"),
        ("..", "is a UUID"),
        ("x" * 1_000, "is a UUID"),
        (CANONICAL.upper(), "lower case"),
        (CANONICAL.replace("-", ""), "hyphens"),
        ("{" + CANONICAL + "}", "hyphens"),
        ("urn:uuid:" + CANONICAL, "hyphens"),
        (CANONICAL + "\n", "is a UUID"),
        (" " + CANONICAL, "is a UUID"),
        (CANONICAL.replace("017f22e2", "\u0660\u06617f22e2"), "lower case"),  # digits of another script pass int()
        (CANONICAL.replace("22e2", "2_e2"), "lower case"),  # and so do underscores
        ("017f22e2-79b0-4cc3-98c4-dc0c0c07398f", "version 7, got version 4"),
        ("017f22e2-79b0-8cc3-98c4-dc0c0c07398f", "version 7, got version 8"),
        ("017f22e2-79b0-7cc3-18c4-dc0c0c07398f", "version 7, got version None"),  # another variant
        (str(UUID(int=0)), "version 7"),
        (str(UUID(int=(1 << 128) - 1)), "version 7"),
    ],
)
def test_anything_else_is_no_recording_id(text: str, words: str) -> None:
    with pytest.raises(InvalidIdError, match=words):
        parse_recording_id(text)


@given(st.text(max_size=80))
def test_a_text_is_refused_or_is_exactly_what_it_says(text: str) -> None:
    try:
        parsed = parse_recording_id(text)
    except InvalidIdError:
        return
    assert str(parsed) == text


@given(VISIBLE)
def test_a_loose_chunk_never_meets_a_recording(chunk_id: str) -> None:
    made = loose_recording_id(chunk_id)
    assert (made.version, made.variant) == (8, uuid.RFC_4122)
    assert not is_recording_id(made)
    digest = int.from_bytes(hashlib.sha256(b"holdfast-chunk:" + chunk_id.encode()).digest()[:16], "big")
    free = ~((0xF << 76) | (0x3 << 62)) & ((1 << 128) - 1)  # all bits but version and variant
    assert made.int & free == digest & free


@given(VISIBLE, VISIBLE)
def test_two_chunk_ids_have_two_recording_ids(one: str, other: str) -> None:
    assert (loose_recording_id(one) == loose_recording_id(other)) == (one == other)


@pytest.mark.parametrize("chunk_id", ["", "x" * 129, "a b", "a\n", "\na", "ä", "a\x7f", "\x00", "\ud800", "\u0661"])
def test_no_other_chunk_id_is_taken(chunk_id: str) -> None:
    with pytest.raises(InvalidIdError, match=r"1-128 visible ASCII"):
        loose_recording_id(chunk_id)
