"""A task that is cancelled ends, also in the turn of the loop in which the wait for its connection ended."""

import asyncio

from server.storage.postgres_connection import PostgresConnections

# More turns than a connection takes from one task's hands into another's.
TURNS_MAX = 25


async def look_for_ever(connections: PostgresConnections) -> None:
    await connections.fetch("select 1")
    await asyncio.Event().wait()


async def take_turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_task_cancelled_in_any_turn_while_it_is_given_a_connection_ends(database_url: str) -> None:
    connections = PostgresConnections(database_url, 1)
    await connections.open()
    for turns in range(TURNS_MAX):
        async with connections.transaction() as transaction:
            await transaction.fetch("select 1")
            waiting = asyncio.create_task(look_for_ever(connections))
            await take_turns(TURNS_MAX)  # now it waits for the only connection
        await take_turns(turns)
        assert not waiting.done()
        waiting.cancel()
        done, _ = await asyncio.wait([waiting], timeout=5)
        assert done == {waiting} and waiting.cancelled(), f"cancelled {turns} turns after the connection was free"
        assert await connections.fetch("select 2") == [(2,)]  # the connection went back
    await connections.close()
