"""A statement that goes in one round trip with its COMMIT: both are done, or neither."""

from collections.abc import AsyncIterator

import pytest

from server.storage.ledger import LedgerError
from server.storage.postgres_connection import PostgresConnections
from tests.server.storage.direct_sql import ask

_INSERT = "insert into findings (kind, detail) values ('orphan', %s)"


@pytest.fixture
async def connections(database_url: str) -> AsyncIterator[PostgresConnections]:
    """One, so that a transaction that was left open would be met by the next call."""
    opened = PostgresConnections(database_url, 1)
    await opened.open()
    yield opened
    await opened.close()


async def test_it_is_committed_with_what_came_before_it(connections: PostgresConnections, database_url: str) -> None:
    async with connections.transaction() as transaction:
        await transaction.fetch(_INSERT, ("first",))
        transaction.last = (_INSERT, ("last",))
    assert await ask(database_url, "select detail from findings order by finding_id") == [("first",), ("last",)]


async def test_where_it_fails_nothing_is_committed_and_the_connection_serves_the_next(
    connections: PostgresConnections, database_url: str
) -> None:
    with pytest.raises(LedgerError, match="zero"):
        async with connections.transaction() as transaction:
            await transaction.fetch(_INSERT, ("first",))
            transaction.last = ("select 1 / %s::int4", (0,))
    assert await ask(database_url, "select detail from findings") == []

    async with connections.transaction() as transaction:
        await transaction.fetch(_INSERT, ("after",))
    assert await ask(database_url, "select detail from findings") == [("after",)]
