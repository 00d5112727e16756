"""Objects and recordings in PostgreSQL as the audit reads and repairs them."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from protocol.ids import is_recording_id
from protocol.states import ObjectState, RecordingState
from server.storage.audit_ledger import (
    WANTED_COUNT_MAX,
    AuditedObject,
    AuditedRecording,
    RecordingDocuments,
    SettledRecordings,
)
from server.storage.ledger import NewChunk, NewObject, Outcome, StoredObject, check_page_limit
from server.storage.postgres_acknowledge import acknowledge_in
from server.storage.postgres_arrays import key_columns, uuid_column
from server.storage.postgres_chunks import SET_COMPLETE_AGAIN
from server.storage.postgres_connection import PostgresConnections
from server.storage.postgres_disputes import place_beside
from server.storage.postgres_rows import OBJECT_COLUMNS
from server.storage.rebuild_rules import is_kept

_AUDITED: Final = f"""
    select {OBJECT_COLUMNS}, objects.entry_count, objects.waste_count, c.row_count, c.wanted_count
    from objects cross join lateral (
        select count(*) as row_count, count(*) filter (where state = 'wanted') as wanted_count
        from chunks where chunks.object_id = objects.object_id
    ) as c
"""  # noqa: S608 - constants only
_LIST_OBJECTS: Final = f"{_AUDITED} where objects.key > %s and objects.key <= %s order by objects.key limit %s"
_FIND_OBJECT: Final = f"{_AUDITED} where objects.key = %s"

# Recordings before objects, as everywhere.
_LOCK_RECORDINGS: Final = """
    select recording_id from recordings where recording_id = any(%s::uuid[]) order by recording_id for share
"""
_LOCK_OBJECT: Final = "select state from objects where object_id = %s for share"
_INSERT_WASTE: Final = """
    insert into objects (object_id, key, size, etag, has_waste) values (%s, %s, %s, %s, true)
    on conflict (object_id) do nothing
"""
# Those that this transaction has inserted; a wanted row that found its bytes again had a receipt before.
_SET_ADOPTED: Final = """
    update chunks set is_adopted = true
    from unnest(%s::uuid[], %s::int4[]) as k (recording_id, chunk_index)
    where chunks.recording_id = k.recording_id and chunks.chunk_index = k.chunk_index
        and chunks.object_id = %s and chunks.acknowledged_at = now()
"""
# What a certificate holds was decided.
_SELECT_ADOPTED: Final = """
    select recording_id, chunk_index from unnest(%s::uuid[], %s::int4[]) as k (recording_id, chunk_index)
    join chunks using (recording_id, chunk_index)
    where chunks.is_adopted and not exists (
        select from recordings
        where recordings.recording_id = chunks.recording_id and recordings.certificate is not null
    )
"""
_LOCK_DAMAGED: Final = "select true from recordings where recording_id = %s and state = 'damaged' for update"
_NOTE_ENTRIES: Final = """
    update objects set entry_count = seen.entry_count, waste_count = seen.waste_count,
        has_waste = objects.has_waste or seen.waste_count > 0
    from (
        select o.object_id, o.entry_count,
            greatest(0, o.entry_count - o.open_count
                - (select count(*) from chunks where chunks.object_id = o.object_id))::int4 as waste_count
        from (values (%s::uuid, %s::int4, %s::int4)) as o (object_id, entry_count, open_count)
    ) as seen
    where objects.object_id = seen.object_id
        and (objects.entry_count, objects.waste_count) is distinct from (seen.entry_count, seen.waste_count)
"""
_COUNT_WANTED: Final = """
    select count(*) from (select from chunks where state <> 'stored' and state = 'wanted' limit %s) as few
"""

_LIST_RECORDINGS: Final = """
    select recording_id, state, certificate is not null, certificate_stored_at is not null from recordings
    where recording_id > %s and recording_id <= %s order by recording_id limit %s
