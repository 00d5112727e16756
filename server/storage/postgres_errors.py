"""The one place where psycopg's errors become the ledger port's.

What may pass by itself (connection, resources, locks, shutdown, deadlines) is unavailable; what needs
a person (schema, rights, credentials, a violated constraint) is refused. An error of a class this
table does not name is unavailable: its transaction is undone, and a client that holds bytes tries
again (I10).
"""

from typing import Final

import psycopg
from psycopg import errors
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

from server.storage.ledger import LedgerError, LedgerRefusedError, LedgerUnavailableError

# SQLSTATE classes, the first two characters (PostgreSQL documentation, appendix A).
_REFUSED_CLASSES: Final = {
    "22": "a value does not fit its column",
    "23": "a constraint that states an invariant was violated",
    "28": "the credentials were refused: check HOLDFAST_DATABASE_URL",
    "3D": "there is no such database: check HOLDFAST_DATABASE_URL, or create it",
    "3F": "there is no such schema: run `holdfast migrate`",
    "42": "the schema or the rights are not what this server expects: run `holdfast migrate`, then check the grants",
}
# A prepared statement that the session lost or that a migration outdated: a new connection cures it.
STALE_STATES: Final = frozenset({"0A000", "26000", "42P05"})
# A database that has become read-only (a standby, or set so by an administrator).
_READ_ONLY_STATE: Final = "25006"


def translate_error(error: BaseException) -> LedgerError:
    """The port's error for one of psycopg or its pool; one of the port passes unchanged."""
    if isinstance(error, LedgerError):
        return error
    if isinstance(error, PoolTimeout | TooManyRequests | PoolClosed):
        return LedgerUnavailableError(f"no connection to the database came free in time: {error}")
    if not isinstance(error, psycopg.Error):
        return LedgerUnavailableError(f"the connection to the database failed: {_line_of(error)}")
    state = error.sqlstate or ""
    if state == _READ_ONLY_STATE:
        return LedgerRefusedError(f"the database is read-only: point HOLDFAST_DATABASE_URL at its primary ({state})")
    if state[:2] in _REFUSED_CLASSES and state not in STALE_STATES:
        return LedgerRefusedError(f"{_REFUSED_CLASSES[state[:2]]} ({state}: {_line_of(error)})")
    if isinstance(error, psycopg.InterfaceError | psycopg.ProgrammingError) and not state:
        # Misuse of psycopg itself shows here, and so does a connection that was closed under us.
        return LedgerUnavailableError(f"the database connection cannot be used: {_line_of(error)}")
    if isinstance(error, errors.QueryCanceled | errors.LockNotAvailable):
        return LedgerUnavailableError(f"the database did not answer in time ({state}: {_line_of(error)})")
    return LedgerUnavailableError(f"the database failed ({state or 'no connection'}: {_line_of(error)})")


def _line_of(error: BaseException) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0]
