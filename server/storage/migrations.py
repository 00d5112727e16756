"""Brings a database to this version's schema: plain SQL files, forward only, each in one transaction.

The rules it keeps: one runner at a time (an advisory lock), a file that was applied is never changed
(its digest is kept), and a schema newer than this code is refused, because this code does not know
which of its statements would break it.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg

from server.storage.ledger import LedgerRefusedError
from server.storage.postgres_errors import translate_error

MIGRATIONS_DIR: Final = Path(__file__).parent.parent / "migrations"

# Any constant does, as long as nothing else in the database takes the same: "holdfast" in ASCII.
_LOCK_KEY: Final = int.from_bytes(b"holdfast", "big", signed=True)
_CONNECT_S: Final = 10
# How long a runner waits for another one, and for locks of running statements: then a person should look.
_LOCK_WAIT_S: Final = 60

_FILE_NAME: Final = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")

# What has been applied, one row a file.
_CREATE_TABLE: Final = """
    create table if not exists schema_migrations (
        version integer primary key,
        name text not null,
        sha256 bytea not null,
        applied_at timestamptz not null default now()
    )
"""
_SELECT_APPLIED: Final = "select version, name, sha256 from schema_migrations order by version"
_INSERT_APPLIED: Final = "insert into schema_migrations (version, name, sha256) values (%s, %s, %s)"


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: `version` from 1 without a gap, `sql` as it stands there."""

    version: int
    name: str
    sql: str

    @property
    def sha256(self) -> bytes:
        return hashlib.sha256(self.sql.encode()).digest()


def read_migrations(directory: Path = MIGRATIONS_DIR) -> list[Migration]:
    """The files in order. Raises `ValueError` for a name of another form or a gap in the numbers."""
    migrations: list[Migration] = []
    for number, path in enumerate(sorted(directory.glob("*.sql")), start=1):
        match = _FILE_NAME.fullmatch(path.name)
        if match is None or int(match[1]) != number:
            raise ValueError(f"{path}: expected the name {number:04d}_name.sql, numbered from 0001 without a gap")
        migrations.append(Migration(number, match[2], path.read_text(encoding="utf-8")))
    return migrations


def apply_migrations(
    database_url: str,
    migrations: Sequence[Migration] | None = None,
    on_progress: Callable[[str], None] = lambda _: None,
) -> list[Migration]:
    """Apply what is missing and return it; nothing missing is a success.

    Raises `LedgerUnavailableError` where the database cannot be reached or another runner holds the
    lock too long, and `LedgerRefusedError` where the schema is newer than `migrations`, where an
    applied file differs from its text here, or where a statement fails (its whole file is undone).
    """
    known = read_migrations() if migrations is None else migrations
    try:
        with psycopg.connect(database_url, connect_timeout=_CONNECT_S, autocommit=True) as connection:
            return _apply(connection, known, on_progress)
    except psycopg.Error as error:
        raise translate_error(error) from error


def _apply(
    connection: psycopg.Connection, known: Sequence[Migration], on_progress: Callable[[str], None]
) -> list[Migration]:
    connection.execute("select set_config('lock_timeout', %s, false)", (f"{_LOCK_WAIT_S}s",))
    # Held until the connection closes, so a runner that dies releases it.
    connection.execute("select pg_advisory_lock(%s)", (_LOCK_KEY,))
    connection.execute(_CREATE_TABLE)
    missing = _find_missing(connection.execute(_SELECT_APPLIED).fetchall(), known)
    for migration in missing:
        on_progress(f"ledger: applying migration {migration.version:04d}_{migration.name}")
        with connection.transaction():
            # Without parameters psycopg sends the text as it is, so a file may hold many statements.
            connection.execute(migration.sql.encode())
            connection.execute(_INSERT_APPLIED, (migration.version, migration.name, migration.sha256))
    return missing


def _find_missing(applied: list[tuple[int, str, bytes]], known: Sequence[Migration]) -> list[Migration]:
    by_version = {migration.version: migration for migration in known}
    for version, name, digest in applied:
        migration = by_version.pop(version, None)
        if migration is None:
            raise LedgerRefusedError(
                f"the database has schema version {applied[-1][0]} ({applied[-1][1]}), this server knows versions "
                f"up to {len(known)}: run a server at least as new as the one that migrated it"
            )
        if migration.sha256 != bytes(digest):
            raise LedgerRefusedError(
                f"migration {version:04d}_{name} was applied with another text than this server's: "
                "an applied migration is never edited; restore the file and put the change into a new one"
            )
    return [by_version[version] for version in sorted(by_version)]