"""
_SELECT_DOCUMENTS: Final = "select document, certificate, tombstone from recordings where recording_id = %s"
_RESTORE_CERTIFICATE: Final = """
    update recordings set state = 'damaged', certificate = %s, certified_at = now(), certified_chunks = %s,
        certificate_stored_at = now()
    where recording_id = %s and certificate is null and state in ('open', 'stalled') returning true
"""

# `skip locked`: a flush that holds the row proves the same, and must not be waited for. Once a minute is enough.
_NOTE_SIGHTING: Final = """
    update recordings set last_seen_at = now(), state = case when state = 'stalled' then 'open' else state end
    where recording_id = (
        select recording_id from recordings
        where recording_id = %s and (last_seen_at < now() - interval '1 minute' or state = 'stalled')
        for no key update skip locked
    )
"""
# Chunks say when their client was there, too; what they say is kept, so that they are looked at once. Who holds a
# row's lock is a flush, so its client is there.
_SETTLE_STALLED: Final = """
    with candidates as (
        select r.recording_id, r.state, greatest(r.last_seen_at, c.acknowledged_at) as seen_at
        from recordings as r
        cross join lateral (
            select max(acknowledged_at) as acknowledged_at from chunks where chunks.recording_id = r.recording_id
        ) as c
        where r.recording_id > %s and r.recording_id <= %s
            and (r.state = 'stalled' or (r.state = 'open' and r.last_seen_at < now() - make_interval(secs => %s)))
        order by r.recording_id
        for no key update of r skip locked
    ), judged as (
        select recording_id, seen_at, state as old_state,
            case when seen_at < now() - make_interval(secs => %s) then 'stalled' else 'open' end as new_state
        from candidates
    )
    update recordings set last_seen_at = judged.seen_at, state = judged.new_state
    from judged
    where recordings.recording_id = judged.recording_id and recordings.state = judged.old_state
        and (recordings.last_seen_at, recordings.state) is distinct from (judged.seen_at, judged.new_state)
    returning recordings.recording_id, judged.old_state, judged.new_state
