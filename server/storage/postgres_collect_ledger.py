"""Collect in PostgreSQL: rows that move, and the three steps by which an object leaves (I11).

Locks are taken in the order that deletes and repairs use: recordings, chunks, objects, each by key.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from protocol.ids import is_recording_id
from protocol.states import ObjectState, RecordingState
from server.storage.collect_ledger import Move
from server.storage.ledger import LIST_ROWS_MAX, NewObject, StoredObject, check_page_limit
from server.storage.postgres_arrays import int4_column, int8_column, text_column, uuid_column
from server.storage.postgres_connection import PostgresConnections, Row, Transaction
from server.storage.postgres_rows import OBJECT_COLUMNS

# Below every UUID that is a key: the first page begins after it.
_FIRST: Final = UUID(int=0)

_NOTHING_POINTS: Final = """
    not exists (select from chunks where chunks.object_id = objects.object_id)
    and not exists (select from disputed_contents where disputed_contents.object_id = objects.object_id)
"""
_LIST_WASTE: Final = f"""
    select {OBJECT_COLUMNS} from objects
    where has_waste and state = 'stored' and object_id > %s order by object_id limit %s
"""  # noqa: S608 - constants only
# Keys of packs begin with their day, so a range of keys is a range of days.
_LIST_SMALL_PACKS: Final = f"""
    select {OBJECT_COLUMNS} from objects
    where key > greatest(%s, 'packs/') and key < least(%s, 'packs/' || to_char(now() at time zone 'utc', 'YYYY/MM/DD'))
        and size < %s and coalesce(entry_count, 0) < %s and state = 'stored' and not has_waste
    order by key limit %s
"""  # noqa: S608 - constants only
_SELECT_STATES: Final = "select recording_id, state from recordings where recording_id = any(%s::uuid[])"

_LOCK_RECORDINGS: Final = """
    select recording_id from recordings where recording_id = any(%s::uuid[]) order by recording_id for share
"""
_INSERT_OBJECTS: Final = """
    insert into objects (object_id, key, size, etag, state, unlinked_at, entry_count)
    select *, %s, case when %s then now() end, %s
    from unnest(%s::uuid[], %s::text[], %s::int8[], %s::text[])
    on conflict do nothing returning object_id
"""
# The premise again: still stored, and in exactly the object and place it was read from.
_LOCK_CHUNKS: Final = """
    select chunks.recording_id, chunks.chunk_index
    from unnest(%s::uuid[], %s::int4[], %s::uuid[], %s::int8[]) as m (recording_id, chunk_index, object_id, at)
    join chunks on chunks.recording_id = m.recording_id and chunks.chunk_index = m.chunk_index
        and chunks.object_id = m.object_id and chunks.object_offset = m.at and chunks.state = 'stored'
    order by chunks.recording_id, chunks.chunk_index for update of chunks
"""
_MOVE_CHUNKS: Final = """
    update chunks set object_id = %s, object_offset = m.at
    from unnest(%s::uuid[], %s::int4[], %s::int8[]) as m (recording_id, chunk_index, at)
    where chunks.recording_id = m.recording_id and chunks.chunk_index = m.chunk_index
"""
_LOCK_OBJECTS: Final = "select object_id from objects where object_id = any(%s::uuid[]) order by object_id for update"
_UNLINK: Final = f"""
    update objects set state = 'unlinked', unlinked_at = now(), has_waste = true
    where object_id = any(%s::uuid[]) and state = 'stored' and {_NOTHING_POINTS}
    returning object_id
"""  # noqa: S608 - constants only
_SET_WASTE: Final = "update objects set has_waste = true, waste_count = %s where object_id = %s"
_CLEAR_WASTE: Final = """
    update objects set has_waste = false, waste_count = 0
    where object_id = %s and state = 'stored' and %s = (
        select count(*) filter (where chunks.state = 'stored') - count(*) filter (where chunks.state <> 'stored')
        from chunks where chunks.object_id = objects.object_id
    )
    returning object_id
"""

_LOCK_DUE: Final = """
    select object_id from objects
    where (state = 'deleting' or (state = 'unlinked' and unlinked_at <= now() - make_interval(secs => %s)))
        and object_id > %s
    order by object_id limit %s for update
"""
_DECIDE: Final = f"""
    update objects set state = 'deleting' where object_id = any(%s::uuid[]) and {_NOTHING_POINTS}
    returning {OBJECT_COLUMNS}
"""  # noqa: S608 - constants only
_REMOVE: Final = f"""
    delete from objects where object_id = %s and state = 'deleting' and {_NOTHING_POINTS} returning true
"""  # noqa: S608 - constants only

_LIST_UNERASED: Final = """
    select recording_id from recordings
    where state = 'deleted' and erased_at is null and deleted_at <= now() - make_interval(secs => %s)
        and recording_id > %s
    order by recording_id limit %s
