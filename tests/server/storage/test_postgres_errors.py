"""Every error of psycopg and its pool becomes one of the port's, and the right one."""

import psycopg
import pytest
from psycopg import errors
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

from server.storage.ledger import LedgerError, LedgerRefusedError, LedgerUnavailableError, LedgerUnsettledError
from server.storage.postgres_errors import translate_error

ALL = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, psycopg.Error)]


@pytest.mark.parametrize("error", ALL, ids=lambda error: error.__name__)
def test_no_error_of_psycopg_is_unmapped(error: type[psycopg.Error]) -> None:
    assert type(translate_error(error("it went wrong"))) in (LedgerUnavailableError, LedgerRefusedError)


@pytest.mark.parametrize(
    "error",
    [
        errors.ConnectionFailure("x"),
        errors.AdminShutdown("x"),
        errors.CrashShutdown("x"),
        errors.CannotConnectNow("x"),
        errors.TooManyConnections("x"),
        errors.DiskFull("x"),
        errors.OutOfMemory("x"),
        errors.DeadlockDetected("x"),
        errors.SerializationFailure("x"),
        errors.LockNotAvailable("x"),
        errors.QueryCanceled("x"),
        errors.IdleInTransactionSessionTimeout("x"),
        errors.FeatureNotSupported("cached plan must not change result type"),
        errors.InvalidSqlStatementName("x"),
        errors.InternalError_("x"),
        psycopg.OperationalError("server closed the connection unexpectedly"),
        psycopg.InterfaceError("the connection is closed"),
        PoolTimeout("x"),
        PoolClosed("x"),
        TooManyRequests("x"),
        ConnectionResetError("x"),
        OSError("x"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_passes_by_itself_is_unavailable(error: Exception) -> None:
    assert type(translate_error(error)) is LedgerUnavailableError


@pytest.mark.parametrize(
    ("error", "next_step"),
    [
        (errors.UndefinedTable("x"), "holdfast migrate"),
        (errors.UndefinedColumn("x"), "holdfast migrate"),
        (errors.InsufficientPrivilege("x"), "grants"),
        (errors.InvalidPassword("x"), "HOLDFAST_DATABASE_URL"),
        (errors.InvalidCatalogName("x"), "HOLDFAST_DATABASE_URL"),
        (errors.ReadOnlySqlTransaction("x"), "primary"),
        (errors.CheckViolation("x"), "invariant"),
        (errors.ForeignKeyViolation("x"), "invariant"),
        (errors.NumericValueOutOfRange("x"), "column"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value,
)
def test_what_needs_a_person_is_refused_with_what_to_do(error: Exception, next_step: str) -> None:
    translated = translate_error(error)
    assert type(translated) is LedgerRefusedError
    assert next_step in str(translated)


@pytest.mark.parametrize("error", [LedgerUnsettledError("x"), LedgerUnavailableError("x"), LedgerRefusedError("x")])
def test_an_error_of_the_port_passes_unchanged(error: LedgerError) -> None:
    assert translate_error(error) is error


def test_a_message_is_one_line() -> None:
    assert "\n" not in str(translate_error(psycopg.OperationalError("first\nsecond\nthird")))
