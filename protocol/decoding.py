"""Decoding of JSON that somebody else wrote: one exception for everything that can be wrong with it.

msgspec's own errors are not all: text that is no UTF-8 raises `UnicodeDecodeError` and deep nesting `RecursionError`,
and either would take down a caller that expects `MsgspecError`.
"""

from typing import TypeVar

import msgspec

from protocol.errors import ErrorCode

T = TypeVar("T")


class UndecodableError(ValueError):
    """The bytes are not what was asked for. `code` is INVALID_JSON, or INVALID_REQUEST for JSON of another form."""

    def __init__(self, code: ErrorCode, detail: str) -> None:
        super().__init__(detail)
        self.code = code


def decode_json(body: bytes, kind: type[T]) -> T:
    """`body` as a `kind`, every bound checked. Raises `UndecodableError`; its text names the field."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise UndecodableError(ErrorCode.INVALID_REQUEST, str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UndecodableError(ErrorCode.INVALID_JSON, f"not JSON: {error}") from error
    except RecursionError as error:
        raise UndecodableError(ErrorCode.INVALID_JSON, "not JSON that can be read: nested too deeply") from error
