"""What a chunk that a rebuild or an audit found in the bucket means beside a row that stands, as one pure function.

The order in which objects are found must not matter: of equal contents the newest copy counts (it is the
one that a repair or a collect made), and of two contents without a verdict none does (I3).
"""

from collections.abc import Sequence
from enum import Enum, auto

from protocol.states import ChunkState
from server.storage.ledger import NewChunk, StoredChunk


class Placement(Enum):
    """What is done with the found chunk."""

    LEAVE = auto()  # the row stays as it is
    LEAVE_COPY = auto()  # a disputed chunk, and this content is among its copies already
    REPOINT = auto()  # the row points to this copy from now on
    DISPUTE = auto()  # the row's content and this one contradict each other, and nothing says which one counts
    ADD_COPY = auto()  # a disputed chunk: this content, or this newer copy of a known one, is noted beside the others


def place_found(found: NewChunk, row: StoredChunk, contents: Sequence[NewChunk], *, is_acknowledged: bool) -> Placement:
    """`contents` are the known ones of a disputed row; `is_acknowledged`: somebody may hold a receipt for it."""
    if row.state is ChunkState.DISPUTED:
        known = [copy for copy in contents if content_of(copy) == content_of(found)]
        return Placement.LEAVE_COPY if known and known[0].object_id >= found.object_id else Placement.ADD_COPY
    if not row.has_content_of(found.run, found.size, found.sha256):
        return Placement.LEAVE if is_acknowledged else Placement.DISPUTE
    if row.state is ChunkState.WANTED:
        return Placement.REPOINT
    # A row that was acknowledged says itself where its bytes are; another copy is only a spare one.
    is_newer = found.object_id > row.object_id and not is_acknowledged
    return Placement.REPOINT if is_newer else Placement.LEAVE


def is_kept(placement: Placement | None) -> bool:
    """Whether a content that contradicts a row is kept beside it, or was before; it must not be called a loser then."""
    return placement in (Placement.DISPUTE, Placement.ADD_COPY, Placement.LEAVE_COPY)


def content_of(chunk: NewChunk) -> tuple[int, int, bytes]:
    """Run and bytes (I3)."""
    return (chunk.run, chunk.size, chunk.sha256)


def copy_of(row: StoredChunk) -> NewChunk:
    """What the row points to, as a copy among others."""
    return NewChunk(
        row.recording_id, row.chunk_index, row.run, row.object_id, row.offset, row.size, row.sha256, row.chunk_id
    )