"""
_UUID_MIN: Final = UUID(int=0)
_UUID_MAX: Final = UUID(int=2**128 - 1)


async def list_objects(
    connections: PostgresConnections, after_key: str, up_to_key: str, limit: int
) -> list[AuditedObject]:
    """See `AuditLedger.list_objects`."""
    check_page_limit(limit)
    return [_read_object(row) for row in await connections.fetch(_LIST_OBJECTS, (after_key, up_to_key, limit))]


async def find_object(connections: PostgresConnections, key: str) -> AuditedObject | None:
    """See `AuditLedger.find_object`."""
    rows = await connections.fetch(_FIND_OBJECT, (key,))
    return _read_object(rows[0]) if rows else None


async def adopt(connections: PostgresConnections, new: NewObject, chunks: Sequence[NewChunk]) -> list[Outcome] | None:
    """See `AuditLedger.adopt`."""
    recordings = sorted({chunk.recording_id for chunk in chunks if is_recording_id(chunk.recording_id)})
    async with connections.transaction() as transaction:
        await transaction.fetch(_LOCK_RECORDINGS, (uuid_column(recordings),))
        standing = await transaction.fetch(_LOCK_OBJECT, (new.object_id,))
        if standing and standing[0][0] != ObjectState.STORED:
            return None
        if chunks:
            outcomes = await acknowledge_in(transaction, [new], chunks)
            await transaction.fetch(_SET_ADOPTED, (*key_columns([chunk.key for chunk in chunks]), new.object_id))
            return outcomes
        await transaction.fetch(_INSERT_WASTE, (new.object_id, new.key, new.size, new.etag))
    return []


async def dispute(connections: PostgresConnections, new: NewObject, chunks: Sequence[NewChunk]) -> list[NewChunk]:
    """See `AuditLedger.dispute`."""
    recordings = sorted({chunk.recording_id for chunk in chunks if is_recording_id(chunk.recording_id)})
    async with connections.transaction() as transaction:
        await transaction.fetch(_LOCK_RECORDINGS, (uuid_column(recordings),))
        await transaction.fetch(_INSERT_WASTE, (new.object_id, new.key, new.size, new.etag))
        if (await transaction.fetch(_LOCK_OBJECT, (new.object_id,)))[0][0] != ObjectState.STORED:
            return []
        adopted = {
            (row[0], row[1])
            for row in await transaction.fetch(_SELECT_ADOPTED, key_columns([chunk.key for chunk in chunks]))
        }
        placements = await place_beside(transaction, chunks, lambda row: row.key not in adopted)
    return [chunk for chunk in chunks if is_kept(placements.get(chunk.key))]


async def note_entries(connections: PostgresConnections, object_id: UUID, entry_count: int, open_count: int) -> None:
    """See `AuditLedger.note_entries`."""
    async with connections.transaction() as transaction:
        await transaction.fetch(_NOTE_ENTRIES, (object_id, entry_count, open_count))


async def count_wanted(connections: PostgresConnections) -> int:
    """See `AuditLedger.count_wanted`."""
    return int((await connections.fetch(_COUNT_WANTED, (WANTED_COUNT_MAX,)))[0][0])


async def list_recordings(
    connections: PostgresConnections, after: UUID | None, up_to: UUID | None, limit: int
) -> list[AuditedRecording]:
    """See `AuditLedger.list_recordings`."""
    check_page_limit(limit)
    rows = await connections.fetch(_LIST_RECORDINGS, (after or _UUID_MIN, up_to or _UUID_MAX, limit))
    return [AuditedRecording(row[0], RecordingState(row[1]), row[2], row[3]) for row in rows]


async def read_documents(connections: PostgresConnections, recording_id: UUID) -> RecordingDocuments | None:
    """See `AuditLedger.read_documents`."""
    rows = await connections.fetch(_SELECT_DOCUMENTS, (recording_id,))
    return RecordingDocuments(*(None if value is None else bytes(value) for value in rows[0])) if rows else None


async def restore_certificate(
    connections: PostgresConnections, recording_id: UUID, certificate: bytes, chunk_count: int
) -> bool:
    """See `AuditLedger.restore_certificate`."""
    async with connections.transaction() as transaction:
        restored = await transaction.fetch(_RESTORE_CERTIFICATE, (certificate, chunk_count, recording_id))
        if restored:
            await transaction.fetch(SET_COMPLETE_AGAIN, (uuid_column([recording_id]),))
    return bool(restored)


async def complete_again(connections: PostgresConnections, recording_id: UUID) -> None:
    """See `AuditLedger.complete_again`."""
    async with connections.transaction() as transaction:
        if await transaction.fetch(_LOCK_DAMAGED, (recording_id,)):
            await transaction.fetch(SET_COMPLETE_AGAIN, (uuid_column([recording_id]),))


async def note_sighting(connections: PostgresConnections, recording_id: UUID) -> None:
    """See `AuditLedger.note_sighting`."""
    async with connections.transaction() as transaction:
        await transaction.fetch(_NOTE_SIGHTING, (recording_id,))


async def settle_stalled(
    connections: PostgresConnections, after: UUID | None, up_to: UUID | None, stalled_after_s: float
) -> SettledRecordings:
    """See `AuditLedger.settle_stalled`."""
    params = (after or _UUID_MIN, up_to or _UUID_MAX, stalled_after_s, stalled_after_s)
    async with connections.transaction() as transaction:
        changed = [row for row in await transaction.fetch(_SETTLE_STALLED, params) if row[1] != row[2]]
    return SettledRecordings(
        stalled=sorted(row[0] for row in changed if row[2] == RecordingState.STALLED),
        returned=sorted(row[0] for row in changed if row[2] == RecordingState.OPEN),
    )


def _read_object(row: tuple[Any, ...]) -> AuditedObject:
    object_id, key, size, etag, state, verified_at, entry_count, waste_count, row_count, wanted_count = row
    stored = StoredObject(object_id, key, size, etag, ObjectState(state), verified_at)
    return AuditedObject(stored, entry_count, waste_count, row_count, wanted_count)
