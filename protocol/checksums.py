"""Digests on the wire: SHA-256 as hex in JSON, and the `Content-Digest` field of RFC 9530."""

import base64
import binascii
import hashlib
import re

_SHA256_MEMBER = re.compile(r"(?:\A|,)[ \t]*sha-256=:([A-Za-z0-9+/]+={0,2}):[ \t]*(?:;[^,]*)?(?=,|\Z)")


class InvalidDigestError(ValueError):
    """A Content-Digest field without a readable sha-256 member."""


def sha256(content: bytes | bytearray | memoryview) -> bytes:
    """The 32 bytes of SHA-256 (FIPS 180-4) over `content`."""
    return hashlib.sha256(content).digest()


def sha256_hex(content: bytes | bytearray | memoryview) -> str:
    """SHA-256 over `content` as 64 lower-case hexadecimal digits, the form used in JSON and keys."""
    return hashlib.sha256(content).hexdigest()


def format_content_digest(digest: bytes) -> str:
    """The value of `Content-Digest` for a 32-byte SHA-256, e.g. `sha-256=:…:` (RFC 9530, section 2)."""
    return f"sha-256=:{base64.b64encode(digest).decode('ascii')}:"


def parse_content_digest(field: str) -> bytes:
    """The 32 bytes of the field's sha-256 member; other algorithms beside it are ignored.

    Raises `InvalidDigestError` when there is none or it does not hold exactly 32 bytes.
    """
    members = _SHA256_MEMBER.findall(field)
    if not members:
        raise InvalidDigestError("Content-Digest has no member of the form sha-256=:BASE64:")
    try:
        digest = base64.b64decode(members[-1], validate=True)  # RFC 8941: of equal keys the last counts
    except binascii.Error as error:
        raise InvalidDigestError("the sha-256 member of Content-Digest is not base64") from error
    if len(digest) != 32:
        raise InvalidDigestError(f"a sha-256 digest has 32 bytes, Content-Digest holds {len(digest)}")
    return digest
