"""The bucket and the ledger of a server under test, as an auditor reads them."""

from collections.abc import Iterator
from contextlib import contextmanager

from e2e.stores import Stores
from tests.integration.server_process import ServerProcess


@contextmanager
def open_stores(server: ServerProcess) -> Iterator[Stores]:
    """Own SQL and an own S3 client; opened anew after a restart."""
    bucket = server.bucket
    stores = Stores(
        database_url=server.database_url,
        endpoint=bucket.endpoint,
        access_key=bucket.access_key,
        secret_key=bucket.secret_key,
        bucket=bucket.bucket,
    )
    try:
        yield stores
    finally:
        stores.close()
