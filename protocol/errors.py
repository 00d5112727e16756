"""Errors as data: the stable codes of every refusal, its status, and which of them are final.

A refusal on the wire is a `Problem` (RFC 9457). `is_final` decides whether a client may park a
chunk: everything else, and every code it does not know, is tried again (I10).
"""

from enum import StrEnum
from typing import Final, assert_never

from msgspec import Struct


class ErrorCode(StrEnum):
    """The `code` of a problem, never renamed and never reused."""

    # 400: the request itself
    INVALID_JSON = "invalid-json"
    INVALID_REQUEST = "invalid-request"
    INVALID_RECORDING_ID = "invalid-recording-id"
    INVALID_CHUNK_INDEX = "invalid-chunk-index"
    INVALID_CHUNK_ID = "invalid-chunk-id"
    INVALID_CURSOR = "invalid-cursor"
    CHUNK_EMPTY = "chunk-empty"
    DIGEST_MISSING = "digest-missing"
    DIGEST_MISMATCH = "digest-mismatch"
    BODY_INCOMPLETE = "body-incomplete"
    # 404, 405: nothing there
    NOT_FOUND = "not-found"
    RECORDING_UNKNOWN = "recording-unknown"
    CHUNK_UNKNOWN = "chunk-unknown"
    CERTIFICATE_UNKNOWN = "certificate-unknown"
    MEDIA_UNKNOWN = "media-unknown"
    METHOD_NOT_ALLOWED = "method-not-allowed"
    # 408, 413, 415, 416
    BODY_TOO_SLOW = "body-too-slow"
    CHUNK_TOO_LARGE = "chunk-too-large"
    BODY_TOO_LARGE = "body-too-large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported-media-type"
    RANGE_NOT_SATISFIABLE = "range-not-satisfiable"
    # 409, 410: it contradicts what is held
    CHUNK_DIFFERS = "chunk-differs"
    CHUNK_DISPUTED = "chunk-disputed"
    RECORDING_DIFFERS = "recording-differs"
    RECORDING_COMPLETE = "recording-complete"
    CHUNKS_MISSING = "chunks-missing"
    MANIFEST_DIFFERS = "manifest-differs"
    RECORDING_DELETED = "recording-deleted"
    MEDIA_NOT_CONVERTIBLE = "media-not-convertible"
    # 429, 500, 503: not now
    TOO_MANY_REQUESTS = "too-many-requests"
    INTERNAL_ERROR = "internal-error"
    CHUNK_DAMAGED = "chunk-damaged"
    MEDIA_DAMAGED = "media-damaged"
    OVERLOADED = "overloaded"
    DRAINING = "draining"
    BUCKET_UNAVAILABLE = "bucket-unavailable"
    LEDGER_UNAVAILABLE = "ledger-unavailable"
    STORE_MISMATCH = "store-mismatch"


