"""Installation and recordings in PostgreSQL: register, list, rename, delete."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from protocol.wire import IndexGap
from server.storage.ledger import (
    EVERY_RECORDING,
    Installation,
    LedgerUnavailableError,
    RecordingFilter,
    StoredRecording,
    check_page_limit,
)
from server.storage.postgres_arrays import uuid_column
from server.storage.postgres_connection import PostgresConnections, Transaction
from server.storage.postgres_rows import read_recording_row

_SELECT_INSTALLATION: Final = """
    select
        (select installation_id from installation),
        not exists (select from recordings) and not exists (select from objects) and not exists (select from chunks)
"""
_INSERT_INSTALLATION: Final = "insert into installation (installation_id) values (%s) on conflict do nothing"

# The id at the first place is the cursor; counts come from the chunks' primary key.
_RECORDING: Final = """
    select r.recording_id, r.mime_type, r.title, r.started_at, r.registered_at, r.state,
        c.chunk_count, c.byte_count, c.wanted_count, r.certified_at, r.media
    from recordings as r
    cross join lateral (
        select count(*) as chunk_count, coalesce(sum(size), 0)::int8 as byte_count,
            count(*) filter (where state = 'wanted') as wanted_count
        from chunks where chunks.recording_id = r.recording_id
    ) as c
"""
_SELECT_RECORDING: Final = _RECORDING + "where r.recording_id = %s"
_LIST_NEWEST: Final = _RECORDING + "where r.state <> 'deleted' order by r.recording_id desc limit %s"
_LIST_BEFORE: Final = (
    _RECORDING + "where r.state <> 'deleted' and r.recording_id < %s order by r.recording_id desc limit %s"
)
# Days have an index. Else every row is looked at until the page is full: one of parts of titles would cost each
# registration.
LIST_SOUGHT: Final = (
    _RECORDING
    + """where r.state <> 'deleted' and (%s::uuid is null or r.recording_id < %s)
        and (%s::text[] is null or r.title ilike any(%s) or r.recording_id::text like %s)
        and (%s::text[] is null or r.state = any(%s))
        and (%s::timestamptz is null or r.started_at >= %s)
        and (%s::timestamptz is null or r.started_at < %s)
    order by r.recording_id desc limit %s"""
)

_INSERT_RECORDING: Final = """
    insert into recordings (recording_id, mime_type, title, started_at, document) values (%s, %s, %s, %s, %s)
    on conflict (recording_id) do nothing returning true
"""
_SELECT_DOCUMENT: Final = "select document from recordings where recording_id = %s"
_RENAME: Final = "update recordings set title = %s where recording_id = %s and state <> 'deleted' returning true"

# Ranges below the highest row that have no row.
_SELECT_GAPS: Final = """
    select previous + 1, chunk_index - 1
    from (
        select chunk_index, lag(chunk_index, 1, -1) over (order by chunk_index) as previous
        from chunks where recording_id = %s
    ) as neighbours
    where chunk_index > previous + 1 order by chunk_index limit %s
"""

# A row for an unknown recording too, so that its late chunks meet the tombstone.
_ENSURE_ROW: Final = """
    insert into recordings (recording_id, mime_type, started_at, state, tombstone, deleted_at)
    values (%s, '', now(), 'deleted', %s, now())
    on conflict (recording_id) do nothing returning tombstone
"""
_LOCK_TOMBSTONE: Final = "select tombstone from recordings where recording_id = %s for update"
# What the user deleted is erased here at once; the objects follow by I11.
_SET_DELETED: Final = """
    update recordings set state = 'deleted', tombstone = %s, deleted_at = now(), title = null, document = null,
        certificate = null, certified_at = null, certified_chunks = null, certificate_stored_at = null,
        media_id = null, media = null
    where recording_id = %s
"""
# In key order, so that two deletes that share packs wait for each other; the second then sees the first's rows gone.
_LOCK_OBJECTS: Final = """
    select object_id from objects
    where object_id in (select object_id from chunks where recording_id = %s) order by object_id for update
"""
_DELETE_CHUNKS: Final = "delete from chunks where recording_id = %s"
_UNLINK_OBJECTS: Final = """
    update objects set has_waste = true,
        state = case when is_used then objects.state else 'unlinked' end,
        unlinked_at = case when is_used then objects.unlinked_at else coalesce(objects.unlinked_at, now()) end
    from (
        select o.object_id, exists (select from chunks where chunks.object_id = o.object_id) as is_used
        from unnest(%s::uuid[]) as o (object_id)
    ) as used
    where objects.object_id = used.object_id and (is_used or objects.state <> 'deleting')
