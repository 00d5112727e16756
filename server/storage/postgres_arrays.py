"""Whole columns as PostgreSQL's binary arrays, built in a few C calls instead of one Python call a value.

psycopg dumps a list value by value; for a batch of 512 chunks with eight columns that alone would cost
more than the rest of the statement. The format is array_recv's in PostgreSQL's arrayfuncs.c: dimensions,
has-null flag, element type, then length and lower bound of the dimension, then each value with its length.
"""

import struct
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import psycopg
from psycopg import postgres
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format

_HEAD: Final = struct.Struct("!iiIii")
_LENGTH: Final = struct.Struct("!i")
_NULL: Final = _LENGTH.pack(-1)


class Column:
    """One encoded array of a batch; `type_name` is its element type."""

    __slots__ = ("body", "type_name")

    def __init__(self, type_name: str, body: bytes) -> None:
        self.type_name = type_name
        self.body = body


def uuid_column(values: Sequence[UUID]) -> Column:
    """A `uuid[]`."""
    return _fixed_column("uuid", 16, [value.bytes for value in values])


def key_columns(keys: Sequence[tuple[UUID, int]]) -> tuple[Column, Column]:
    """The chunks' keys as `uuid[]` and `int4[]`: recording_id and chunk_index, side by side."""
    return uuid_column([key[0] for key in keys]), int4_column([key[1] for key in keys])


def sha256_column(values: Sequence[bytes]) -> Column:
    """A `bytea[]` of 32-byte digests. Raises `ValueError` where one has another length."""
    if any(len(value) != 32 for value in values):
        raise ValueError("a SHA-256 digest has 32 bytes")
    return _fixed_column("bytea", 32, values)


def int4_column(values: Sequence[int]) -> Column:
    """An `int4[]`. Raises `struct.error` where a value needs more than 32 bits."""
    return _int_column("int4", "i", 4, values)


def int8_column(values: Sequence[int]) -> Column:
    """An `int8[]`. Raises `struct.error` where a value needs more than 64 bits."""
    return _int_column("int8", "q", 8, values)


def text_column(values: Sequence[str | None]) -> Column:
    """A `text[]` in which None is null."""
    parts: list[bytes] = []
    for value in values:
        if value is None:
            parts.append(_NULL)
        else:
            encoded = value.encode()
            parts.append(_LENGTH.pack(len(encoded)))
            parts.append(encoded)
    return Column("text", _head("text", len(values), has_null=True) + b"".join(parts))


def _head(type_name: str, count: int, *, has_null: bool = False) -> bytes:
    return _HEAD.pack(1, has_null, postgres.types[type_name].oid, count, 1)


def _fixed_column(type_name: str, width: int, values: Sequence[bytes]) -> Column:
    length = _LENGTH.pack(width)
    body = length + length.join(values) if values else b""
    return Column(type_name, _head(type_name, len(values)) + body)


def _int_column(type_name: str, code: str, width: int, values: Sequence[int]) -> Column:
    interleaved = [width] * (2 * len(values))
    interleaved[1::2] = values
    return Column(
        type_name, _head(type_name, len(values)) + struct.pack(f"!{('i' + code) * len(values)}", *interleaved)
    )


class _ColumnDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Column) -> Buffer:
        return obj.body

    def get_key(self, obj: Column, format: object) -> tuple[type, str]:  # type: ignore[override] # noqa: A002, ARG002
        return (Column, obj.type_name)

    def upgrade(self, obj: Column, format: object) -> Dumper:  # noqa: A002, ARG002
        dumper = _ColumnDumper(Column)
        dumper.oid = postgres.types[obj.type_name].array_oid
        return dumper


# Only our own type is registered, so nobody else's values change their form.
psycopg.adapters.register_dumper(Column, _ColumnDumper)
