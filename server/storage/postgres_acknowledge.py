"""Acknowledging a batch: rows of fresh objects and of the chunks in them, in one transaction (I2, I3).

The order of the steps is safety:

1. lock the recordings `for share`, in key order, so that no delete and no completion comes between;
2. insert the objects, then the chunks in key order (two batches with common keys wait for each other
   instead of deadlocking); a row that stands is changed only where it is `wanted` with the same content;
3. where not every chunk became a new row: read, by a statement of its own and therefore a newer snapshot,
   what stands, and judge each chunk by it;
4. mark the objects that now hold an entry no row points to;
5. COMMIT.

One statement does 1 and 2 and answers with one row, so the usual batch costs two round trips. A wanted
row's old object was marked `has_waste` when the row became wanted, so pointing it anew need not touch it.

While an object is still on its way into the bucket, 1 and 2 are done already, in the transaction that commits
only after it is there (docs/decisions/0018): of the usual batch only the COMMIT is left to wait for then.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import structs

from protocol.ids import is_recording_id
from protocol.states import ChunkState, RecordingState
from server.storage.acknowledge_rules import Standing, judge_chunk, points_to, read_contents, row_of
from server.storage.ledger import (
    Acknowledged,
    LedgerUnavailableError,
    NewChunk,
    NewObject,
    Outcome,
    StoredChunk,
)
from server.storage.postgres_arrays import (
    int4_column,
    int8_column,
    key_columns,
    sha256_column,
    text_column,
    uuid_column,
)
from server.storage.postgres_connection import PostgresConnections, Transaction
from server.storage.postgres_disputes import find_copies, settle_in
from server.storage.postgres_rows import CHUNK_COLUMNS, read_chunk_row

_ChunkKey = tuple[UUID, int]

# Steps 1 and 2. Chunks of recordings that are deleted, unknown or complete are left out and judged afterwards.
_INSERT: Final = """
    with incoming as (
        select * from unnest(
            %s::uuid[], %s::int4[], %s::int4[], %s::uuid[], %s::int8[], %s::int4[], %s::bytea[], %s::text[]
        ) as c (recording_id, chunk_index, run, object_id, object_offset, size, sha256, chunk_id)
    ), locked as (
        select recording_id from recordings
        where recording_id in (select recording_id from incoming where chunk_id is null)
            and state in ('open', 'stalled')
        order by recording_id
        for share
    ), new_objects as (
        insert into objects (object_id, key, size, etag, entry_count)
        select o.*, (select count(*) from incoming where incoming.object_id = o.object_id)
        from unnest(%s::uuid[], %s::text[], %s::int8[], %s::text[]) as o (object_id, key, size, etag)
        on conflict (object_id) do nothing
    ), written as (
        insert into chunks (recording_id, chunk_index, run, object_id, object_offset, size, sha256, chunk_id)
        select * from incoming
        where chunk_id is not null or recording_id in (select recording_id from locked)
        order by recording_id, chunk_index
        on conflict (recording_id, chunk_index) do update
            set object_id = excluded.object_id, object_offset = excluded.object_offset, state = 'stored'
            where chunks.state = 'wanted'
                and (chunks.run, chunks.size, chunks.sha256) = (excluded.run, excluded.size, excluded.sha256)
        returning recording_id, chunk_index, acknowledged_at
    )
    select pg_current_xact_id()::text, now(), count(*) filter (where acknowledged_at = now()) from written
"""

# For chunks that a complete recording's manifest allows: step 2 alone, under the lock of _LOCK_RECORDINGS.
_INSERT_ALLOWED: Final = """
    insert into chunks (recording_id, chunk_index, run, object_id, object_offset, size, sha256)
    select * from unnest(%s::uuid[], %s::int4[], %s::int4[], %s::uuid[], %s::int8[], %s::int4[], %s::bytea[])
        as c (recording_id, chunk_index, run, object_id, object_offset, size, sha256)
    order by recording_id, chunk_index
    on conflict (recording_id, chunk_index) do update
        set object_id = excluded.object_id, object_offset = excluded.object_offset, state = 'stored'
        where chunks.state = 'wanted'
            and (chunks.run, chunks.size, chunks.sha256) = (excluded.run, excluded.size, excluded.sha256)
    returning recording_id, chunk_index, acknowledged_at
"""

# What stands of the recordings whose chunks were left over.
_LOCK_RECORDINGS: Final = """
    select recording_id, state, certificate from recordings
    where recording_id = any(%s::uuid[]) order by recording_id for share
