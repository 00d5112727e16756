"""Which slices become which chunk: the rule that fixes a chunk's composition (I3).

A chunk is sealed at `chunk_bytes` or when its first byte is `chunk_ms` old, whichever comes first,
and at pause, stop and the end of a run. It never holds bytes of two runs. A slice that does not
fit beside what waits already seals that first; one larger than a chunk is split.
"""

import hashlib
from typing import Final

from msgspec import Struct

from client_py.core.journal import Piece, Sealed
from protocol.limits import CHUNK_MAX_BYTES


class SliceRef(Struct, frozen=True):
    """A persisted slice: its number, its run, and where its content lies."""

    slice_number: int
    run: int
    epoch: int
    segment: int
    offset: int
    size: int


class Sealer:
    """The unsealed tail of one recording."""

    def __init__(self, *, chunk_bytes: int, chunk_ms: int, next_index: int) -> None:
        self._chunk_bytes: Final = max(1, min(chunk_bytes, CHUNK_MAX_BYTES))
        self._chunk_ms: Final = chunk_ms
        self.next_index = next_index
        self._start_empty()

    @property
    def size(self) -> int:
        """Bytes that wait to be sealed."""
        return self._size

    def segments(self) -> set[tuple[int, int]]:
        """The (epoch, segment) that the waiting bytes lie in; they must not be removed."""
        return {(piece.epoch, piece.segment) for piece in self._pieces}

    def add(self, ref: SliceRef, content: bytes, *, at_ms: int, start: int = 0, end: int | None = None) -> list[Sealed]:
        """Take a slice, or its bytes from `start` to `end`; return the chunks that this fills."""
        sealed: list[Sealed] = []
        end = ref.size if end is None else end
        if self._size and (ref.run != self._run or self._size + end - start > self._chunk_bytes):
            sealed += self.seal()
        while start < end:
            cut = min(end, start + self._chunk_bytes - self._size)
            self._take(ref, content, start, cut, at_ms)
            if self._size >= self._chunk_bytes:
                sealed += self.seal()
            start = cut
        return sealed

    def is_due(self, at_ms: int) -> bool:
        """Whether the tail is old enough to be sealed although it is small."""
        return self._size > 0 and at_ms - self._since_ms >= self._chunk_ms

    def seal(self) -> list[Sealed]:
        """Seal what waits: one chunk, or none where nothing does."""
        if not self._size:
            return []
        sealed = Sealed(
            chunk_index=self.next_index,
            run=self._run,
            size=self._size,
            sha256=self._hash.digest(),
            first_slice=self._first[0],
            first_offset=self._first[1],
            next_slice=self._next[0],
            next_offset=self._next[1],
            pieces=self._pieces,
        )
        self.next_index += 1
        self._start_empty()
        return [sealed]

    def _start_empty(self) -> None:
        self._size = 0
        self._run = 0
        self._since_ms = 0
        self._first = (0, 0)
        self._next = (0, 0)
        self._pieces: list[Piece] = []
        self._hash = hashlib.sha256()

    def _take(self, ref: SliceRef, content: bytes, start: int, end: int, at_ms: int) -> None:
        if not self._size:
            self._run, self._since_ms, self._first = ref.run, at_ms, (ref.slice_number, start)
        self._hash.update(memoryview(content)[start:end])
        self._pieces.append(Piece(ref.epoch, ref.segment, ref.offset + start, end - start))
        self._size += end - start
        self._next = (ref.slice_number, end) if end < ref.size else (ref.slice_number + 1, 0)
