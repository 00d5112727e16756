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
class EmbeddedStores:
    """A database and a bucket with what opens them; `endpoint` is host:port."""

    database_url: str = field(repr=False)
    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    bucket: str = "holdfast"

    def open_bucket(self) -> Bucket:
        """The auditor's reader."""
        return Bucket(
            endpoint=self.endpoint, access_key=self.access_key, secret_key=self.secret_key, bucket=self.bucket
        )

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


def find_stores(data_dir: Path) -> EmbeddedStores:
    """Those of the server that runs on `data_dir`. Raises `StoresUnknownError`."""
    try:
        credentials = json.loads((data_dir / "credentials.json").read_bytes())
        ports = json.loads((data_dir / "ports.json").read_bytes())
        password = quote(credentials["database_password"], safe="")
        return EmbeddedStores(
            database_url=f"postgresql://holdfast:{password}@127.0.0.1:{ports['postgres']}/holdfast",
            endpoint=f"127.0.0.1:{ports['weed_s3']}",
            access_key=credentials["access_key"],
            secret_key=credentials["secret_key"],
        )
    except (OSError, ValueError, KeyError) as error:
        raise StoresUnknownError(
            f"{data_dir} names no embedded services ({error}); start the server on it, or name the services by"
            " HOLDFAST_DATABASE_URL and HOLDFAST_S3_*"
        ) from error
