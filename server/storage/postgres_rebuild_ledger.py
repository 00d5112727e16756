"""A rebuild in PostgreSQL: what was found in the bucket gets its rows, by the rules of rebuild_rules.py."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from protocol.ids import is_recording_id
from server.storage.ledger import NewChunk, StoredChunk, check_page_limit
from server.storage.postgres_acknowledge import columns_of
from server.storage.postgres_arrays import int4_column, int8_column, text_column, uuid_column
from server.storage.postgres_chunks import SET_COMPLETE_AGAIN
from server.storage.postgres_connection import PostgresConnections, Transaction
from server.storage.postgres_disputes import place_beside
from server.storage.postgres_rows import CHUNK_COLUMNS, read_chunk_row
from server.storage.rebuild_ledger import FoundObject

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

        def is_acknowledged(row: StoredChunk) -> bool:
            return acknowledged_before is not None and row.acknowledged_at < acknowledged_before

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
                rest = [chunk for chunk in batch if chunk.key not in inserted]
                if rest:
                    await place_beside(transaction, rest, is_acknowledged)
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


def _split_by_key(chunks: Sequence[NewChunk]) -> list[list[NewChunk]]:
    """Batches in each of which a key stands once: copies of one chunk are placed one after another."""
    batches: list[dict[_Key, NewChunk]] = []
    for chunk in chunks:
        for batch in batches:
            if chunk.key not in batch:
                batch[chunk.key] = chunk
                break
        else:
            batches.append({chunk.key: chunk})
    return [list(batch.values()) for batch in batches]
