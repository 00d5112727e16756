"""Completion in PostgreSQL: the manifest against the rows, and the one certificate (I4)."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from protocol.wire import ManifestEntry
from server.storage.ledger import Decided, ManifestComparison
from server.storage.postgres_arrays import int4_column, sha256_column
from server.storage.postgres_connection import PostgresConnections, Row

# One group a kind of difference; a row equal in everything is in none.
_COMPARE: Final = """
    with entries as (
        select * from unnest(%s::int4[], %s::int4[], %s::int4[], %s::bytea[]) as e (chunk_index, run, size, sha256)
    ), held as (
        select chunks.chunk_index, chunks.run, chunks.size, chunks.sha256, chunks.state, objects.verified_at
        from chunks join objects using (object_id) where chunks.recording_id = %s
    ), compared as (
        select chunk_index, case
            when entries.run is null then 'surplus'
            when held.run is null then 'missing'
            when held.state = 'disputed'
                or (held.run, held.size, held.sha256) <> (entries.run, entries.size, entries.sha256) then 'differing'
            when held.state = 'wanted' then 'missing'
            when held.verified_at is null then 'unverified'
        end as difference
        from entries full join held using (chunk_index)
    )
    select difference, array_agg(chunk_index order by chunk_index) from compared
    where difference is not null group by difference
"""

_LOCK_CERTIFICATE: Final = """
    select state, certificate, certificate_stored_at is not null from recordings where recording_id = %s for update
"""
_SET_COMPLETE: Final = """
    update recordings set state = 'complete', certificate = %s, certified_at = now(), certified_chunks = %s
    where recording_id = %s and certificate is null
"""
_SELECT_CERTIFICATE: Final = """
    select certificate, certificate_stored_at is not null from recordings
    where recording_id = %s and certificate is not null
"""
_SET_STORED: Final = """
    update recordings set certificate_stored_at = now()
    where recording_id = %s and certificate is not null and certificate_stored_at is null
"""


async def compare_manifest(
    connections: PostgresConnections, recording_id: UUID, entries: Sequence[ManifestEntry]
) -> ManifestComparison:
    """See `Ledger.compare_manifest`."""
    return _read_comparison(await connections.fetch(_COMPARE, _compare_params(recording_id, entries)))


async def decide_certificate(
    connections: PostgresConnections, recording_id: UUID, entries: Sequence[ManifestEntry], certificate: bytes
) -> Decided | ManifestComparison:
    """See `Ledger.decide_certificate`."""
    async with connections.transaction() as transaction:
        rows = await transaction.fetch(_LOCK_CERTIFICATE, (recording_id,))
        if rows and rows[0][1] is not None:
            return Decided(bytes(rows[0][1]), is_stored=rows[0][2])
        # Under the lock no flush can add a row, and a repair that takes one away waits.
        compared = await transaction.fetch(_COMPARE, _compare_params(recording_id, entries))
        comparison = _read_comparison(compared)
        if not rows or rows[0][0] == "deleted" or not comparison.is_equal:
            return comparison
        await transaction.fetch(_SET_COMPLETE, (certificate, len(entries), recording_id))
    return Decided(certificate, is_stored=False)


async def find_certificate(connections: PostgresConnections, recording_id: UUID) -> Decided | None:
    """See `Ledger.find_certificate`."""
    rows = await connections.fetch(_SELECT_CERTIFICATE, (recording_id,))
    return Decided(bytes(rows[0][0]), is_stored=rows[0][1]) if rows else None


async def mark_certificate_stored(connections: PostgresConnections, recording_id: UUID) -> None:
    """See `Ledger.mark_certificate_stored`."""
    async with connections.transaction() as transaction:
        await transaction.fetch(_SET_STORED, (recording_id,))


def _compare_params(recording_id: UUID, entries: Sequence[ManifestEntry]) -> tuple[object, ...]:
    return (
        int4_column([entry.chunk_index for entry in entries]),
        int4_column([entry.run for entry in entries]),
        int4_column([entry.size for entry in entries]),
        sha256_column([bytes.fromhex(entry.sha256) for entry in entries]),
        recording_id,
    )


def _read_comparison(rows: Sequence[Row]) -> ManifestComparison:
    found = {difference: list(indexes) for difference, indexes in rows}
    return ManifestComparison(
        missing=found.get("missing", []),
        surplus=found.get("surplus", []),
        differing=found.get("differing", []),
        unverified=found.get("unverified", []),
    )
