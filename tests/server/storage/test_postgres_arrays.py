"""The columns that we encode ourselves are exactly what PostgreSQL reads."""

import struct
from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.storage.postgres_arrays import (
    Column,
    int4_column,
    int8_column,
    sha256_column,
    text_column,
    uuid_column,
)

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)


@pytest.fixture(scope="module")
def connection(module_database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(module_database_url, autocommit=True) as opened:
        yield opened


def read_back(connection: psycopg.Connection, type_name: str, column: Column) -> list[object]:
    statement = f"select array(select unnest(%s::{type_name}[]))"
    row = connection.execute(statement.encode(), (column,), binary=True).fetchone()
    assert row is not None
    values: list[object] = row[0]
    return values


@given(values=st.lists(st.uuids()))
def test_uuids(connection: psycopg.Connection, values: list[UUID]) -> None:
    assert read_back(connection, "uuid", uuid_column(values)) == values


@given(values=st.lists(st.binary(min_size=32, max_size=32)))
def test_digests(connection: psycopg.Connection, values: list[bytes]) -> None:
    assert read_back(connection, "bytea", sha256_column(values)) == values


@given(values=st.lists(st.integers(-(2**31), 2**31 - 1)))
def test_int4(connection: psycopg.Connection, values: list[int]) -> None:
    assert read_back(connection, "int4", int4_column(values)) == values


@given(values=st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_int8(connection: psycopg.Connection, values: list[int]) -> None:
    assert read_back(connection, "int8", int8_column(values)) == values


@given(values=st.lists(st.none() | TEXTS))
def test_texts_and_nulls(connection: psycopg.Connection, values: list[str | None]) -> None:
    assert read_back(connection, "text", text_column(values)) == values


def test_a_digest_of_another_length_is_an_error() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        sha256_column([b"x" * 32, b"x" * 31])


def test_a_number_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(struct.error):
        int4_column([2**31])
