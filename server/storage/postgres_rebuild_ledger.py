"""A rebuild in PostgreSQL: what was found in the bucket gets its rows, by the rules of rebuild_rules.py."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from protocol.ids import is_recording_id
from server.storage.ledger import NewChunk, StoredChunk, check_page_limit
from server.storage.postgres_acknowledge import columns_of
from server.storage.postgres_arrays import int4_column, int8_column, sha256_column, text_column, uuid_column
from server.storage.postgres_chunks import SET_COMPLETE_AGAIN
from server.storage.postgres_connection import PostgresConnections, Transaction
from server.storage.postgres_rows import CHUNK_COLUMNS, read_chunk_row
from server.storage.rebuild_ledger import FoundObject
from server.storage.rebuild_rules import Placement, copy_of, place_found

_Key = tuple[UUID, int]
_FIRST: Final = UUID(int=0)

_LOCK_RECORDINGS: Final = """
    select recording_id from recordings
    where recording_id = any(%s::uuid[]) and state <> 'deleted' order by recording_id for share
"""
_INSERT_OBJECTS: Final = """
    insert into objects (object_id, key, size, etag, entry_count, verified_at)
    select *, now() from unnest(%s::uuid[], %s::text[], %s::int8[], %s::text[], %s::int4[])
    on conflict (object_id) do nothing
"""
_LOCK_OBJECTS: Final = """
    select object_id from objects where object_id = any(%s::uuid[]) and state = 'stored' order by object_id for share
"""
_INSERT_CHUNKS: Final = """
    insert into chunks (recording_id, chunk_index, run, object_id, object_offset, size, sha256, chunk_id)
    select * from unnest(
        %s::uuid[], %s::int4[], %s::int4[], %s::uuid[], %s::int8[], %s::int4[], %s::bytea[], %s::text[]
    ) as c (recording_id, chunk_index, run, object_id, object_offset, size, sha256, chunk_id)
    order by recording_id, chunk_index
    on conflict (recording_id, chunk_index) do nothing returning recording_id, chunk_index
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
_SELECT_DISPUTED: Final = f"""
    select {CHUNK_COLUMNS} from chunks where state = 'disputed' and (recording_id, chunk_index) > (%s, %s)
    order by recording_id, chunk_index limit %s
"""  # noqa: S608 - constants only

_SETTLE_OBJECTS: Final = """
    with page as (
        select object_id from objects where object_id > %s order by object_id limit %s
    ), counted as (
        select objects.object_id,
            greatest(0, objects.entry_count - (select count(*) from chunks where chunks.object_id = objects.object_id))
                as waste_count
        from objects join page using (object_id)
    ), written as (
        update objects set waste_count = counted.waste_count, has_waste = has_waste or counted.waste_count > 0
        from counted where objects.object_id = counted.object_id and counted.waste_count is not null
    )
    select count(*), (array_agg(object_id order by object_id desc))[1] from page
"""
_PAGE_OF_RECORDINGS: Final = """
    select recording_id, state from recordings where recording_id > %s order by recording_id limit %s
"""


class PostgresRebuildLedger:
    """See `RebuildLedger`; over the connections of a `PostgresLedger`."""

    def __init__(self, connections: PostgresConnections) -> None:
        self._connections = connections

    async def place(self, found: Sequence[FoundObject], acknowledged_before: datetime | None) -> int:
        chunks = [chunk for item in found for chunk in item.chunks]
        recordings = sorted({chunk.recording_id for chunk in chunks if is_recording_id(chunk.recording_id)})
        async with self._connections.transaction() as transaction:
            standing = {row[0] for row in await transaction.fetch(_LOCK_RECORDINGS, (uuid_column(recordings),))}
            stored = await _insert_objects(transaction, found)
            placeable = [
                chunk
                for chunk in chunks
                if chunk.object_id in stored and (chunk.chunk_id is not None or chunk.recording_id in standing)
            ]
            new_count = 0
            for batch in _split_by_key(placeable):
                inserted = await _insert_chunks(transaction, batch)
                new_count += len(inserted)
                rest = [chunk for chunk in batch if _key_of(chunk) not in inserted]
                if rest:
                    await _place_beside(transaction, rest, acknowledged_before)
        return new_count

    async def list_disputed(self, *, after: _Key | None, limit: int) -> list[StoredChunk]:
        check_page_limit(limit)
        rows = await self._connections.fetch(_SELECT_DISPUTED, (*(after or (_FIRST, -1)), limit))
        return [read_chunk_row(row) for row in rows]

    async def settle_objects(self, *, after: UUID | None, limit: int) -> UUID | None:
        check_page_limit(limit)
        async with self._connections.transaction() as transaction:
            (count, last), *_ = await transaction.fetch(_SETTLE_OBJECTS, (after or _FIRST, limit))
        return last if count == limit else None

    async def settle_recordings(self, *, after: UUID | None, limit: int) -> UUID | None:
        check_page_limit(limit)
        async with self._connections.transaction() as transaction:
            page = await transaction.fetch(_PAGE_OF_RECORDINGS, (after or _FIRST, limit))
            damaged = [row[0] for row in page if row[1] == "damaged"]
            if damaged:
                await transaction.fetch(SET_COMPLETE_AGAIN, (uuid_column(damaged),))
        return page[-1][0] if len(page) == limit else None


