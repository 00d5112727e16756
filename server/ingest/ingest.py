"""The port of ingest: what the routes hand over and what they get back. It knows no HTTP.

Every implementation keeps this contract:

- `accept` returns only after the object is stored in the bucket and its row is committed (I2).
- Cancelling `accept` cancels nothing that has begun: the flush owns its own task, and the place.
- The same chunk again gives the same row, other content is refused (I3), and a refused chunk
  never fails its neighbours.
- `drain` returns when everything accepted so far has its outcome.
"""

from asyncio import Future
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from server.ingest.waiting import Place
from server.storage.ledger import Acknowledged


class IncomingChunk(Struct, frozen=True, gc=False):
    """A chunk whose body is whole; `sha256` is what its sender says of it, None for a loose chunk.

    `hashed` is the body's SHA-256 where it was taken piece by piece as the body came.
    """

    recording_id: UUID
    chunk_index: int
    run: int
    body: bytes
    sha256: bytes | None
    chunk_id: str | None = None
    hashed: bytes | None = None

    def __repr__(self) -> str:
        """Without the body, which belongs into no log."""
        return f"IncomingChunk({self.recording_id}, {self.chunk_index}, run {self.run}, {len(self.body)} bytes)"

    @property
    def key(self) -> tuple[UUID, int]:
        """What has one content for ever (I3)."""
        return (self.recording_id, self.chunk_index)


class Ingest(Protocol):
    """Stores and acknowledges chunks."""

    async def accept(self, chunk: IncomingChunk, place: Place) -> Acknowledged:
        """Store and acknowledge the chunk; `place` is given back when its bytes are no longer held.

        Raises `Refusal` (chunk-empty, digest-mismatch, chunk-differs, chunk-disputed, recording-unknown,
        recording-deleted, recording-complete, overloaded), `BlobStoreError` or `LedgerError`.
        """
        ...

    @property
    def flushes_in_flight(self) -> int:
        """How many objects are on their way into bucket and ledger now."""
        ...

    def begin(self, chunk: IncomingChunk, place: Place) -> "Future[Acknowledged]":
        """As `accept`, for whoever does not wait; the future ends as `accept` would.

        Raises `Refusal` (chunk-empty, digest-mismatch) at once; the place is the caller's still then.
        """
        ...

    async def drain(self) -> None:
        """Wait for everything accepted so far."""
        ...
