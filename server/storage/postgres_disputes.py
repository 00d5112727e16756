"""Disputed chunks in PostgreSQL: the contents that the bucket holds of them, and the one that counts in the end."""

from collections.abc import Callable, Sequence
from typing import Any, Final
from uuid import UUID

from protocol.ids import is_recording_id
from server.storage.ledger import DisputedCopy, NewChunk, StoredChunk
from server.storage.postgres_arrays import int4_column, int8_column, key_columns, sha256_column, uuid_column
from server.storage.postgres_connection import PostgresConnections, Transaction
from server.storage.postgres_rows import CHUNK_COLUMNS, read_chunk_row
from server.storage.rebuild_rules import Placement, copy_of, place_found

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

_LOCK_ROWS: Final = f"""
    select {CHUNK_COLUMNS} from unnest(%s::uuid[], %s::int4[]) as k (recording_id, chunk_index)
    join chunks using (recording_id, chunk_index) order by recording_id, chunk_index for update of chunks
"""  # noqa: S608 - constants only
_SELECT_CONTENTS: Final = """
    select recording_id, chunk_index, d.run, d.object_id, d.object_offset, d.size, d.sha256
    from unnest(%s::uuid[], %s::int4[]) as k (recording_id, chunk_index)
    join disputed_contents as d using (recording_id, chunk_index)
"""
# Also a disputed row follows where its own content has a newer copy; its state says that it is not served.
_REPOINT: Final = """
    update chunks set object_id = c.object_id, object_offset = c.at,
        state = case when state = 'disputed' then 'disputed' else 'stored' end
    from unnest(%s::uuid[], %s::int4[], %s::uuid[], %s::int8[], %s::bytea[])
        as c (recording_id, chunk_index, object_id, at, sha256)
    where chunks.recording_id = c.recording_id and chunks.chunk_index = c.chunk_index and chunks.sha256 = c.sha256
"""
_SET_DISPUTED: Final = """
    update chunks set state = 'disputed'
    from unnest(%s::uuid[], %s::int4[]) as k (recording_id, chunk_index)
    where chunks.recording_id = k.recording_id and chunks.chunk_index = k.chunk_index
"""
_KEEP_CONTENTS: Final = """
    insert into disputed_contents (recording_id, chunk_index, run, object_id, object_offset, size, sha256)
    select * from unnest(%s::uuid[], %s::int4[], %s::int4[], %s::uuid[], %s::int8[], %s::int4[], %s::bytea[])
    on conflict on constraint disputed_contents_pkey
        do update set object_id = excluded.object_id, object_offset = excluded.object_offset
"""


async def find_disputed(
    connections: PostgresConnections, recording_id: UUID, indexes: Sequence[int]
) -> list[DisputedCopy]:
    """See `Ledger.find_disputed`."""
    rows = await connections.fetch(_COPIES, key_columns([(recording_id, index) for index in indexes]))
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
    copies: dict[_Key, list[NewChunk]] = {}
    for row in await transaction.fetch(_COPIES, key_columns(keys)):
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


async def place_beside(
    transaction: Transaction, chunks: Sequence[NewChunk], is_acknowledged: Callable[[StoredChunk], bool]
) -> dict[_Key, Placement]:
    """What becomes of chunks found in the bucket that have a row already, by `place_found`; their keys are distinct."""
    keys = key_columns([chunk.key for chunk in chunks])
    rows = {row.key: row for row in map(read_chunk_row, await transaction.fetch(_LOCK_ROWS, keys))}
    contents: dict[_Key, list[NewChunk]] = {}
    for item in await transaction.fetch(_SELECT_CONTENTS, keys):
        copy = _read_content(item)
        contents.setdefault(copy.key, []).append(copy)
    placements: dict[_Key, Placement] = {}
    repointed: list[NewChunk] = []
    copies: list[NewChunk] = []
    disputed: list[NewChunk] = []
    for chunk in chunks:
        row = rows.get(chunk.key)
        if row is None:
            continue
        placement = place_found(chunk, row, contents.get(chunk.key, []), is_acknowledged=is_acknowledged(row))
        placements[chunk.key] = placement
        if placement is Placement.REPOINT:
            repointed.append(chunk)
        elif placement is Placement.DISPUTE:
            copies += [copy_of(row), chunk]
            disputed.append(copy_of(row))
        elif placement is Placement.ADD_COPY:
            copies.append(chunk)
            repointed.append(chunk)
    await _write(transaction, repointed, copies, disputed)
    return placements


async def _write(
    transaction: Transaction, repointed: Sequence[NewChunk], copies: Sequence[NewChunk], disputed: Sequence[NewChunk]
) -> None:
    if repointed:
        places = (
            uuid_column([chunk.object_id for chunk in repointed]),
            int8_column([chunk.offset for chunk in repointed]),
            sha256_column([chunk.sha256 for chunk in repointed]),
        )
        await transaction.fetch(_REPOINT, (*key_columns([chunk.key for chunk in repointed]), *places))
    if copies:
        columns = (
            int4_column([copy.run for copy in copies]),
            uuid_column([copy.object_id for copy in copies]),
            int8_column([copy.offset for copy in copies]),
            int4_column([copy.size for copy in copies]),
            sha256_column([copy.sha256 for copy in copies]),
        )
        await transaction.fetch(_KEEP_CONTENTS, (*key_columns([chunk.key for chunk in copies]), *columns))
    if disputed:
        await transaction.fetch(_SET_DISPUTED, key_columns([chunk.key for chunk in disputed]))


def _read_content(row: tuple[Any, ...]) -> NewChunk:
    recording_id, index, run, object_id, offset, size, sha256 = row
    return NewChunk(recording_id, index, run, object_id, offset, size, bytes(sha256))


def has_same_content(one: NewChunk, other: NewChunk) -> bool:
    """Whether run and bytes are the same (I3)."""
    return (one.run, one.size, one.sha256) == (other.run, other.size, other.sha256)


def _read_copy(row: tuple[Any, ...]) -> DisputedCopy:
    recording_id, index, run, object_id, offset, size, sha256, chunk_id, key = row
    return DisputedCopy(NewChunk(recording_id, index, run, object_id, offset, size, bytes(sha256), chunk_id), key)
