"""Opaque cursors of listings: base64url of the last key that a page showed, marked with its listing.

A cursor states a position and no page number, so rows that come or go between two pages shift nothing.
"""

import base64
import binascii
from typing import Final
from uuid import UUID

from protocol.errors import ErrorCode
from protocol.limits import CHUNK_INDEX_MAX
from server.refusal import Refusal

_RECORDING: Final = b"r"
_CHUNK: Final = b"c"
_FINDING: Final = b"f"
_INDEX_BYTES: Final = 4
_FINDING_BYTES: Final = 8
_TEXT_MAX_CHARS: Final = 64


def encode_recording_cursor(last: UUID) -> str:
    """The cursor after this recording."""
    return _encode(_RECORDING + last.bytes)


def decode_recording_cursor(cursor: str) -> UUID:
    """Raises `Refusal` (INVALID_CURSOR)."""
    raw = _decode(cursor, _RECORDING, 16)
    return UUID(bytes=raw)


def encode_chunk_cursor(last_index: int) -> str:
    """The cursor after this chunk."""
    return _encode(_CHUNK + last_index.to_bytes(_INDEX_BYTES, "big"))


def decode_chunk_cursor(cursor: str) -> int:
    """Raises `Refusal` (INVALID_CURSOR)."""
    index = int.from_bytes(_decode(cursor, _CHUNK, _INDEX_BYTES), "big")
    if index > CHUNK_INDEX_MAX:
        raise _invalid(cursor)
    return index


def encode_finding_cursor(last: int) -> str:
    """The cursor after this finding_id."""
    return _encode(_FINDING + last.to_bytes(_FINDING_BYTES, "big"))


def decode_finding_cursor(cursor: str) -> int:
    """Raises `Refusal` (INVALID_CURSOR)."""
    finding_id = int.from_bytes(_decode(cursor, _FINDING, _FINDING_BYTES), "big")
    if finding_id >= 2**63:
        raise _invalid(cursor)
    return finding_id


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _decode(cursor: str, mark: bytes, size: int) -> bytes:
    if len(cursor) > _TEXT_MAX_CHARS or not cursor.isascii():
        raise _invalid(cursor)
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except binascii.Error:
        raise _invalid(cursor) from None
    # The decoder skips what is no base64; only the one spelling that we gave counts.
    if raw[:1] != mark or len(raw) != 1 + size or _encode(raw) != cursor:
        raise _invalid(cursor)
    return raw[1:]


def _invalid(cursor: str) -> Refusal:
    return Refusal(
        ErrorCode.INVALID_CURSOR,
        f"{cursor[:_TEXT_MAX_CHARS]!r} is no cursor of this listing",
        next_step="Give next_cursor of the page before as it is, or begin without a cursor.",
    )
