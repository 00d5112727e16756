"""Bucket and ledger as an auditor sees them: own SQL, own S3 client, none of the product's code.

A story asks here what is really held, whatever page and server say.
"""

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import urllib3
from minio import Minio
from minio.error import S3Error

# The rows of a recording with the objects they point to, in order of chunk_index.
_CHUNKS = """
    select c.chunk_index, c.run, c.state, c.size, encode(c.sha256, 'hex'), o.key, c.object_offset
    from chunks c join objects o using (object_id)
    where c.recording_id = %s
    order by c.chunk_index
"""
# UUIDv7s of the year 2020, a minute apart.
_MORE_RECORDINGS = """
    insert into recordings (recording_id, mime_type, title, started_at, document)
    select (lpad(to_hex(1577836800000 + n * 60000), 12, '0') || '70008' || lpad(to_hex(n), 15, '0'))::uuid,
        'audio/webm', %s || ' ' || n, to_timestamp(1577836800 + n * 60), '{}'
    from generate_series(1, %s) n
"""


@dataclass(frozen=True)
class HeldChunk:
    """A ledger row and where it says the bytes are."""

    chunk_index: int
    run: int
    state: str
    size: int
    sha256: str
    key: str
    offset: int


class Stores:
    """The bucket and the ledger of one server."""

    def __init__(self, *, database_url: str, endpoint: str, access_key: str, secret_key: str, bucket: str) -> None:
        self._database_url = database_url
        self._bucket = bucket
        self._pool = urllib3.PoolManager(timeout=urllib3.Timeout(connect=5, read=30), retries=False)
        self._minio = Minio(
            endpoint, access_key=access_key, secret_key=secret_key, secure=False, http_client=self._pool
        )

    def close(self) -> None:
        """Release the connections."""
        self._pool.clear()

    # -- the ledger

    def chunks(self, recording_id: str) -> list[HeldChunk]:
        """Every row of the recording, in order."""
        return [HeldChunk(*row) for row in self._query(_CHUNKS, recording_id)]

    def recording_state(self, recording_id: str) -> str:
        """The recording's state in the ledger, or "" where it has no row."""
        rows = self._query("select state from recordings where recording_id = %s", recording_id)
        return str(rows[0][0]) if rows else ""

    def is_certified(self, recording_id: str) -> bool:
        """Whether the ledger holds a certificate of the recording."""
        rows = self._query("select certificate is not null from recordings where recording_id = %s", recording_id)
        return bool(rows and rows[0][0])

    # -- the bucket

    def read(self, chunk: HeldChunk) -> bytes:
        """The chunk's bytes from the bucket. Raises `AssertionError` where they are gone or not the row's."""
        try:
            response = self._minio.get_object(self._bucket, chunk.key, offset=chunk.offset, length=chunk.size)
        except S3Error as error:
            raise AssertionError(f"chunk {chunk.chunk_index} is acknowledged, and {chunk.key}: {error.code}") from error
        try:
            content = response.read()
        finally:
            response.close()
            response.release_conn()
        digest = hashlib.sha256(content).hexdigest()
        assert (len(content), digest) == (chunk.size, chunk.sha256), (
            f"chunk {chunk.chunk_index} in {chunk.key} is not what the ledger says"
        )
        return content

    def read_key(self, key: str) -> bytes:
        """A whole object of the bucket."""
        response = self._minio.get_object(self._bucket, key)
        try:
            return response.read()
        finally:
            response.close()
            response.release_conn()

    def keys(self, prefix: str = "") -> list[str]:
        """Every key of the bucket that begins with the prefix."""
        listed = self._minio.list_objects(self._bucket, prefix=prefix, recursive=True)
        return [item.object_name for item in listed if item.object_name is not None]

    def remove(self, key: str) -> None:
        """Remove one object behind the server's back."""
        self._minio.remove_object(self._bucket, key)

    def empty_bucket(self) -> list[str]:
        """Delete everything but the installation's id, as somebody with the wrong script would; the keys deleted."""
        keys = [key for key in self.keys() if key != "holdfast.json"]
        for key in keys:
            self._minio.remove_object(self._bucket, key)
        return keys

    def spoil(self, chunk: HeldChunk) -> None:
        """Flip one bit of the chunk in the bucket, under the same key."""
        content = bytearray(self.read_key(chunk.key))
        content[chunk.offset + chunk.size // 2] ^= 1
        self._minio.put_object(self._bucket, chunk.key, io.BytesIO(content), len(content))

    # -- both

    def read_runs(self, recording_id: str) -> dict[int, bytes]:
        """Each run's bytes, checked in the same way."""
        chunks = self.chunks(recording_id)
        assert [c.chunk_index for c in chunks] == list(range(len(chunks))), "the ledger has a gap"
        assert {c.state for c in chunks} <= {"stored"}, "a chunk is wanted or disputed"
        runs = sorted({c.run for c in chunks})
        return {run: b"".join(self.read(chunk) for chunk in chunks if chunk.run == run) for run in runs}

    def read_recording(self, recording_id: str) -> bytes:
        """The recording's bytes, read back from the bucket, after every check of the rows.

        Raises `AssertionError` where an index is missing, a chunk is not `stored`, there is more than
        one run, or bytes are not those of their row.
        """
        runs = self.read_runs(recording_id)
        assert set(runs) <= {0}, "bytes of several runs cannot be compared as one"
        return runs.get(0, b"")

    @contextmanager
    def more_recordings(self, count: int, *, title: str) -> Iterator[None]:
        """So many old recordings in the ledger, without chunks, while the block lasts; the highest number is newest."""
        with psycopg.connect(self._database_url, connect_timeout=10) as connection:
            connection.execute(_MORE_RECORDINGS, (title, count))
        yield
        with psycopg.connect(self._database_url, connect_timeout=10) as connection:
            connection.execute("delete from recordings where title like %s", (f"{title} %",))

    def _query(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._database_url, connect_timeout=10) as connection:
            return connection.execute(statement, parameters).fetchall()
