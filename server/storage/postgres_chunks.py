"""Chunks in PostgreSQL: found, listed, noted as verified, asked for again."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from protocol.ids import is_recording_id
from protocol.limits import VERIFY_CHUNKS_MAX
from protocol.states import FindingKind
from server.storage.ledger import LocatedChunk, LookedUp, StoredChunk, check_key_count, check_page_limit
from server.storage.postgres_arrays import int4_column, int8_column, key_columns, uuid_column
from server.storage.postgres_connection import PostgresConnections, Transaction
from server.storage.postgres_rows import CHUNK_COLUMNS, CHUNK_WIDTH, OBJECT_COLUMNS, read_chunk_row, read_located_row

_SELECT_LOCATED: Final = f"""
    select {CHUNK_COLUMNS}, {OBJECT_COLUMNS} from chunks join objects using (object_id)
    where chunks.recording_id = %s and chunks.chunk_index = any(%s::int4[])
"""  # noqa: S608 - constants only
# A join, not `in`: one index probe a key, and the planner never scans the table.
_SELECT_ROWS: Final = f"""
    select {CHUNK_COLUMNS} from unnest(%s::uuid[], %s::int4[]) as k (recording_id, chunk_index)
    join chunks using (recording_id, chunk_index)
"""  # noqa: S608 - constants only
# The same rows, and one for each recording that takes no chunks: its state, null where it is unknown, and nulls.
_LOOK_UP: Final = f"""
    {_SELECT_ROWS} union all
    select r.recording_id, null, null, recordings.state{", null" * (CHUNK_WIDTH - 4)}
    from unnest(%s::uuid[]) as r (recording_id) left join recordings using (recording_id)
    where recordings.state is null or recordings.state = 'deleted'
"""  # noqa: S608 - constants only
_LIST: Final = f"""
    select {CHUNK_COLUMNS} from chunks where recording_id = %s and chunk_index > %s order by chunk_index limit %s
"""  # noqa: S608 - constants only
_LIST_OF_OBJECT: Final = f"""
    select {CHUNK_COLUMNS} from chunks where object_id = %s order by recording_id, chunk_index
"""  # noqa: S608 - constants only

# Recordings are locked before objects and chunks, in the order that deletes and acknowledgements use.
_LOCK_RECORDINGS_OF_OBJECT: Final = """
    select recording_id from recordings
    where state = any(%s) and recording_id in (select recording_id from chunks where object_id = %s)
    order by recording_id for update
"""
_SET_VERIFIED: Final = """
    update objects set verified_at = now(), etag = %s where object_id = %s and state = 'stored'
"""
# I4 in the other direction: every chunk of the manifest has its row, stored, in an object that was read back.
SET_COMPLETE_AGAIN: Final = """
    update recordings set state = 'complete'
    where recording_id = any(%s::uuid[]) and state = 'damaged'
        and certified_chunks = (
            select count(*) from chunks join objects using (object_id)
            where chunks.recording_id = recordings.recording_id
                and chunks.state = 'stored' and objects.verified_at is not null
        )
        and certified_chunks = (
            select count(*) from chunks where chunks.recording_id = recordings.recording_id
        )
"""

_LOCK_RECORDINGS: Final = """
    select recording_id from recordings where recording_id = any(%s::uuid[]) order by recording_id for update
"""
# The premise again: still stored, and in exactly this object and place.
_SET_WANTED: Final = """
    update chunks set state = 'wanted'
    from unnest(%s::uuid[], %s::int4[], %s::int8[]) as c (recording_id, chunk_index, object_offset)
    where chunks.recording_id = c.recording_id and chunks.chunk_index = c.chunk_index
        and chunks.object_offset = c.object_offset and chunks.object_id = %s and chunks.state = 'stored'
    returning chunks.recording_id, chunks.chunk_index
"""
_SET_UNVERIFIED: Final = """
    update objects set verified_at = null, has_waste = true where object_id = %s returning key
"""
_SET_DAMAGED: Final = (
    "update recordings set state = 'damaged' where recording_id = any(%s::uuid[]) and state = 'complete'"
)
_INSERT_FINDING: Final = """
    insert into findings (kind, recording_id, first_chunk_index, last_chunk_index, chunk_count, object_id, object_key)
    values (%s, %s, %s, %s, %s, %s, %s)
