"""Connections to the ledger's database: bounded waits, and a COMMIT whose outcome is settled or said to be unknown.

Rules kept here: every wait has a named deadline (I6), synchronous_commit is on whatever the database's
default (I2), and a COMMIT that got no answer is settled by the transaction's own id, never by looking
for its rows. The id alone would lie after a crash: PostgreSQL gives one whose records it had not flushed
to another transaction, whose outcome it then tells (docs/decisions/0014).
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import Any, Final, LiteralString

import psycopg
from psycopg import AsyncConnection, AsyncCursor
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

from server.shared_core import shared_core
from server.storage.ledger import LedgerUnavailableError, LedgerUnsettledError
from server.storage.postgres_errors import STALE_STATES, translate_error

Row = tuple[Any, ...]

# DESIGN's deadline for a COMMIT; past it the outcome is settled.
COMMIT_S: Final = 5.0
STATEMENT_S: Final = 5.0
# The server ends a statement first; the client cuts the connection only where the server is silent.
_STATEMENT_CUT_S: Final = STATEMENT_S + 1.0
# Shorter than a statement's, so that the message names the lock.
_LOCK_S: Final = 4.0
# A client that died in mid-transaction must not hold its locks.
_IDLE_IN_TRANSACTION_S: Final = 10.0
# A link that goes silent between two messages of one packet leaves a transaction that is neither in a statement nor
# idle: only this ends it, and until then nobody else stores the chunks whose rows it has locked. A rebuild's batch,
# the longest transaction, takes a few seconds. PostgreSQL knows it from 17 on; an older one has the keepalives.
_TRANSACTION_S: Final = 30.0
_TRANSACTION_TIMEOUT_SINCE: Final = 170_000
_POOL_WAIT_S: Final = 3.0
_CONNECT_S: Final = 2
# After this the pool gives an attempt up and the next caller starts a new one, so that an outage of an
# hour is noticed to be over within seconds.
_RECONNECT_S: Final = 3.0
# How long an unknown COMMIT is asked about, and how often: with the PUT's 6 s and COMMIT_S this stays within 20 s.
SETTLE_S: Final = 5.0
_SETTLE_PAUSE_S: Final = 0.1

_SELECT_XID: Final = "select pg_current_xact_id_if_assigned()::text"
# Every statistic begins anew after an end by crash, and only then or by hand; a start after an orderly stop keeps it.
# No connection outlives a crash, so the mark of one is good for its life.
_SELECT_CRASH_MARK: Final = "select stats_reset::text from pg_stat_bgwriter"
_SELECT_STATUS: Final = "select pg_xact_status(%s::text::xid8), stats_reset::text from pg_stat_bgwriter"

_SET_LOCK_TIMEOUT: Final = "select set_config('lock_timeout', %s, false)"
_REHEARSAL_LOCK: Final = "50ms"
_SET_TRANSACTION_TIMEOUT: Final = "select set_config('transaction_timeout', %s, false)"

_SINCE_CRASH: Final = "committed, but it crashed meanwhile and may have given the number to another"

_TRY_SESSION_LOCK: Final = "select pg_try_advisory_lock(hashtextextended(%s, 0))"
_END_SESSION_LOCK: Final = "select pg_advisory_unlock(hashtextextended(%s, 0))"

_SESSION_OPTIONS: Final = " ".join(
    f"-c {name}={value}"
    for name, value in {
        "statement_timeout": int(STATEMENT_S * 1000),
        "lock_timeout": int(_LOCK_S * 1000),
        "idle_in_transaction_session_timeout": int(_IDLE_IN_TRANSACTION_S * 1000),
        "tcp_keepalives_idle": 5,
        "tcp_keepalives_interval": 2,
        "tcp_keepalives_count": 3,
        "synchronous_commit": "on",
        "default_transaction_isolation": "read\\ committed",  # the statements repeat their premises under it
        "timezone": "UTC",
        # Every statement of this package goes by keys. A plan is made once a session, and one that was made while the
        # ledger was small would read whole tables for as long as no ANALYZE comes, however they grow meanwhile.
        "enable_seqscan": "off",
        "enable_hashjoin": "off",
        "enable_mergejoin": "off",
    }.items()
)


class Connection(AsyncConnection[TupleRow]):
    """One whose `crash_mark` says between which two crashes of the database it was opened."""

    crash_mark: str | None = None


class Transaction:
    """A transaction. Set `xid` where a statement already told it; the commit asks for it otherwise.

    `last` is a statement whose rows nobody wants: it goes right before the commit, and takes no round trip of its own.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.xid: str | None = None
        self.last: tuple[LiteralString, Sequence[object]] | None = None
        self._has_begun = False

    async def fetch(self, query: LiteralString, params: Sequence[object] = ()) -> list[Row]:
        """All rows of one statement, bounded by STATEMENT_S. The first one carries `begin` in the same packet."""
        if self._has_begun:
            return await _fetch(self.connection, query, params)
        self._has_begun = True
        with _cut_after(_STATEMENT_CUT_S, self.connection):
            async with self.connection.pipeline():
                await self.connection.execute("begin", prepare=False)
                cursor = await self.connection.execute(query, params, binary=True)
            return await cursor.fetchall() if cursor.description else []


