"""Where the embedded PostgreSQL and S3 of a running `holdfast serve` are, read from its HOLDFAST_DATA_DIR.

Only for the owner of that folder: its credentials are readable by nobody else.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import urllib3
from minio import Minio

from loadtest.bucket_contents import Bucket


class StoresUnknownError(Exception):
    """The folder does not say where they are; the message says what to do."""


@dataclass(frozen=True)
class EmbeddedBucket:
    """A bucket with what opens it; `endpoint` is host:port."""

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    name: str = "holdfast"

    def open_reader(self) -> Bucket:
        """The auditor's reader."""
        return Bucket(endpoint=self.endpoint, access_key=self.access_key, secret_key=self.secret_key, bucket=self.name)

    @contextmanager
    def open_client(self, connections: int) -> Iterator[Minio]:
        """The minio SDK with so many connections."""
        pool = urllib3.PoolManager(timeout=urllib3.Timeout(connect=5, read=60), maxsize=connections, retries=False)
        try:
            yield Minio(
                self.endpoint,
                access_key=self.access_key,
                secret_key=self.secret_key,
                secure=False,
                http_client=pool,
            )
        finally:
            pool.clear()


def find_database_url(data_dir: Path) -> str:
    """The database of the server that runs on `data_dir`. Raises `StoresUnknownError`."""
    password, port = _look_up(data_dir, "database_password", "postgres")
    return f"postgresql://holdfast:{quote(password, safe='')}@127.0.0.1:{port}/holdfast"


def find_bucket(data_dir: Path) -> EmbeddedBucket:
    """Its bucket. Raises `StoresUnknownError`."""
    access_key, port = _look_up(data_dir, "access_key", "weed_s3")
    secret_key, _ = _look_up(data_dir, "secret_key", "weed_s3")
    return EmbeddedBucket(endpoint=f"127.0.0.1:{port}", access_key=access_key, secret_key=secret_key)


def _look_up(data_dir: Path, credential: str, service: str) -> tuple[str, int]:
    try:
        credentials = json.loads((data_dir / "credentials.json").read_bytes())
        ports = json.loads((data_dir / "ports.json").read_bytes())
        return str(credentials[credential]), int(ports[service])
    except (OSError, ValueError, KeyError) as error:
        raise StoresUnknownError(
            f"{data_dir} names no embedded {service} ({error}); start the server on it, or name services of your own by"
            " HOLDFAST_DATABASE_URL and HOLDFAST_S3_*"
        ) from error