"""

# Step 3.
_SELECT_ROWS: Final = f"""
    select {CHUNK_COLUMNS} from chunks
    join unnest(%s::uuid[], %s::int4[]) as k (recording_id, chunk_index) using (recording_id, chunk_index)
"""  # noqa: S608 - constants only

# Step 4, in key order like every statement that locks objects.
_MARK_WASTE: Final = """
    update objects set has_waste = true
    where object_id in (
        select object_id from objects where object_id = any(%s::uuid[]) order by object_id for update
    )
"""


# The object's row, when its ETag is known; goes with the COMMIT.
_SET_ETAG: Final = "update objects set etag = %s where object_id = %s"

# How long rows wait, written and uncommitted, for an object that is on its way: a completion or a deletion waits for
# their locks, and would wait 4 s at most.
ROWS_WAIT_S: Final = 1.0


class _ObjectIsLateError(Exception):
    """It has been on its way for longer than rows are held for it."""


async def acknowledge_coming(
    connections: PostgresConnections, coming: NewObject, etag: "asyncio.Future[str]", chunks: Sequence[NewChunk]
) -> list[Outcome]:
    """See `Ledger.acknowledge_coming`. Holds a connection for up to ROWS_WAIT_S while the object is on its way."""
    try:
        async with connections.transaction() as transaction:
            return await acknowledge_coming_in(transaction, coming, etag, chunks)
    except _ObjectIsLateError:
        return await acknowledge_stored(connections, coming, etag, chunks)


async def acknowledge_stored(
    connections: PostgresConnections, coming: NewObject, etag: "asyncio.Future[str]", chunks: Sequence[NewChunk]
) -> list[Outcome]:
    """As `acknowledge_coming`, holding nothing while the object is on its way."""
    return await acknowledge(connections, [structs.replace(coming, etag=await etag)], chunks)


async def acknowledge_coming_in(
    transaction: Transaction, coming: NewObject, etag: "asyncio.Future[str]", chunks: Sequence[NewChunk]
) -> list[Outcome]:
    """Steps 1 and 2, the wait for the object, then 3 and 4, for at least one chunk. Raises what `etag` raises."""
    now = await _write_rows(transaction, [coming], chunks)
    await asyncio.wait((etag,), timeout=ROWS_WAIT_S)
    if not etag.done():
        raise _ObjectIsLateError
    transaction.last = (_SET_ETAG, (etag.result(), coming.object_id))
    return await _judge(transaction, chunks, now)


async def acknowledge(
    connections: PostgresConnections, objects: Sequence[NewObject], chunks: Sequence[NewChunk]
) -> list[Outcome]:
    """See `Ledger.acknowledge`."""
    if not chunks:
        return []
    async with connections.transaction() as transaction:
        return await acknowledge_in(transaction, objects, chunks)


async def acknowledge_in(
    transaction: Transaction, objects: Sequence[NewObject], chunks: Sequence[NewChunk]
) -> list[Outcome]:
    """Steps 1 to 4 for at least one chunk, within the caller's transaction."""
    return await _judge(transaction, chunks, await _write_rows(transaction, objects, chunks))


async def _write_rows(
    transaction: Transaction, objects: Sequence[NewObject], chunks: Sequence[NewChunk]
) -> datetime | None:
    """Steps 1 and 2; the time of the chunks' rows where all of them are new."""
    columns = (*columns_of(chunks), *_object_columns_of(objects))
    ((xid, now, fresh_count),) = await transaction.fetch(_INSERT, columns)
    transaction.xid = xid
    return now if fresh_count == len(chunks) else None


async def _judge(transaction: Transaction, chunks: Sequence[NewChunk], now: datetime | None) -> list[Outcome]:
    """Steps 3 and 4, where there is anything to judge; the outcomes in order."""
    if now is not None:
        return [_accept(chunk, now) for chunk in chunks]
    outcomes = await _judge_standing(transaction, chunks)
    return [outcomes[chunk.recording_id, chunk.chunk_index] for chunk in chunks]


async def _judge_standing(transaction: Transaction, chunks: Sequence[NewChunk]) -> dict[_ChunkKey, Outcome]:
    """The outcomes of a batch of which not every chunk became a new row."""
    rows = await _read_rows(transaction, chunks)
    outcomes: dict[_ChunkKey, Outcome] = {}
    left: list[NewChunk] = []
    for chunk in chunks:
        row = rows.get((chunk.recording_id, chunk.chunk_index))
        if row is not None and row.state is ChunkState.STORED and points_to(row, chunk):
            outcomes[chunk.recording_id, chunk.chunk_index] = Acknowledged(row, is_new=True)
        else:
            left.append(chunk)
    if left:
        outcomes |= await _judge_left(transaction, left)
        await _mark_waste(transaction, left, outcomes)
    return outcomes


