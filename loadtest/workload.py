"""What a run of assignment.js sends, computed anew: which chunks there must be, and each one's bytes.

Written from assignment.js's description and sharing no code with the server or with protocol/.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final
from uuid import UUID

DATA_BYTES: Final = 1024
_OFFSETS: Final = 4096
_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
# console.error of assignment.js as k6 writes it: level=error msg="not-200 17 503" source=console
_NOT_200: Final = re.compile(r"not-200 (\d+) (\d+)")


@dataclass(frozen=True)
class Run:
    """One run: how many chunks were sent, and the status of those that were not answered 200 (0: no answer).

    They are numbered from `first` without a gap.
    """

    name: str
    sent: int
    other_statuses: dict[int, int]
    first: int = 0

    @property
    def answered_200(self) -> int:
        """How many chunks were acknowledged."""
        return self.sent - len(self.other_statuses)

    @property
    def numbers(self) -> range:
        """Every n that was sent."""
        return range(self.first, self.first + self.sent)

    def chunk_id(self, n: int) -> str:
        """The name of the run's n-th chunk."""
        return f"{self.name}-{n}"


@cache
def _filler() -> bytes:
    characters = bytearray()
    state = 1
    for _ in range(_OFFSETS + DATA_BYTES):
        state = (state * 1664525 + 1013904223) % (1 << 32)
        characters.append(_ALPHABET[state >> 26])
    return bytes(characters)


def expected_body(run_name: str, n: int) -> bytes:
    """The bytes that chunk n of the run must have in the bucket."""
    head = f"{run_name}-{n}:".encode()
    offset = n * 131 % _OFFSETS
    return head + _filler()[offset : offset + DATA_BYTES - len(head)]


def recording_id_of(chunk_id: str) -> UUID:
    """Where docs/FORMATS.md says that a loose chunk is kept: the UUIDv8 of SHA-256("holdfast-chunk:" + chunkId)."""
    value = int.from_bytes(hashlib.sha256(b"holdfast-chunk:" + chunk_id.encode("ascii")).digest()[:16], "big")
    value = value & ~(0xF << 76) | 0x8 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)


def read_other_statuses(console: Path) -> dict[int, int]:
    """{n: status} of the answers that assignment.js logged as not 200."""
    found: dict[int, int] = {}
    with console.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if match := _NOT_200.search(line):
                found[int(match[1])] = int(match[2])
    return found
