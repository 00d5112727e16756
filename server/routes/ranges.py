"""The Range header (RFC 9110, section 14): one range of bytes, or the whole."""

import re
from typing import Final

from protocol.errors import ErrorCode
from server.refusal import Refusal

# Nineteen digits hold every size there is; more are only there to be long.
_ONE: Final = re.compile(r"bytes=[ \t]*([0-9]{0,19})-([0-9]{0,19})[ \t]*", re.ASCII | re.IGNORECASE)
_SEVERAL: Final = re.compile(r"bytes=[0-9 \t,-]+", re.ASCII | re.IGNORECASE)
_UNIT: Final = re.compile(r"bytes[ \t]*=", re.ASCII | re.IGNORECASE)


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """(first, last), both included, of `size` bytes; None for the whole.

    The whole is also the answer to several ranges and to other units, as the RFC allows. Raises
    `Refusal` (range-not-satisfiable) for what is no range and for one that has none of the bytes.
    """
    if not header or _UNIT.match(header) is None:
        return None
    found = _ONE.fullmatch(header)
    if found is None:
        if "," in header and _SEVERAL.fullmatch(header):
            return None
        raise _refuse(header, size, "it is no range of bytes")
    first, last = found.groups()
    if first:
        begin, end = int(first), min(int(last), size - 1) if last else size - 1
        if last and int(last) < int(first):
            raise _refuse(header, size, "its end is before its begin")
    elif last:  # the last so many bytes
        begin, end = max(0, size - int(last)), size - 1
        if int(last) == 0:
            raise _refuse(header, size, "it asks for no byte")
    else:
        raise _refuse(header, size, "it names neither begin nor end")
    if begin >= size:
        raise _refuse(header, size, f"it begins after the last of {size} bytes")
    return begin, end


def _refuse(header: str, size: int, why: str) -> Refusal:
    return Refusal(
        ErrorCode.RANGE_NOT_SATISFIABLE,
        f"the Range header is {header[:64]!r}: {why}",
        next_step=f"There are {size} bytes: ask e.g. for Range: bytes=0-{size - 1}.",
        headers={"content-range": f"bytes */{size}"},
    )
