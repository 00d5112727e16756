"""The passes of audit, scrub and collect in PostgreSQL: who runs one, where it stands, what the last one reported.

A lease instead of an advisory lock: it needs no connection of its own for as long as a pass takes, it
survives a broken one, and everybody sees how far the holder is. Two that both believe to hold it do no harm.
"""

from datetime import datetime
from typing import Final
from uuid import UUID

from server.storage.audit_ledger import PassState, TakenPass
from server.storage.postgres_connection import PostgresConnections

_ENSURE: Final = "insert into passes (kind) values (%s) on conflict (kind) do nothing"
_ASK: Final = "update passes set asked_at = clock_timestamp() where kind = %s returning asked_at"
# An unfinished one is gone on with, unless somebody asked since it began: then it starts over.
_TAKE: Final = """
    update passes set holder = %s, held_until = now() + make_interval(secs => %s),
        began_at = case when progress is null or asked_at > began_at then clock_timestamp() else began_at end,
        progress = case when progress is null or asked_at > began_at then '' else progress end
    where kind = %s and (held_until is null or held_until < now()) and (
        progress is not null
        or asked_at > coalesce(began_at, '-infinity')
        or (%s > 0 and coalesce(ended_at, created_at) < now() - make_interval(secs => %s))
    )
    returning began_at, progress
"""
_SAVE: Final = """
    update passes set progress = %s, held_until = now() + make_interval(secs => %s)
    where kind = %s and holder = %s and began_at = %s returning true
"""
_FINISH: Final = """
    update passes set progress = null, held_until = null, holder = null, ended_at = clock_timestamp(), report = %s
    where kind = %s and holder = %s and began_at = %s returning true
"""
_RELEASE: Final = "update passes set held_until = null, holder = null where kind = %s and holder = %s and began_at = %s"
_READ: Final = "select now(), asked_at, began_at, progress, ended_at, report from passes where kind = %s"
_SELECT_NOW: Final = "select now()"

_END_LOST_LIVES: Final = """
    update lives set ended_at = now() where node = %s and life_id <> %s and ended_at is null returning true
"""
_FORGET_OLD_LIVES: Final = "delete from lives where ended_at < now() - interval '30 days'"
_BEGIN_LIFE: Final = "insert into lives (life_id, node) values (%s, %s) on conflict (life_id) do nothing"
_END_LIFE: Final = "update lives set ended_at = now() where life_id = %s and ended_at is null"


async def ask_pass(connections: PostgresConnections, kind: str) -> datetime:
    """See `AuditLedger.ask_pass`."""
    async with connections.transaction() as transaction:
        await transaction.fetch(_ENSURE, (kind,))
        asked_at: datetime = (await transaction.fetch(_ASK, (kind,)))[0][0]
    return asked_at


async def take_pass(
    connections: PostgresConnections, kind: str, holder: UUID, every_s: float, lease_s: float
) -> TakenPass | None:
    """See `AuditLedger.take_pass`."""
    async with connections.transaction() as transaction:
        await transaction.fetch(_ENSURE, (kind,))
        taken = await transaction.fetch(_TAKE, (holder, lease_s, kind, every_s, every_s))
    return TakenPass(kind, holder, *taken[0]) if taken else None


async def save_pass(connections: PostgresConnections, taken: TakenPass, progress: str, lease_s: float) -> bool:
    """See `AuditLedger.save_pass`."""
    async with connections.transaction() as transaction:
        return bool(await transaction.fetch(_SAVE, (progress, lease_s, taken.kind, taken.holder, taken.began_at)))


async def finish_pass(connections: PostgresConnections, taken: TakenPass, report: str) -> bool:
    """See `AuditLedger.finish_pass`."""
    async with connections.transaction() as transaction:
        return bool(await transaction.fetch(_FINISH, (report, taken.kind, taken.holder, taken.began_at)))


async def release_pass(connections: PostgresConnections, taken: TakenPass) -> None:
    """See `AuditLedger.release_pass`."""
    async with connections.transaction() as transaction:
        await transaction.fetch(_RELEASE, (taken.kind, taken.holder, taken.began_at))


async def read_pass(connections: PostgresConnections, kind: str) -> PassState:
    """See `AuditLedger.read_pass`."""
    rows = await connections.fetch(_READ, (kind,))
    if not rows:
        return PassState((await connections.fetch(_SELECT_NOW))[0][0], None, None, None, None, None)
    return PassState(*rows[0])


async def begin_life(connections: PostgresConnections, node: str, life_id: UUID) -> bool:
    """See `AuditLedger.begin_life`."""
    async with connections.transaction() as transaction:
        lost = await transaction.fetch(_END_LOST_LIVES, (node, life_id))
        await transaction.fetch(_FORGET_OLD_LIVES)
        await transaction.fetch(_BEGIN_LIFE, (life_id, node))
    return not lost


async def end_life(connections: PostgresConnections, life_id: UUID) -> None:
    """See `AuditLedger.end_life`."""
    async with connections.transaction() as transaction:
        await transaction.fetch(_END_LIFE, (life_id,))
