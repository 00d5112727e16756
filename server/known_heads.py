"""Heads of requests that were parsed before: what the parser made of one holds for every other of the same bytes.

A client sends the hot route one head again and again: only the body differs, and of it not even the length for most.
To find a head costs a tenth of what parsing it does.
"""

from typing import Final

from msgspec import Struct

from server.hot_route import Headers
from server.refusal import Refusal
from server.routes.bodies import BodyHead, read_head

# Each client sends a few; of those whose heads differ each time none is ever found again.
HEADS_MAX: Final = 256
# Longer ones are parsed each time, so that all of them together stay small.
HEAD_BYTES_MAX: Final = 2_048
_END: Final = b"\r\n\r\n"


class KnownHead(Struct, frozen=True):
    """What a head says: its length, its fields, and what they say of the body."""

    head_bytes: int
    headers: Headers
    body: BodyHead


class KnownHeads:
    """The heads that one worker knows; who remembers one sees to it that it does not end its connection."""

    def __init__(self) -> None:
        self._heads: dict[bytes, KnownHead] = {}

    def __len__(self) -> int:
        return len(self._heads)

    def find(self, data: bytes) -> KnownHead | None:
        """What the head says of the one whole request that `data` is; None where it is not one, or not known."""
        head_bytes = _measure_head(data)
        head = self._heads.get(data[:head_bytes])
        return head if head is not None and head.body.announced_bytes == len(data) - head_bytes else None

    def remember(self, data: bytes, headers: Headers, body_bytes: int) -> None:
        """Keep what the parser made of `data`, if it was one whole request with a body of a length told before it."""
        head_bytes = _measure_head(data)
        if head_bytes + body_bytes != len(data):
            return  # more than one; or an empty line before it; or a body of pieces
        try:
            body = read_head({"headers": headers})
        except Refusal:
            return
        if body.announced_bytes != body_bytes:
            return
        if len(self._heads) >= HEADS_MAX:
            self._heads.clear()
        self._heads[data[:head_bytes]] = KnownHead(head_bytes, headers, body)


def _measure_head(data: bytes) -> int:
    """Bytes of the head that `data` begins with; 0 where it has no end, or a late one."""
    found = data.find(_END, 0, HEAD_BYTES_MAX)
    return found + len(_END) if found >= 0 else 0