async def _judge_left(transaction: Transaction, left: Sequence[NewChunk]) -> dict[_ChunkKey, Outcome]:
    standings = await _lock_standings(transaction, left)
    rows = await _read_rows(transaction, left)
    disputed = [key for key, row in rows.items() if row.state is ChunkState.DISPUTED]
    copies = await find_copies(transaction, disputed) if disputed else {}
    outcomes: dict[_ChunkKey, Outcome] = {}
    allowed: list[NewChunk] = []
    for chunk in left:
        key = (chunk.recording_id, chunk.chunk_index)
        outcome = judge_chunk(chunk, standings.get(chunk.recording_id), rows.get(key), copies.get(key, []))
        if outcome is not None:
            outcomes[key] = outcome
        elif key in copies:
            overruled = await settle_in(transaction, chunk, copies[key])
            outcomes[key] = structs.replace(_accept(chunk, rows[key].acknowledged_at), overruled=tuple(overruled))
        elif (standing := standings.get(chunk.recording_id)) is not None and standing.contents is not None:
            allowed.append(chunk)
        else:
            raise LedgerUnavailableError(f"the row of chunk {key} changed meanwhile; the same call again decides it")
    if allowed:
        outcomes |= await _insert_allowed(transaction, allowed)
    return outcomes


async def _insert_allowed(transaction: Transaction, allowed: Sequence[NewChunk]) -> dict[_ChunkKey, Outcome]:
    """Chunks that a complete recording lost behind the ledger's back, or that are wanted in a damaged one."""
    columns = columns_of(allowed)[:-1]
    times = {(row[0], row[1]): row[2] for row in await transaction.fetch(_INSERT_ALLOWED, columns)}
    outcomes: dict[_ChunkKey, Outcome] = {}
    for chunk in allowed:
        key = (chunk.recording_id, chunk.chunk_index)
        if key not in times:
            raise LedgerUnavailableError(f"the row of chunk {key} changed meanwhile; the same call again decides it")
        outcomes[key] = _accept(chunk, times[key])
    return outcomes


async def _lock_standings(transaction: Transaction, left: Sequence[NewChunk]) -> dict[UUID, Standing]:
    ids = {chunk.recording_id for chunk in left if is_recording_id(chunk.recording_id)}
    if not ids:
        return {}
    rows = await transaction.fetch(_LOCK_RECORDINGS, (uuid_column(sorted(ids)),))
    return {
        recording_id: Standing(
            RecordingState(state), None if certificate is None else read_contents(bytes(certificate))
        )
        for recording_id, state, certificate in rows
    }


async def _read_rows(transaction: Transaction, left: Sequence[NewChunk]) -> dict[_ChunkKey, StoredChunk]:
    rows = [
        read_chunk_row(row) for row in await transaction.fetch(_SELECT_ROWS, key_columns([chunk.key for chunk in left]))
    ]
    return {row.key: row for row in rows}


async def _mark_waste(transaction: Transaction, left: Sequence[NewChunk], outcomes: dict[_ChunkKey, Outcome]) -> None:
    wasted: set[UUID] = set()
    for chunk in left:
        outcome = outcomes[chunk.recording_id, chunk.chunk_index]
        if not (isinstance(outcome, Acknowledged) and points_to(outcome.chunk, chunk)):
            wasted.add(chunk.object_id)
    if wasted:
        await transaction.fetch(_MARK_WASTE, (uuid_column(sorted(wasted)),))


def _accept(chunk: NewChunk, acknowledged_at: datetime) -> Acknowledged:
    return Acknowledged(row_of(chunk, acknowledged_at), is_new=True)


def columns_of(chunks: Sequence[NewChunk]) -> tuple[object, ...]:
    """The columns of `chunks` in the order of _INSERT."""
    return (
        uuid_column([chunk.recording_id for chunk in chunks]),
        int4_column([chunk.chunk_index for chunk in chunks]),
        int4_column([chunk.run for chunk in chunks]),
        uuid_column([chunk.object_id for chunk in chunks]),
        int8_column([chunk.offset for chunk in chunks]),
        int4_column([chunk.size for chunk in chunks]),
        sha256_column([chunk.sha256 for chunk in chunks]),
        text_column([chunk.chunk_id for chunk in chunks]),
    )


def _object_columns_of(objects: Sequence[NewObject]) -> tuple[object, ...]:
    return (
        uuid_column([new.object_id for new in objects]),
        text_column([new.key for new in objects]),
        int8_column([new.size for new in objects]),
        text_column([new.etag for new in objects]),
    )
