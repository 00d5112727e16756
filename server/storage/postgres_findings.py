"""Findings in PostgreSQL: noted once, listed, settled when what they tell of has changed."""

from typing import Any, Final

from protocol.states import FindingKind
from server.storage.audit_ledger import FindingFilter, NewFinding, SettledFindings, StoredFinding
from server.storage.ledger import check_page_limit
from server.storage.postgres_connection import PostgresConnections

_COLUMNS: Final = (
    "finding_id, kind, recording_id, first_chunk_index, last_chunk_index, chunk_count, object_key,"
    " seen_at, resolved_at, detail"
)
# The partial unique index lets one unresolved finding of a kind stand for a subject.
_INSERT: Final = """
    insert into findings (kind, subject, detail, recording_id, object_id, object_key, chunk_count, resolved_at)
    values (%s, %s, %s, %s, %s, %s, %s, case when %s then now() end)
    on conflict (kind, subject) where resolved_at is null and subject is not null do nothing
    returning true
"""
_LIST: Final = f"""
    select {_COLUMNS} from findings
    where (%s::text is null or kind = %s) and (%s::uuid is null or recording_id = %s)
        and (%s::bool is null or (resolved_at is not null) = %s) and (%s::int8 is null or finding_id < %s)
    order by finding_id desc limit %s
"""  # noqa: S608 - constants only
_RESOLVE: Final = "update findings set resolved_at = now() where finding_id = %s and resolved_at is null"
_COUNT: Final = "select kind, count(*) from findings where resolved_at is null group by kind"

_RESOLVE_FILLED: Final = """
    update findings set resolved_at = now()
    where resolved_at is null and object_id is not null and kind in ('missing', 'mismatched', 'unrecoverable')
        and not exists (select from chunks where chunks.object_id = findings.object_id and chunks.state = 'wanted')
    returning finding_id
"""
_RESOLVE_STALLED: Final = """
    update findings set resolved_at = now()
    where resolved_at is null and kind = 'stalled' and not exists (
        select from recordings where recordings.recording_id = findings.recording_id and recordings.state = 'stalled'
    )
    returning finding_id
"""
# An open recording's client is expected to be there; one that was there since the loss would have sent the chunks.
_CALL_UNRECOVERABLE: Final = f"""
    insert into findings (
        kind, subject, recording_id, first_chunk_index, last_chunk_index, chunk_count, object_id, object_key, detail
    )
    select distinct on (f.object_id) 'unrecoverable', f.object_key, f.recording_id, f.first_chunk_index,
        f.last_chunk_index, f.chunk_count, f.object_id, f.object_key,
        'lost since ' || to_char(f.seen_at, 'YYYY-MM-DD"T"HH24:MI:SS"Z"') || case
            when r.recording_id is null then '; nobody sent the chunks again'
            when r.last_seen_at > f.seen_at then '; its client was there at '
                || to_char(r.last_seen_at, 'YYYY-MM-DD"T"HH24:MI:SS"Z"') || ' and did not send the chunks again'
            else '; its client was last there at ' || to_char(r.last_seen_at, 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
        end
    from findings as f left join recordings as r using (recording_id)
    where f.resolved_at is null and f.kind in ('missing', 'mismatched') and f.object_id is not null
        and f.seen_at < now() - make_interval(secs => %s)
        and exists (select from chunks where chunks.object_id = f.object_id and chunks.state = 'wanted')
        and (r.recording_id is null or r.state <> 'open' or r.last_seen_at > f.seen_at)
    order by f.object_id, f.finding_id
    on conflict (kind, subject) where resolved_at is null and subject is not null do nothing
    returning {_COLUMNS}
"""  # noqa: S608 - constants only


async def note_finding(connections: PostgresConnections, finding: NewFinding) -> bool:
    """See `AuditLedger.note_finding`."""
    row = (
        finding.kind.value,
        finding.subject,
        finding.detail,
        finding.recording_id,
        finding.object_id,
        finding.object_key,
        finding.chunk_count,
        finding.is_resolved,
    )
    async with connections.transaction() as transaction:
        return bool(await transaction.fetch(_INSERT, row))


async def list_findings(
    connections: PostgresConnections, which: FindingFilter, before: int | None, limit: int
) -> list[StoredFinding]:
    """See `AuditLedger.list_findings`."""
    check_page_limit(limit)
    kind = None if which.kind is None else which.kind.value
    filters = (kind, which.recording_id, which.is_resolved, before)
    twice = [value for value in filters for _ in range(2)]
    return [_read_finding(row) for row in await connections.fetch(_LIST, (*twice, limit))]


async def resolve_finding(connections: PostgresConnections, finding_id: int) -> None:
    """See `AuditLedger.resolve_finding`."""
    async with connections.transaction() as transaction:
        await transaction.fetch(_RESOLVE, (finding_id,))


async def count_unresolved(connections: PostgresConnections) -> dict[FindingKind, int]:
    """See `AuditLedger.count_unresolved`."""
    return {FindingKind(kind): count for kind, count in await connections.fetch(_COUNT)}


async def settle_findings(connections: PostgresConnections, unrecoverable_after_s: float) -> SettledFindings:
    """See `AuditLedger.settle_findings`."""
    async with connections.transaction() as transaction:
        filled = await transaction.fetch(_RESOLVE_FILLED)
        returned = await transaction.fetch(_RESOLVE_STALLED)
        called = await transaction.fetch(_CALL_UNRECOVERABLE, (unrecoverable_after_s,))
    return SettledFindings(len(filled) + len(returned), [_read_finding(row) for row in called])


def _read_finding(row: tuple[Any, ...]) -> StoredFinding:
    finding_id, kind, recording_id, first, last, count, key, seen_at, resolved_at, detail = row
    return StoredFinding(
        finding_id, FindingKind(kind), recording_id, first, last, count, key, seen_at, resolved_at, detail
    )
