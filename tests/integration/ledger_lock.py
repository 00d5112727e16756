"""Holds every COMMIT of chunks back: a lock on their table, from the test's own connection."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg


@contextmanager
def chunks_table_locked(database_url: str) -> Iterator[Callable[[], None]]:
    """Nobody writes a chunk's row within this block, or until the function given is called; reads go on."""
    connection = psycopg.connect(database_url)
    try:
        connection.execute("lock table chunks in share row exclusive mode")
        yield connection.rollback
    finally:
        # The database may have been killed meanwhile.
        with suppress(psycopg.Error):
            connection.close()