async def _insert_objects(transaction: Transaction, found: Sequence[FoundObject]) -> set[UUID]:
    """The ones that rows may point to."""
    ordered = sorted(found, key=lambda item: item.object.object_id)
    ids = uuid_column([item.object.object_id for item in ordered])
    columns = (
        ids,
        text_column([item.object.key for item in ordered]),
        int8_column([item.object.size for item in ordered]),
        text_column([item.object.etag for item in ordered]),
        int4_column([item.entry_count for item in ordered]),
    )
    await transaction.fetch(_INSERT_OBJECTS, columns)
    return {row[0] for row in await transaction.fetch(_LOCK_OBJECTS, (ids,))}


async def _insert_chunks(transaction: Transaction, batch: Sequence[NewChunk]) -> set[_Key]:
    rows = await transaction.fetch(_INSERT_CHUNKS, columns_of(batch))
    return {(row[0], row[1]) for row in rows}


async def _place_beside(
    transaction: Transaction, rest: Sequence[NewChunk], acknowledged_before: datetime | None
) -> None:
    """Chunks that have a row already."""
    keys = _key_columns(rest)
    rows = {
        (row.recording_id, row.chunk_index): row
        for row in map(read_chunk_row, await transaction.fetch(_LOCK_ROWS, keys))
    }
    contents: dict[_Key, list[NewChunk]] = {}
    for item in await transaction.fetch(_SELECT_CONTENTS, keys):
        copy = _read_content(item)
        contents.setdefault(_key_of(copy), []).append(copy)
    repointed: list[NewChunk] = []
    copies: list[NewChunk] = []
    disputed: list[StoredChunk] = []
    for chunk in rest:
        row = rows[_key_of(chunk)]
        is_acknowledged = acknowledged_before is not None and row.acknowledged_at < acknowledged_before
        placement = place_found(chunk, row, contents.get(_key_of(chunk), []), is_acknowledged=is_acknowledged)
        if placement is Placement.REPOINT:
            repointed.append(chunk)
        elif placement is Placement.DISPUTE:
            copies += [copy_of(row), chunk]
            disputed.append(row)
        elif placement is Placement.ADD_COPY:
            copies.append(chunk)
            repointed.append(chunk)
    await _write(transaction, repointed, copies, disputed)


async def _write(
    transaction: Transaction, repointed: Sequence[NewChunk], copies: Sequence[NewChunk], disputed: Sequence[StoredChunk]
) -> None:
    if repointed:
        places = (
            uuid_column([chunk.object_id for chunk in repointed]),
            int8_column([chunk.offset for chunk in repointed]),
            sha256_column([chunk.sha256 for chunk in repointed]),
        )
        await transaction.fetch(_REPOINT, (*_key_columns(repointed), *places))
    if copies:
        await transaction.fetch(_KEEP_CONTENTS, columns_of(copies)[:-1])
    if disputed:
        await transaction.fetch(_SET_DISPUTED, _key_columns([copy_of(row) for row in disputed]))


def _split_by_key(chunks: Sequence[NewChunk]) -> list[list[NewChunk]]:
    """Batches in each of which a key stands once: copies of one chunk are placed one after another."""
    batches: list[dict[_Key, NewChunk]] = []
    for chunk in chunks:
        for batch in batches:
            if _key_of(chunk) not in batch:
                batch[_key_of(chunk)] = chunk
                break
        else:
            batches.append({_key_of(chunk): chunk})
    return [list(batch.values()) for batch in batches]


def _key_of(chunk: NewChunk) -> _Key:
    return (chunk.recording_id, chunk.chunk_index)


def _key_columns(chunks: Sequence[NewChunk]) -> tuple[Any, Any]:
    return uuid_column([chunk.recording_id for chunk in chunks]), int4_column([chunk.chunk_index for chunk in chunks])


def _read_content(row: tuple[Any, ...]) -> NewChunk:
    recording_id, index, run, object_id, offset, size, sha256 = row
    return NewChunk(recording_id, index, run, object_id, offset, size, bytes(sha256))
