"""The bytes as they were recorded: one run's chunks in order, as far as they are held without a gap.

What is held only grows, and a chunk's content never changes (I3). So a length once told stays true,
and whoever asks for the first `chunk_count` chunks gets the same bytes for ever.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final
from uuid import UUID

from protocol.limits import CHUNK_INDEX_MAX, MANIFEST_CHUNKS_MAX, PAGE_ROWS_MAX
from protocol.states import ChunkState
from server.recordings.reading import Reader
from server.storage.ledger import Ledger

# Chunks under way to one listener; each is at most CHUNK_MAX_BYTES.
_AHEAD_MAX: Final = 3


@dataclass(frozen=True, slots=True)
class RunSpan:
    """Chunks of one run, by index and size, in order."""

    run: int
    indexes: Sequence[int]
    sizes: Sequence[int]

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        return sum(self.sizes)


async def list_runs(ledger: Ledger, recording_id: UUID, chunk_count: int = MANIFEST_CHUNKS_MAX) -> list[RunSpan]:
    """The runs among the first `chunk_count` chunks, up to the first chunk that is not there to be read."""
    indexes: dict[int, list[int]] = {}
    sizes: dict[int, list[int]] = {}
    expected = 0
    while True:
        rows = await ledger.list_chunks(recording_id, after_index=expected - 1, limit=PAGE_ROWS_MAX)
        for row in rows:
            is_next = row.chunk_index == expected and row.state is ChunkState.STORED
            if not is_next or expected >= min(chunk_count, CHUNK_INDEX_MAX):
                rows = []
                break
            indexes.setdefault(row.run, []).append(row.chunk_index)
            sizes.setdefault(row.run, []).append(row.size)
            expected += 1
        if len(rows) < PAGE_ROWS_MAX:
            return [RunSpan(run, indexes[run], sizes[run]) for run in sorted(indexes)]


async def read_in_order(reader: Reader, recording_id: UUID, indexes: Iterable[int]) -> AsyncIterator[bytes]:
    """The chunks' bytes, digests checked, a few read ahead. Raises what `Reader.read_chunk` raises."""
    coming = iter(indexes)
    under_way: deque[asyncio.Task[bytes]] = deque()

    async def read(index: int) -> bytes:
        body, _ = await reader.read_chunk(recording_id, index)
        return body

    def start_next() -> None:
        index = next(coming, None)
        if index is not None:
            under_way.append(asyncio.create_task(read(index)))

    try:
        for _ in range(_AHEAD_MAX):
            start_next()
        while under_way:
            body = await under_way.popleft()
            start_next()
            yield body
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


async def read_span(reader: Reader, recording_id: UUID, span: RunSpan, first: int, last: int) -> AsyncIterator[bytes]:
    """The bytes `first` to `last`, both included, of the run."""
    ends = list(accumulate(span.sizes))
    begins = [end - size for end, size in zip(ends, span.sizes, strict=True)]
    wanted = [place for place, end in enumerate(ends) if end > first and begins[place] <= last]
    bodies = read_in_order(reader, recording_id, [span.indexes[place] for place in wanted])
    place = iter(wanted)
    async for body in bodies:
        begin = begins[next(place)]
        yield body[max(0, first - begin) : last + 1 - begin]
