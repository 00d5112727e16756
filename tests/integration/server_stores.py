"""The bucket and the ledger of a server under test, as an auditor reads them."""

from collections.abc import Iterator
from contextlib import contextmanager

from e2e.stores import Stores
from server.storage.bucket_settings import BucketSettings
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


def environ_of(database_url: str, bucket: BucketSettings) -> dict[str, str]:
    """The settings of a server on given stores."""
    return {
        "HOLDFAST_DATABASE_URL": database_url,
        "HOLDFAST_S3_ENDPOINT": f"http://{bucket.endpoint}",
        "HOLDFAST_S3_ACCESS_KEY": bucket.access_key,
        "HOLDFAST_S3_SECRET_KEY": bucket.secret_key,
        "HOLDFAST_S3_BUCKET": bucket.bucket,
    }