STATUS_OF_CODE: Final[dict[ErrorCode, int]] = {
    ErrorCode.INVALID_JSON: 400,
    ErrorCode.INVALID_REQUEST: 400,
    ErrorCode.INVALID_RECORDING_ID: 400,
    ErrorCode.INVALID_CHUNK_INDEX: 400,
    ErrorCode.INVALID_CHUNK_ID: 400,
    ErrorCode.INVALID_CURSOR: 400,
    ErrorCode.CHUNK_EMPTY: 400,
    ErrorCode.DIGEST_MISSING: 400,
    ErrorCode.DIGEST_MISMATCH: 400,
    ErrorCode.BODY_INCOMPLETE: 400,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.RECORDING_UNKNOWN: 404,
    ErrorCode.CHUNK_UNKNOWN: 404,
    ErrorCode.CERTIFICATE_UNKNOWN: 404,
    ErrorCode.MEDIA_UNKNOWN: 404,
    ErrorCode.METHOD_NOT_ALLOWED: 405,
    ErrorCode.BODY_TOO_SLOW: 408,
    ErrorCode.CHUNK_TOO_LARGE: 413,
    ErrorCode.BODY_TOO_LARGE: 413,
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: 415,
    ErrorCode.RANGE_NOT_SATISFIABLE: 416,
    ErrorCode.CHUNK_DIFFERS: 409,
    ErrorCode.CHUNK_DISPUTED: 409,
    ErrorCode.RECORDING_DIFFERS: 409,
    ErrorCode.RECORDING_COMPLETE: 409,
    ErrorCode.CHUNKS_MISSING: 409,
    ErrorCode.MANIFEST_DIFFERS: 409,
    ErrorCode.RECORDING_DELETED: 410,
    ErrorCode.MEDIA_NOT_CONVERTIBLE: 409,
    ErrorCode.TOO_MANY_REQUESTS: 429,
    ErrorCode.INTERNAL_ERROR: 500,
    ErrorCode.CHUNK_DAMAGED: 500,
    ErrorCode.MEDIA_DAMAGED: 500,
    ErrorCode.OVERLOADED: 503,
    ErrorCode.DRAINING: 503,
    ErrorCode.BUCKET_UNAVAILABLE: 503,
    ErrorCode.LEDGER_UNAVAILABLE: 503,
    ErrorCode.STORE_MISMATCH: 503,
}


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An `application/problem+json` body: what was wrong, what was expected, and what to do next."""

    type: str  # "urn:holdfast:problem:<code>"
    title: str
    status: int
    code: str  # a string, not ErrorCode: an older client must decode a newer server's codes
    detail: str
    next_step: str = ""
    chunks: list[int] = []  # the chunk indexes concerned, bounded by PROBLEM_CHUNKS_MAX
    request_id: str = ""


# A problem lists at most so many chunk indexes; the client asks again when it has sent those.
PROBLEM_CHUNKS_MAX: Final = 1_000


def is_final(code: str) -> bool:
    """Whether sending the same chunk again can never succeed, so that the client parks it.

    The match is exhaustive, so a new code cannot be forgotten here; a code this version does not
    know is not final (I10).
    """
    try:
        known = ErrorCode(code)
    except ValueError:
        return False
    match known:
        case (
            ErrorCode.CHUNK_DIFFERS
            | ErrorCode.CHUNK_TOO_LARGE
            | ErrorCode.RECORDING_DIFFERS
            | ErrorCode.RECORDING_COMPLETE
            | ErrorCode.MANIFEST_DIFFERS
            | ErrorCode.RECORDING_DELETED
        ):
            return True
        case (
            ErrorCode.INVALID_JSON
            | ErrorCode.INVALID_REQUEST
            | ErrorCode.INVALID_RECORDING_ID
            | ErrorCode.INVALID_CHUNK_INDEX
            | ErrorCode.INVALID_CHUNK_ID
            | ErrorCode.INVALID_CURSOR
            | ErrorCode.CHUNK_EMPTY
            | ErrorCode.DIGEST_MISSING
            | ErrorCode.DIGEST_MISMATCH
            | ErrorCode.BODY_INCOMPLETE
            | ErrorCode.NOT_FOUND
            | ErrorCode.RECORDING_UNKNOWN
            | ErrorCode.CHUNK_UNKNOWN
            | ErrorCode.CERTIFICATE_UNKNOWN
            | ErrorCode.MEDIA_UNKNOWN
            | ErrorCode.METHOD_NOT_ALLOWED
            | ErrorCode.BODY_TOO_SLOW
            | ErrorCode.BODY_TOO_LARGE
            | ErrorCode.UNSUPPORTED_MEDIA_TYPE
            | ErrorCode.RANGE_NOT_SATISFIABLE
            | ErrorCode.CHUNK_DISPUTED
            | ErrorCode.CHUNKS_MISSING
            | ErrorCode.MEDIA_NOT_CONVERTIBLE
            | ErrorCode.TOO_MANY_REQUESTS
            | ErrorCode.INTERNAL_ERROR
            | ErrorCode.CHUNK_DAMAGED
            | ErrorCode.MEDIA_DAMAGED
            | ErrorCode.OVERLOADED
            | ErrorCode.DRAINING
            | ErrorCode.BUCKET_UNAVAILABLE
            | ErrorCode.LEDGER_UNAVAILABLE
            | ErrorCode.STORE_MISMATCH
        ):
            return False
        case _:
            assert_never(known)
