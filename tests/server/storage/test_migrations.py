"""The migration runner: forward only, one at a time, all or nothing, and never against a newer schema."""

import threading
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from server.storage.ledger import LedgerRefusedError, LedgerUnavailableError
from server.storage.migrations import Migration, apply_migrations, read_migrations

FIRST = Migration(1, "one", "create table one (id integer);\ncreate table other (id integer);")
SECOND = Migration(2, "two", "create table two (id integer);")


def tables_of(database_url: str) -> set[str]:
    with psycopg.connect(database_url) as connection:
        return {row[0] for row in connection.execute("select tablename from pg_tables where schemaname = 'public'")}


def test_an_empty_database_gets_the_newest_schema_and_a_second_run_changes_nothing(empty_database_url: str) -> None:
    told: list[str] = []
    applied = apply_migrations(empty_database_url, on_progress=told.append)
    assert applied == read_migrations()
    assert len(told) == len(applied)
    assert {"installation", "recordings", "objects", "chunks", "findings"} <= tables_of(empty_database_url)
    assert apply_migrations(empty_database_url) == []


def test_only_what_is_missing_is_applied(empty_database_url: str) -> None:
    apply_migrations(empty_database_url, [FIRST])
    assert apply_migrations(empty_database_url, [FIRST, SECOND]) == [SECOND]
    assert tables_of(empty_database_url) == {"one", "other", "two", "schema_migrations"}


def test_a_schema_newer_than_the_code_is_refused(empty_database_url: str) -> None:
    apply_migrations(empty_database_url, [FIRST, SECOND])
    with pytest.raises(LedgerRefusedError, match=r"schema version 2 \(two\).*knows versions up to 1.*at least as new"):
        apply_migrations(empty_database_url, [FIRST])


def test_a_migration_that_was_edited_after_it_was_applied_is_refused(empty_database_url: str) -> None:
    apply_migrations(empty_database_url, [FIRST])
    with pytest.raises(LedgerRefusedError, match="0001_one was applied with another text"):
        apply_migrations(empty_database_url, [replace(FIRST, sql=FIRST.sql + " "), SECOND])
    assert "two" not in tables_of(empty_database_url)


def test_a_migration_that_fails_leaves_nothing_and_can_be_repeated(empty_database_url: str) -> None:
    broken = Migration(2, "two", "create table two (id integer); select * from nowhere;")
    with pytest.raises(LedgerRefusedError, match="42P01"):
        apply_migrations(empty_database_url, [FIRST, broken])
    assert tables_of(empty_database_url) == {"one", "other", "schema_migrations"}
    assert apply_migrations(empty_database_url, [FIRST, SECOND]) == [SECOND]


def test_two_runners_at_once_apply_each_migration_once(empty_database_url: str) -> None:
    applied: list[list[Migration]] = []
    barrier = threading.Barrier(4)

    def run() -> None:
        barrier.wait()
        applied.append(apply_migrations(empty_database_url))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(len, applied)) == [0, 0, 0, len(read_migrations())]


def test_a_database_that_is_away_is_unavailable() -> None:
    with pytest.raises(LedgerUnavailableError, match="refused"):
        apply_migrations("postgresql://nobody@127.0.0.1:1/nothing")


@pytest.mark.parametrize("names", [["0002_two.sql"], ["0001_one.sql", "0003_three.sql"], ["1_one.sql"], ["0001-a.sql"]])
def test_file_names_are_checked(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).write_text("select 1")
    with pytest.raises(ValueError, match="numbered from 0001 without a gap"):
        read_migrations(tmp_path)


INSERT_RECORDING = "insert into recordings (recording_id, mime_type, started_at, document, state, certificate) values "
INSERT_OBJECT = "insert into objects (object_id, key, size, etag) values "
V7 = "'01900000-0000-7000-8000-000000000001'"
V8 = "'01900000-0000-8000-8000-000000000001'"
SHA = "sha256('x')"


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        (f"{INSERT_RECORDING} ({V8}, 'audio/webm', now(), 'd', 'open', null)", "recordings_id_is_uuid7"),
        (f"{INSERT_RECORDING} ({V7}, 'audio/webm', now(), null, 'open', null)", "recordings_document_unless_deleted"),
        (
            f"{INSERT_RECORDING} ({V7}, 'audio/webm', now(), 'd', 'complete', null)",
            "recordings_certificate_iff_complete",
        ),
        (f"{INSERT_RECORDING} ({V7}, 'audio/webm', now(), 'd', 'open', 'c')", "recordings_certificate_iff_complete"),
        (f"{INSERT_RECORDING} ({V7}, 'audio/webm', now(), 'd', 'deleted', null)", "recordings_tombstone_iff_deleted"),
        (f"{INSERT_RECORDING} ({V7}, 'audio/webm', now(), 'd', 'paused', null)", "recordings_state_known"),
        (f"{INSERT_OBJECT} ({V7}, 'k', 0, 'e')", "objects_size_positive"),
        (f"{INSERT_OBJECT} ({V7}, 'k', 1, 'e'), ({V8}, 'k', 1, 'e')", "objects_key_key"),
        (
            f"insert into objects (object_id, key, size, etag, state) values ({V7}, 'k', 1, 'e', 'unlinked')",
            "objects_unlinked_has_time",
        ),
        (
            "insert into chunks (recording_id, chunk_index, run, size, object_id, object_offset, sha256) "
            f"values ({V7}, 0, 0, 1, {V7}, 0, {SHA})",
            "chunks_object_id_fkey",
        ),
        (
            f"{INSERT_OBJECT} ({V7}, 'k', 1, 'e'); "
            "insert into chunks (recording_id, chunk_index, run, size, object_id, object_offset, sha256) "
            f"values ({V7}, 0, 0, 1, {V7}, 0, 'short')",
            "chunks_sha256_length",
        ),
        (
            f"{INSERT_OBJECT} ({V7}, 'k', 1, 'e'); "
            "insert into chunks (recording_id, chunk_index, run, size, object_id, object_offset, sha256) "
            f"values ({V8}, 0, 0, 1, {V7}, 0, {SHA})",
            "chunks_loose_iff_not_uuid7",
        ),
        ("insert into installation (is_only_row, installation_id) values (false, gen_random_uuid())", "installation"),
        ("insert into findings (kind) values ('odd')", "findings_kind_known"),
    ],
)
def test_the_schema_itself_refuses_what_breaks_an_invariant(
    module_database_url: str, statement: str, constraint: str
) -> None:
    with (
        psycopg.connect(module_database_url) as connection,
        pytest.raises(psycopg.errors.IntegrityError, match=constraint),
    ):
        connection.execute(statement.encode())


def test_keys_are_ordered_by_their_bytes_as_the_bucket_lists_them(module_database_url: str) -> None:
    keys = ["a/b", "a-b", "B", "a.b", "ab", "_"]
    with psycopg.connect(module_database_url) as connection:
        connection.execute(
            "insert into objects (object_id, key, size, etag) "
            "select gen_random_uuid(), key, 1, 'e' from unnest(%s::text[]) as key",
            (keys,),
        )
        ordered = [row[0] for row in connection.execute("select key from objects order by key")]
        connection.rollback()
    assert ordered == sorted(keys)