"""


async def read_installation(connections: PostgresConnections) -> Installation:
    """See `Ledger.read_installation`."""
    (installation_id, is_empty), *_ = await connections.fetch(_SELECT_INSTALLATION)
    return Installation(installation_id, is_empty)


async def write_installation(connections: PostgresConnections, installation_id: UUID) -> UUID:
    """See `Ledger.write_installation`."""
    async with connections.transaction() as transaction:
        await transaction.fetch(_INSERT_INSTALLATION, (installation_id,))
        (standing, _), *_ = await transaction.fetch(_SELECT_INSTALLATION)
    if not isinstance(standing, UUID):
        raise LedgerUnavailableError("the installation's row vanished while it was written")
    return standing


async def find_recording(connections: PostgresConnections, recording_id: UUID) -> StoredRecording | None:
    """See `Ledger.find_recording`."""
    rows = await connections.fetch(_SELECT_RECORDING, (recording_id,))
    return read_recording_row(rows[0]) if rows else None


async def register_recording(
    connections: PostgresConnections,
    recording_id: UUID,
    mime_type: str,
    title: str | None,
    started_at: datetime,
    document: bytes,
) -> bool:
    """See `Ledger.register_recording`."""
    async with connections.transaction() as transaction:
        row = (recording_id, mime_type, title, started_at, document)
        return bool(await transaction.fetch(_INSERT_RECORDING, row))


async def find_document(connections: PostgresConnections, recording_id: UUID) -> bytes | None:
    """See `Ledger.find_recording_document`."""
    rows = await connections.fetch(_SELECT_DOCUMENT, (recording_id,))
    return bytes(rows[0][0]) if rows and rows[0][0] is not None else None


async def rename_recording(connections: PostgresConnections, recording_id: UUID, title: str) -> bool:
    """See `Ledger.rename_recording`."""
    async with connections.transaction() as transaction:
        return bool(await transaction.fetch(_RENAME, (title, recording_id)))


async def list_recordings(
    connections: PostgresConnections, before: UUID | None, limit: int, which: RecordingFilter = EVERY_RECORDING
) -> list[StoredRecording]:
    """See `Ledger.list_recordings`."""
    check_page_limit(limit)
    if which != EVERY_RECORDING:
        rows = await connections.fetch(LIST_SOUGHT, sought_values(before, which, limit), is_planned_anew=True)
    elif before is None:
        rows = await connections.fetch(_LIST_NEWEST, (limit,))
    else:
        rows = await connections.fetch(_LIST_BEFORE, (before, limit))
    return [read_recording_row(row) for row in rows]


def sought_values(before: UUID | None, which: RecordingFilter, limit: int) -> tuple[object, ...]:
    """The values of LIST_SOUGHT."""
    part, titles = which.part or "", None
    if part:
        # In the locale C, which the embedded database has, `ilike` knows the case of ASCII alone.
        spellings = {part, part.lower(), part.upper(), part.capitalize(), part.title()}
        titles = [_containing(spelling) for spelling in sorted(spellings)]
    states = None if which.states is None else sorted(which.states)
    since, until = which.started_from, which.started_before
    titled = (titles, titles, _containing(part.lower()))
    return (before, before, *titled, states, states, since, since, until, until, limit)


def _containing(part: str) -> str:
    """The pattern of `like` that finds it anywhere, whatever signs it has."""
    return "%" + re.sub(r"([\\%_])", r"\\\1", part) + "%"


async def list_gaps(connections: PostgresConnections, recording_id: UUID, limit: int) -> list[IndexGap]:
    """See `Ledger.list_gaps`."""
    check_page_limit(limit)
    return [IndexGap(first, last) for first, last in await connections.fetch(_SELECT_GAPS, (recording_id, limit))]


async def delete_recording(connections: PostgresConnections, recording_id: UUID, tombstone: bytes) -> bytes:
    """See `Ledger.delete_recording`."""
    async with connections.transaction() as transaction:
        inserted = await transaction.fetch(_ENSURE_ROW, (recording_id, tombstone))
        if inserted:
            return tombstone
        (standing,), *_ = await transaction.fetch(_LOCK_TOMBSTONE, (recording_id,))
        if standing is not None:
            return bytes(standing)
        await transaction.fetch(_SET_DELETED, (tombstone, recording_id))
        objects = await transaction.fetch(_LOCK_OBJECTS, (recording_id,))
        await transaction.fetch(_DELETE_CHUNKS, (recording_id,))
        await _unlink(transaction, [row[0] for row in objects])
    return tombstone


async def _unlink(transaction: Transaction, object_ids: Sequence[UUID]) -> None:
    if object_ids:
        await transaction.fetch(_UNLINK_OBJECTS, (uuid_column(object_ids),))
