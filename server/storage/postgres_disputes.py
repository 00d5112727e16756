"""Disputed chunks in PostgreSQL: the contents that the bucket holds of them, and the one that counts in the end."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from protocol.ids import is_recording_id
from server.storage.ledger import DisputedCopy, NewChunk
from server.storage.postgres_arrays import int4_column, uuid_column
from server.storage.postgres_connection import PostgresConnections, Transaction

_Key = tuple[UUID, int]

_COPIES: Final = """
    select recording_id, chunk_index, d.run, d.object_id, d.object_offset, d.size, d.sha256,
        chunks.chunk_id, objects.key
    from unnest(%s::uuid[], %s::int4[]) as k (recording_id, chunk_index)
    join disputed_contents as d using (recording_id, chunk_index)
    join chunks using (recording_id, chunk_index)
    join objects on objects.object_id = d.object_id
"""
_LOCK_RECORDING: Final = "select state from recordings where recording_id = %s for share"
# The premise: still disputed. A deleted recording has no row left.
_SETTLE: Final = """
    update chunks set state = 'stored', run = %s, size = %s, sha256 = %s, object_id = %s, object_offset = %s
    where recording_id = %s and chunk_index = %s and state = 'disputed' returning true
"""
_FORGET_COPIES: Final = "delete from disputed_contents where recording_id = %s and chunk_index = %s"
_MARK_WASTE: Final = """
    update objects set has_waste = true
    where object_id in (
        select object_id from objects where object_id = any(%s::uuid[]) order by object_id for update
    )
"""


async def find_disputed(
    connections: PostgresConnections, recording_id: UUID, indexes: Sequence[int]
) -> list[DisputedCopy]:
    """See `Ledger.find_disputed`."""
    rows = await connections.fetch(_COPIES, (uuid_column([recording_id] * len(indexes)), int4_column(indexes)))
    return [_read_copy(row) for row in rows]


async def settle_dispute(connections: PostgresConnections, winner: NewChunk) -> list[NewChunk]:
    """See `Ledger.settle_dispute`."""
    async with connections.transaction() as transaction:
        if is_recording_id(winner.recording_id):
            await transaction.fetch(_LOCK_RECORDING, (winner.recording_id,))
        key = (winner.recording_id, winner.chunk_index)
        copies = (await find_copies(transaction, [key])).get(key, [])
        if not any(has_same_content(copy, winner) for copy in copies):
            return []
        return await settle_in(transaction, winner, copies)


async def find_copies(transaction: Transaction, keys: Sequence[_Key]) -> dict[_Key, list[NewChunk]]:
    """The contents of those keys that are disputed."""
    columns = (uuid_column([key[0] for key in keys]), int4_column([key[1] for key in keys]))
    copies: dict[_Key, list[NewChunk]] = {}
    for row in await transaction.fetch(_COPIES, columns):
        copies.setdefault((row[0], row[1]), []).append(_read_copy(row).chunk)
    return copies


async def settle_in(transaction: Transaction, winner: NewChunk, copies: Sequence[NewChunk]) -> list[NewChunk]:
    """The row holds `winner` from now on; the contents that lost. Nothing changes where it is settled already."""
    content = (winner.run, winner.size, winner.sha256, winner.object_id, winner.offset)
    if not await transaction.fetch(_SETTLE, (*content, winner.recording_id, winner.chunk_index)):
        return []
    await transaction.fetch(_FORGET_COPIES, (winner.recording_id, winner.chunk_index))
    passed_over = sorted({copy.object_id for copy in copies if copy.object_id != winner.object_id})
    await transaction.fetch(_MARK_WASTE, (uuid_column(passed_over),))
    return [copy for copy in copies if not has_same_content(copy, winner)]


def has_same_content(one: NewChunk, other: NewChunk) -> bool:
    """Whether run and bytes are the same (I3)."""
    return (one.run, one.size, one.sha256) == (other.run, other.size, other.sha256)


def _read_copy(row: tuple[Any, ...]) -> DisputedCopy:
    recording_id, index, run, object_id, offset, size, sha256, chunk_id, key = row
    return DisputedCopy(NewChunk(recording_id, index, run, object_id, offset, size, bytes(sha256), chunk_id), key)