"""
_SET_ERASED: Final = "update recordings set erased_at = now() where recording_id = %s and state = 'deleted'"


class PostgresCollectLedger:
    """See `CollectLedger`; over the connections of a `PostgresLedger`."""

    def __init__(self, connections: PostgresConnections) -> None:
        self._connections = connections

    async def list_waste(self, *, after: UUID | None, limit: int) -> list[StoredObject]:
        check_page_limit(limit)
        return [_read_object(row) for row in await self._connections.fetch(_LIST_WASTE, (after or _FIRST, limit))]

    async def list_small_packs(
        self, *, after_key: str, before_key: str, size_below: int, entries_below: int, limit: int
    ) -> list[StoredObject]:
        check_page_limit(limit)
        bounds = (after_key, before_key, size_below, entries_below, limit)
        rows = await self._connections.fetch(_LIST_SMALL_PACKS, bounds)
        return [_read_object(row) for row in rows]

    async def find_states(self, recording_ids: Sequence[UUID]) -> dict[UUID, RecordingState]:
        if len(recording_ids) > LIST_ROWS_MAX:
            raise ValueError(f"at most {LIST_ROWS_MAX} recordings at once, asked for {len(recording_ids)}")
        rows = await self._connections.fetch(_SELECT_STATES, (uuid_column(recording_ids),))
        return {recording_id: RecordingState(state) for recording_id, state in rows}

    async def move_chunks(self, new: NewObject, moves: Sequence[Move]) -> int:
        recordings = {move.chunk.recording_id for move in moves if is_recording_id(move.chunk.recording_id)}
        old = {move.chunk.object_id for move in moves}
        async with self._connections.transaction() as transaction:
            await transaction.fetch(_LOCK_RECORDINGS, (uuid_column(sorted(recordings)),))
            if not await _insert_objects(transaction, [new], ObjectState.STORED, len(moves)):
                return 0  # the same call again: its first answer was lost, and the rows moved then
            moved = await _move(transaction, new.object_id, moves)
            await transaction.fetch(_LOCK_OBJECTS, (uuid_column(sorted(old)),))
            if moved < len(moves):
                await transaction.fetch(_SET_WASTE, (len(moves) - moved, new.object_id))
            await transaction.fetch(_UNLINK, (uuid_column(sorted(old | {new.object_id})),))
        return moved

    async def unlink(self, object_id: UUID) -> bool:
        async with self._connections.transaction() as transaction:
            await transaction.fetch(_LOCK_OBJECTS, (uuid_column([object_id]),))
            return bool(await transaction.fetch(_UNLINK, (uuid_column([object_id]),)))

    async def clear_waste(self, object_id: UUID, row_count: int) -> bool:
        async with self._connections.transaction() as transaction:
            await transaction.fetch(_LOCK_OBJECTS, (uuid_column([object_id]),))
            return bool(await transaction.fetch(_CLEAR_WASTE, (object_id, row_count)))

    async def note_garbage(self, objects: Sequence[NewObject]) -> int:
        async with self._connections.transaction() as transaction:
            return await _insert_objects(transaction, objects, ObjectState.UNLINKED)

    async def claim_deletions(self, *, grace_s: float, after: UUID | None, limit: int) -> list[StoredObject]:
        check_page_limit(limit)
        async with self._connections.transaction() as transaction:
            due = await transaction.fetch(_LOCK_DUE, (grace_s, after or _FIRST, limit))
            # A statement of its own, and therefore a newer snapshot: whoever pointed to one meanwhile is seen.
            rows = await transaction.fetch(_DECIDE, (uuid_column([row[0] for row in due]),))
        return sorted((_read_object(row) for row in rows), key=lambda held: held.object_id)

    async def remove_object(self, object_id: UUID) -> bool:
        async with self._connections.transaction() as transaction:
            return bool(await transaction.fetch(_REMOVE, (object_id,)))

    async def list_unerased(self, *, grace_s: float, after: UUID | None, limit: int) -> list[UUID]:
        check_page_limit(limit)
        rows = await self._connections.fetch(_LIST_UNERASED, (grace_s, after or _FIRST, limit))
        return [row[0] for row in rows]

    async def mark_erased(self, recording_id: UUID) -> None:
        async with self._connections.transaction() as transaction:
            await transaction.fetch(_SET_ERASED, (recording_id,))


async def _insert_objects(
    transaction: Transaction, objects: Sequence[NewObject], state: ObjectState, entry_count: int | None = None
) -> int:
    columns = (
        uuid_column([new.object_id for new in objects]),
        text_column([new.key for new in objects]),
        int8_column([new.size for new in objects]),
        text_column([new.etag for new in objects]),
    )
    is_unlinked = state is ObjectState.UNLINKED
    return len(await transaction.fetch(_INSERT_OBJECTS, (state.value, is_unlinked, entry_count, *columns)))


async def _move(transaction: Transaction, object_id: UUID, moves: Sequence[Move]) -> int:
    keys = (
        uuid_column([move.chunk.recording_id for move in moves]),
        int4_column([move.chunk.chunk_index for move in moves]),
    )
    places = (
        uuid_column([move.chunk.object_id for move in moves]),
        int8_column([move.chunk.offset for move in moves]),
    )
    locked = {(row[0], row[1]) for row in await transaction.fetch(_LOCK_CHUNKS, (*keys, *places))}
    moved = [move for move in moves if (move.chunk.recording_id, move.chunk.chunk_index) in locked]
    columns = (
        uuid_column([move.chunk.recording_id for move in moved]),
        int4_column([move.chunk.chunk_index for move in moved]),
        int8_column([move.offset for move in moved]),
    )
    await transaction.fetch(_MOVE_CHUNKS, (object_id, *columns))
    return len(moved)


def _read_object(row: Row) -> StoredObject:
    object_id, key, size, etag, state, verified_at = row
    return StoredObject(object_id, key, size, etag, ObjectState(state), verified_at)
