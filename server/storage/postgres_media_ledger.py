"""Finished files in PostgreSQL: which making of a recording's media counts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

from server.storage.ledger import check_page_limit
from server.storage.media_ledger import StoredMedia
from server.storage.postgres_connection import PostgresConnections

_LIST_UNMADE: Final = """
    select recording_id from recordings where state = 'complete' and media is null
    order by certified_at, recording_id limit %s
"""
_SELECT: Final = "select media_id, media from recordings where recording_id = %s and media is not null"
# A certificate is what a making rests on: one that a delete took meanwhile leaves nothing to decide.
_DECIDE: Final = """
    update recordings set media_id = %s, media = %s
    where recording_id = %s and certificate is not null and media is null
"""
_FORGET: Final = """
    update recordings set media_id = null, media = null where recording_id = %s and media_id = %s returning true
"""


class PostgresMediaLedger:
    """Over the connections of a `PostgresLedger`."""

    def __init__(self, connections: PostgresConnections) -> None:
        self._connections = connections

    async def list_unmade(self, limit: int) -> list[UUID]:
        check_page_limit(limit)
        return [row[0] for row in await self._connections.fetch(_LIST_UNMADE, (limit,))]

    async def find_media(self, recording_id: UUID) -> StoredMedia | None:
        rows = await self._connections.fetch(_SELECT, (recording_id,))
        return StoredMedia(rows[0][0], bytes(rows[0][1])) if rows else None

    async def decide_media(self, recording_id: UUID, made: StoredMedia) -> StoredMedia | None:
        async with self._connections.transaction() as transaction:
            await transaction.fetch(_DECIDE, (made.media_id, made.summary, recording_id))
            rows = await transaction.fetch(_SELECT, (recording_id,))
        return StoredMedia(rows[0][0], bytes(rows[0][1])) if rows else None

    async def forget_media(self, recording_id: UUID, media_id: UUID) -> bool:
        async with self._connections.transaction() as transaction:
            return bool(await transaction.fetch(_FORGET, (recording_id, media_id)))

    @asynccontextmanager
    async def hold(self, recording_id: UUID) -> AsyncIterator[bool]:
        async with self._connections.session_lock(f"holdfast-media:{recording_id}") as is_ours:
            yield is_ours
