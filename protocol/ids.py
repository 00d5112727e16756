"""Identifiers: UUIDv7 for recordings and bucket objects, UUIDv8 for loose chunks (RFC 9562).

Nothing here reads a clock or a source of randomness; callers hand both in.
"""

import hashlib
import re
from typing import Final
from uuid import UUID

from protocol.limits import LOOSE_CHUNK_ID_MAX_CHARS

RANDOM_BYTES_OF_UUID7: Final = 10

_NEITHER_VERSION_NOR_VARIANT: Final = ~(0xF << 76 | 0x3 << 62)
_VERSION_8: Final = 0x8 << 76 | 0x2 << 62
_LOOSE_CHUNK_ID = re.compile(rf"[\x21-\x7e]{{1,{LOOSE_CHUNK_ID_MAX_CHARS}}}", re.ASCII)


class InvalidIdError(ValueError):
    """The text is not an identifier of the kind asked for; the message says what was expected."""


def make_uuid7(unix_ms: int, random_bytes: bytes) -> UUID:
    """A UUIDv7 (RFC 9562, section 5.7) of `unix_ms` and exactly 10 random bytes.

    Raises `ValueError` where the time does not fit 48 bits or the randomness has another length.
    """
    if not 0 <= unix_ms < 1 << 48:
        raise ValueError(f"unix_ms must fit 48 bits, got {unix_ms}")
    if len(random_bytes) != RANDOM_BYTES_OF_UUID7:
        raise ValueError(f"random_bytes must be {RANDOM_BYTES_OF_UUID7} bytes, got {len(random_bytes)}")
    return UUID(bytes=_with_version(unix_ms.to_bytes(6, "big") + random_bytes, 7))


def unix_ms_of(uuid7: UUID) -> int:
    """When a UUIDv7 was made, in ms of Unix time: its first 48 bits."""
    return uuid7.int >> 80


def parse_recording_id(text: str) -> UUID:
    """The recording id in its canonical form (lower case, hyphens), which must be a UUIDv7.

    Raises `InvalidIdError`. The version keeps browsers' ids apart from those of loose chunks.
    """
    try:
        recording_id = UUID(text)
    except ValueError:
        raise InvalidIdError(f"a recording id is a UUID, got {text[:64]!r}") from None
    if str(recording_id) != text:
        raise InvalidIdError(f"a recording id is written in lower case with hyphens, got {text[:64]!r}")
    if not is_recording_id(recording_id):
        raise InvalidIdError(f"a recording id is a UUID of version 7, got version {recording_id.version}")
    return recording_id


def is_recording_id(value: UUID) -> bool:
    """Whether the UUID is one that a browser may register: version 7."""
    return value.int >> 76 & 0xF == 7 and value.int >> 62 & 0x3 == 2


def loose_recording_id(chunk_id: str) -> UUID:
    """The UUIDv8 under which a loose chunk is kept, as chunk 0 of run 0.

    Raises `InvalidIdError` unless `chunk_id` is 1-128 ASCII characters of 0x21-0x7E.
    """
    if _LOOSE_CHUNK_ID.fullmatch(chunk_id) is None:
        raise InvalidIdError(
            f"a chunkId is 1-{LOOSE_CHUNK_ID_MAX_CHARS} visible ASCII characters (0x21-0x7E), got {chunk_id[:64]!r}"
        )
    digest = hashlib.sha256(b"holdfast-chunk:" + chunk_id.encode("ascii")).digest()
    # In one number: this is done for each of thousands a second.
    return UUID(int=int.from_bytes(digest[:16], "big") & _NEITHER_VERSION_NOR_VARIANT | _VERSION_8)


def _with_version(raw: bytes, version: int) -> bytes:
    octets = bytearray(raw)
    octets[6] = (version << 4) | (octets[6] & 0x0F)
    octets[8] = 0x80 | (octets[8] & 0x3F)  # the variant of RFC 9562, section 4.1
    return bytes(octets)