Rehearsal = Callable[[Transaction], Awaitable[object]]


class PostgresConnections:
    """A fixed number of connections to one database."""

    def __init__(self, database_url: str, size: int, rehearse: Rehearsal | None = None) -> None:
        """`rehearse` runs on each new connection before anyone waits for it; what it does is rolled back.

        Where there is one, the connection's process comes to this one's core (server/shared_core.py).
        """
        given = conninfo_to_dict(database_url)
        options = f"{given.get('options') or ''} {_SESSION_OPTIONS}".strip()
        keepalive = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 8000}
        given.setdefault("application_name", "holdfast")
        self._conninfo = make_conninfo(
            **{**keepalive, **given, "options": options, "connect_timeout": _CONNECT_S}  # type: ignore[arg-type]
        )
        self._pool = AsyncConnectionPool(
            self._conninfo,
            connection_class=Connection,
            min_size=size,
            max_size=size,
            open=False,
            timeout=_POOL_WAIT_S,
            reconnect_timeout=_RECONNECT_S,
            # Each statement of this package is one of a few constants, so all are prepared at their first use.
            kwargs={"autocommit": True, "prepare_threshold": 0},
            name="ledger",
            configure=partial(_prepare, rehearse=rehearse),
        )

    async def open(self) -> None:
        """Start connecting in the background; the first call that needs a connection waits for it."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        await self._pool.close()

    async def fetch(
        self, query: LiteralString, params: Sequence[object] = (), *, is_planned_anew: bool = False
    ) -> list[Row]:
        """All rows of one reading statement, which is its own transaction.

        `is_planned_anew`: for these values, not once for any.
        """
        async with self._take() as connection:
            return await _fetch(connection, query, params, prepare=False if is_planned_anew else None)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Begin, hand out, and commit at the end; any error rolls back.

        Raises `LedgerUnavailableError` where nothing was committed and `LedgerUnsettledError` where
        COMMIT was sent and its outcome could not be learned within SETTLE_S.
        """
        async with self._take() as connection:
            transaction = Transaction(connection)
            try:
                yield transaction
                if transaction.xid is None:
                    transaction.xid = (await transaction.fetch(_SELECT_XID))[0][0]
            except BaseException:
                await _roll_back(connection)
                raise
            await self._commit(transaction)

    @asynccontextmanager
    async def session_lock(self, name: str) -> AsyncIterator[bool]:
        """Whether the database's advisory lock of that name is ours, on a connection of its own, for the block.

        It ends with the block, or before that with the connection, so it may save work and never keep anything safe.
        """
        try:
            connection = await AsyncConnection.connect(self._conninfo, autocommit=True)
        except (psycopg.Error, OSError) as error:
            raise translate_error(error) from error
        async with connection:
            try:
                rows = await _fetch(connection, _TRY_SESSION_LOCK, (name,))
            except (psycopg.Error, OSError) as error:
                raise translate_error(error) from error
            is_ours = bool(rows[0][0])
            try:
                yield is_ours
            finally:
                if is_ours:
                    # Whoever asks next may be quicker than the server is in noticing that a connection was closed.
                    with suppress(psycopg.Error, OSError):
                        await _fetch(connection, _END_SESSION_LOCK, (name,))

    @asynccontextmanager
    async def _take(self) -> AsyncIterator[Connection]:
        is_stale = False
        try:
            asked_to_end = _times_asked_to_end()
            async with self._pool.connection() as connection:
                # The pool waits with asyncio.wait_for, which before Python 3.12 forgets a cancellation that comes
                # when the wait has just ended: a task that is to end would go on, and a stop would wait for it.
                if _times_asked_to_end() > asked_to_end:
                    raise asyncio.CancelledError
                try:
                    yield connection
                except psycopg.Error as error:
                    is_stale = connection.broken or error.sqlstate in STALE_STATES
                    raise
        except (psycopg.Error, OSError) as error:
            raise translate_error(error) from error
        finally:
            if is_stale:
                # The others are as stale, after a restart or a migration: no further call shall meet them.
                await self._pool.drain()

    async def _commit(self, transaction: Transaction) -> None:
        connection = transaction.connection
        try:
            with _cut_after(COMMIT_S, connection):
                cursor = await _send_commit(connection, transaction.last)
        except (psycopg.Error, OSError) as error:
            if not connection.broken or transaction.xid is None:
                await _roll_back(connection)
                raise  # the database answered that it did not commit, or there was nothing to commit
            await self._settle(transaction.xid, connection.crash_mark, error)
        else:
            if cursor.statusmessage != "COMMIT":
                raise LedgerUnavailableError(f"the database answered {cursor.statusmessage} to COMMIT")

    async def _settle(self, xid: str, crash_mark: str | None, cause: BaseException) -> None:
        """Return when transaction `xid` is committed; raise otherwise.

        While it is in progress, the dead connection's backend is still at its COMMIT: wait. `crash_mark` is that
        connection's: after a crash the number may be another transaction's, so that only `aborted` is sure.
        """
        now = asyncio.get_running_loop().time
        deadline = now() + SETTLE_S
        while True:
            status, mark = await self._ask_status(xid)
            if status == "committed" and mark == crash_mark:
                return
            if status == "aborted":
                raise LedgerUnavailableError("COMMIT got no answer; the transaction was rolled back") from cause
            if now() >= deadline or status == "committed":
                raise LedgerUnsettledError(
                    f"COMMIT got no answer and the database did not tell within {SETTLE_S:.0f} s what became of "
                    f"transaction {xid} ({_SINCE_CRASH if status == 'committed' else status or 'no answer'}); "
                    "the same call again settles it"
                ) from cause
            await asyncio.sleep(_SETTLE_PAUSE_S)

    async def _ask_status(self, xid: str) -> tuple[str | None, str | None]:
        """The status and the crash mark on a connection of its own; None where the database could not be asked."""
        try:
            async with await AsyncConnection.connect(self._conninfo, autocommit=True) as connection:
                status, mark = (await _fetch(connection, _SELECT_STATUS, (xid,)))[0]
                return status, mark
        except (psycopg.Error, OSError):
            return None, None


