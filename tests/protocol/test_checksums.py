"""Content-Digest is read as RFC 9530 and RFC 8941 say, and nothing that is not 32 bytes of SHA-256 gets through."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.checksums import InvalidDigestError, format_content_digest, parse_content_digest, sha256, sha256_hex

DIGEST = hashlib.sha256(b"abc").digest()
FIELD = "sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:"
OTHER_FIELD = f"sha-256=:{base64.b64encode(bytes(32)).decode()}:"


def test_the_vector_of_fips_180() -> None:
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_hex(b"abc") == expected
    assert sha256(b"abc").hex() == expected
    assert sha256_hex(memoryview(bytearray(b"xabc"))[1:]) == expected


@given(st.binary(min_size=32, max_size=32))
def test_a_digest_survives_the_field(digest: bytes) -> None:
    assert parse_content_digest(format_content_digest(digest)) == digest


@pytest.mark.parametrize(
    "field",
    [
        FIELD,
        f"  {FIELD}\t",
        f"sha-512=:AAAA:, {FIELD}",
        f"{FIELD},sha-512=:AAAA:",
        f"{FIELD};a=1",
        f"{OTHER_FIELD}, {FIELD}",  # RFC 8941: of equal keys the last counts
        f"md5=:AAAA:;x=1,{FIELD};y",
    ],
)
def test_the_member_is_found_among_others(field: str) -> None:
    assert parse_content_digest(field) == DIGEST


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("", "no member"),
        ("sha-256", "no member"),
        ("sha-256=", "no member"),
        ("sha-256=::", "no member"),
        (FIELD.replace(":", ""), "no member"),
        (FIELD[:-1], "no member"),
        (FIELD.upper(), "no member"),
        ("x" + FIELD, "no member"),
        (FIELD + "x", "no member"),
        (FIELD + "\n", "no member"),
        (FIELD.replace("sha-256", "sha-512"), "no member"),
        (FIELD.replace("=:ung", "=:un-"), "no member"),
        (FIELD.replace("=:ung", "=:ünÖ"), "no member"),
        ("sha-256=:AAA:", "not base64"),
        ("sha-256=:AAAA:", "holds 3"),
        (f"sha-256=:{base64.b64encode(bytes(31)).decode()}:", "holds 31"),
        (f"sha-256=:{base64.b64encode(bytes(33)).decode()}:", "holds 33"),
        (f"{FIELD}, sha-256=:AAAA:", "holds 3"),  # the last counts, also when it is the worse one
    ],
)
def test_anything_else_is_refused_with_a_reason(field: str, words: str) -> None:
    with pytest.raises(InvalidDigestError, match=words):
        parse_content_digest(field)


@given(st.text(max_size=120) | st.text(alphabet=":=;, \tsha-256A", max_size=400))
def test_an_arbitrary_field_gives_32_bytes_or_a_refusal(field: str) -> None:
    try:
        digest = parse_content_digest(field)
    except InvalidDigestError:
        return
    assert len(digest) == 32