"""


async def find_chunks(
    connections: PostgresConnections, recording_id: UUID, indexes: Sequence[int]
) -> dict[int, LocatedChunk]:
    """See `Ledger.find_chunks`."""
    if len(indexes) > VERIFY_CHUNKS_MAX:
        raise ValueError(f"at most {VERIFY_CHUNKS_MAX} chunks at once, asked for {len(indexes)}")
    rows = await connections.fetch(_SELECT_LOCATED, (recording_id, int4_column(indexes)))
    located = map(read_located_row, rows)
    return {item.chunk.chunk_index: item for item in located}


async def find_rows(
    connections: PostgresConnections | Transaction, keys: Sequence[tuple[UUID, int]]
) -> dict[tuple[UUID, int], StoredChunk]:
    """See `Ledger.find_rows`; within a transaction or as one of its own."""
    check_key_count(len(keys))
    rows = map(read_chunk_row, await connections.fetch(_SELECT_ROWS, key_columns(keys)))
    return {row.key: row for row in rows}


async def look_up(connections: PostgresConnections | Transaction, keys: Sequence[tuple[UUID, int]]) -> LookedUp:
    """See `Ledger.look_up`; within a transaction or as one of its own."""
    check_key_count(len(keys))
    recordings = {key[0] for key in keys if is_recording_id(key[0])}
    columns = (*key_columns(keys), uuid_column(list(recordings)))
    rows: dict[tuple[UUID, int], StoredChunk] = {}
    unknown: set[UUID] = set()
    deleted: set[UUID] = set()
    for row in await connections.fetch(_LOOK_UP, columns):
        if row[1] is not None:
            rows[row[0], row[1]] = read_chunk_row(row)
        else:
            (unknown if row[3] is None else deleted).add(row[0])
    return LookedUp(rows, frozenset(unknown), frozenset(deleted))


async def list_chunks(
    connections: PostgresConnections, recording_id: UUID, after_index: int, limit: int
) -> list[StoredChunk]:
    """See `Ledger.list_chunks`."""
    check_page_limit(limit)
    return [read_chunk_row(row) for row in await connections.fetch(_LIST, (recording_id, after_index, limit))]


async def list_chunks_of_object(connections: PostgresConnections, object_id: UUID) -> list[StoredChunk]:
    """See `Ledger.list_chunks_of_object`."""
    return [read_chunk_row(row) for row in await connections.fetch(_LIST_OF_OBJECT, (object_id,))]


async def mark_verified(connections: PostgresConnections, object_id: UUID, etag: str) -> None:
    """See `Ledger.mark_verified`."""
    async with connections.transaction() as transaction:
        damaged = await transaction.fetch(_LOCK_RECORDINGS_OF_OBJECT, (["damaged"], object_id))
        await transaction.fetch(_SET_VERIFIED, (etag, object_id))
        if damaged:
            await transaction.fetch(SET_COMPLETE_AGAIN, (uuid_column([row[0] for row in damaged]),))


async def mark_wanted(
    connections: PostgresConnections, object_id: UUID, chunks: Sequence[StoredChunk], kind: FindingKind
) -> int:
    """See `Ledger.mark_wanted`."""
    if not chunks:
        return 0
    recordings = uuid_column(sorted({chunk.recording_id for chunk in chunks}))
    keys = (
        uuid_column([chunk.recording_id for chunk in chunks]),
        int4_column([chunk.chunk_index for chunk in chunks]),
        int8_column([chunk.offset for chunk in chunks]),
    )
    async with connections.transaction() as transaction:
        await transaction.fetch(_LOCK_RECORDINGS, (recordings,))
        changed = await transaction.fetch(_SET_WANTED, (*keys, object_id))
        if not changed:
            return 0
        (key,), *_ = await transaction.fetch(_SET_UNVERIFIED, (object_id,))
        await transaction.fetch(_SET_DAMAGED, (recordings,))
        finding = _describe_finding([(row[0], row[1]) for row in changed])
        await transaction.fetch(_INSERT_FINDING, (kind.value, *finding, object_id, key))
    return len(changed)


def _describe_finding(changed: Sequence[tuple[UUID, int]]) -> tuple[UUID | None, int | None, int | None, int]:
    """Recording and range where all chunks are of one recording, and the count."""
    recordings = {recording_id for recording_id, _ in changed}
    if len(recordings) > 1:
        return None, None, None, len(changed)
    indexes = [index for _, index in changed]
    return recordings.pop(), min(indexes), max(indexes), len(changed)