async def _prepare(connection: Connection, rehearse: Rehearsal | None) -> None:
    """A new connection's transactions end in time, where its PostgreSQL can see to it, and its mark is known.

    What a rehearsal read of the catalog, and its plans, stay with the connection: without one its first flush takes
    twice as long.
    """
    with _cut_after(_CONNECT_S, connection):
        if connection.info.server_version >= _TRANSACTION_TIMEOUT_SINCE:
            await connection.execute(_SET_TRANSACTION_TIMEOUT, (str(int(_TRANSACTION_S * 1000)),), prepare=False)
        cursor = await connection.execute(_SELECT_CRASH_MARK, prepare=False)
        ((connection.crash_mark,),) = await cursor.fetchall()
        if rehearse is not None:
            shared_core.bring(connection.info.backend_pid)
            # It waits for nobody: whoever needs the connection may only want to read.
            await connection.execute(_SET_LOCK_TIMEOUT, (_REHEARSAL_LOCK,), prepare=False)
            with suppress(psycopg.Error):  # whoever does it in earnest hears why
                await rehearse(Transaction(connection))
            await _roll_back(connection)
            await connection.execute(_SET_LOCK_TIMEOUT, (str(int(_LOCK_S * 1000)),), prepare=False)


async def _fetch(
    connection: AsyncConnection, query: LiteralString, params: Sequence[object] = (), *, prepare: bool | None = None
) -> list[Row]:
    with _cut_after(_STATEMENT_CUT_S, connection):
        cursor = await connection.execute(query, params, binary=True, prepare=prepare)
        return await cursor.fetchall() if cursor.description else []


async def _send_commit(
    connection: Connection, last: tuple[LiteralString, Sequence[object]] | None
) -> AsyncCursor[TupleRow]:
    """The cursor of the COMMIT's answer; where `last` fails, PostgreSQL skips the COMMIT behind it."""
    if last is None:
        return await connection.execute("commit", prepare=False)
    async with connection.pipeline():
        await connection.execute(*last, binary=True)
        return await connection.execute("commit", prepare=False)


def _times_asked_to_end() -> int:
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


async def _roll_back(connection: AsyncConnection) -> None:
    """Best effort: a connection that cannot roll back is broken, and the pool discards it."""
    if not connection.broken:
        try:
            with _cut_after(_STATEMENT_CUT_S, connection):
                await connection.execute("rollback", prepare=False)
        except (psycopg.Error, OSError):
            await connection.close()


@contextmanager
def _cut_after(seconds: float, connection: AsyncConnection) -> Iterator[None]:
    """Shut the connection's socket down after `seconds`, so that what waits on it fails at once.

    Cancelling would not do: psycopg then asks the same silent server to cancel, and waits again.
    """
    handle = asyncio.get_running_loop().call_later(seconds, _cut, connection)
    try:
        yield
    finally:
        handle.cancel()


def _cut(connection: AsyncConnection) -> None:
    try:
        with socket.socket(fileno=os.dup(connection.fileno())) as duplicate:
            duplicate.shutdown(socket.SHUT_RDWR)
    except (OSError, psycopg.Error):
        return  # it is closed already, which is what was wanted
