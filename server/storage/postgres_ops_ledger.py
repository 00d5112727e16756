"""What an operator asks, in PostgreSQL."""

from typing import Final
from uuid import UUID

from protocol.states import ObjectState
from server.storage.ledger import StoredObject
from server.storage.ops_ledger import LedgerCounts
from server.storage.postgres_connection import PostgresConnections

_COUNT_RECORDINGS: Final = """
    select state, count(*), count(*) filter (where state = 'complete' and media is null)
    from recordings group by state
"""
_COUNT_FINDINGS: Final = "select kind, count(*) from findings where resolved_at is null group by kind"
_SELECT_OBJECT: Final = """
    select object_id, key, size, etag, state, verified_at from objects where object_id = %s
"""


class PostgresOpsLedger:
    """Over the connections of a `PostgresLedger`."""

    def __init__(self, connections: PostgresConnections) -> None:
        self._connections = connections

    async def count(self) -> LedgerCounts:
        recordings = await self._connections.fetch(_COUNT_RECORDINGS)
        findings = await self._connections.fetch(_COUNT_FINDINGS)
        return LedgerCounts(
            recordings={state: count for state, count, _ in recordings},
            unmade=sum(row[2] for row in recordings),
            findings=dict(findings),
        )

    async def find_object(self, object_id: UUID) -> StoredObject | None:
        rows = await self._connections.fetch(_SELECT_OBJECT, (object_id,))
        if not rows:
            return None
        found, key, size, etag, state, verified_at = rows[0]
        return StoredObject(found, key, size, etag, ObjectState(state), verified_at)
