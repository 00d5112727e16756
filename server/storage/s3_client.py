"""The minio SDK as we use it: bounded waits, no hidden retries, and its errors translated in one place.

Left to itself the SDK waits 300 s, retries five times and keeps ten connections; none of that fits a
server that must answer within 20 s.
"""

import io
from enum import Enum
from typing import Final

import minio
import urllib3
from minio.error import MinioException, S3Error, ServerError
from minio.helpers import check_bucket_name
from urllib3.exceptions import HTTPError

from server.storage.blob_store import (
    BlobNotFoundError,
    BlobStoreError,
    BlobStoreRefusedError,
    BlobStoreUnavailableError,
)
from server.storage.bucket_settings import BucketSettings
from server.storage.keys import ProbeKey, new_uuid7

CONNECT_S: Final = 2.0
# DESIGN's limit for one PUT; for other calls the longest silence between two packets.
PUT_S: Final = 6.0

_NOT_FOUND_CODES: Final = frozenset({"NoSuchKey", "NoSuchObject", "NoSuchVersion"})
_NEXT_STEP_OF_CODE: Final = {
    "NoSuchBucket": "the bucket does not exist: check HOLDFAST_S3_BUCKET, or create it",
    "AccessDenied": "the credentials have no right to it: check the policy of HOLDFAST_S3_ACCESS_KEY",
    "InvalidAccessKeyId": "the access key is unknown: check HOLDFAST_S3_ACCESS_KEY",
    "SignatureDoesNotMatch": "the secret key is wrong: check HOLDFAST_S3_SECRET_KEY",
    "AuthorizationHeaderMalformed": "the region is wrong: check HOLDFAST_S3_REGION",
    "RequestTimeTooSkewed": "this machine's clock differs from the store's: set the clock",
}
# What a call may raise. The SDK parses answers by hand: a proxy's page in place of an answer shows as a
# ValueError, or, where it is no XML, as ElementTree's ParseError, which is a SyntaxError.
CALL_ERRORS: Final = (MinioException, HTTPError, OSError, ValueError, SyntaxError)
# Refusals in name that pass by themselves.
_PASSING_CODES: Final = frozenset(
    {"RequestTimeout", "SlowDown", "TooManyRequests", "OperationAborted", "IncompleteBody"}
)


class BucketState(Enum):
    """What a start-up probe learned of the bucket."""

    READY = "ready"
    AWAY = "away"
    REFUSED = "refused"


def make_client(settings: BucketSettings, connections: int) -> tuple[minio.Minio, urllib3.PoolManager]:
    """The SDK's client over a connection pool of our own; the pool is the caller's to clear.

    Raises `BlobStoreRefusedError` for an endpoint or bucket name that cannot be.
    """
    pool = urllib3.PoolManager(
        maxsize=connections,
        block=True,
        timeout=urllib3.Timeout(connect=CONNECT_S, read=PUT_S),
        retries=False,
    )
    try:
        check_bucket_name(settings.bucket)
    except ValueError as error:
        raise BlobStoreRefusedError(f"{error}: check HOLDFAST_S3_BUCKET") from error
    try:
        if not settings.endpoint:
            raise ValueError("the endpoint is empty")
        client = minio.Minio(
            settings.endpoint,
            access_key=settings.access_key,
            secret_key=settings.secret_key,
            secure=settings.is_secure,
            region=settings.region,
            http_client=pool,
        )
    except ValueError as error:
        raise BlobStoreRefusedError(f"{error}: check HOLDFAST_S3_ENDPOINT (host:port, no scheme)") from error
    return client, pool


def create_bucket(settings: BucketSettings) -> None:
    """Make the bucket; one that exists already and is ours is a success. Blocks; raises `BlobStoreError`."""
    client, pool = make_client(settings, connections=1)
    try:
        if not client.bucket_exists(settings.bucket):
            client.make_bucket(settings.bucket, location=settings.region)
    except S3Error as error:
        if error.code != "BucketAlreadyOwnedByYou":
            raise translate_error(error, settings.bucket) from error
    except CALL_ERRORS as error:
        raise translate_error(error, settings.bucket) from error
    finally:
        pool.clear()


def write_once(settings: BucketSettings) -> None:
    """Write a small object and remove it again, so that what a store does at its first write is done.

    It is a probe like the server's own (docs/decisions/0003), so one that a crash leaves is removed at the next start.
    Blocks; raises `BlobStoreError`.
    """
    client, pool = make_client(settings, connections=1)
    key = ProbeKey(new_uuid7()).text
    try:
        client.put_object(settings.bucket, key, io.BytesIO(b"first write"), len(b"first write"))
        client.remove_object(settings.bucket, key)
    except CALL_ERRORS as error:
        raise translate_error(error, key) from error
    finally:
        pool.clear()


def read_any(settings: BucketSettings) -> None:
    """Read one object of the bucket, where there is one. Blocks; raises `BlobStoreError`."""
    client, pool = make_client(settings, connections=1)
    try:
        for found in client.list_objects(settings.bucket, recursive=True):
            with client.get_object(settings.bucket, str(found.object_name)) as answer:
                answer.read()
            return
    except CALL_ERRORS as error:
        raise translate_error(error, settings.bucket) from error
    finally:
        pool.clear()


def probe_bucket(settings: BucketSettings) -> BucketState:
    """Make the bucket where it is missing and say how the store answers. Blocks for CONNECT_S + PUT_S at most."""
    try:
        create_bucket(settings)
    except BlobStoreUnavailableError:
        return BucketState.AWAY
    except BlobStoreError:
        return BucketState.REFUSED
    return BucketState.READY


def translate_error(error: Exception, what: str) -> BlobStoreError:
    """The port's error for one of the SDK, of urllib3 or of the socket; `what` is the key or bucket concerned."""
    if isinstance(error, BlobStoreError):
        return error
    if isinstance(error, S3Error):
        return translate_answer(error.response.status, error.code or "", str(error.message), what)
    if isinstance(error, ServerError):
        return translate_answer(error.status_code, "", "", what)
    return BlobStoreUnavailableError(f"the store did not answer for {what}: {type(error).__name__}: {error}")


def translate_answer(status: int, code: str, message: str, what: str) -> BlobStoreError:
    """The port's error for an answer of the store: its status, its error code (empty: it told none) and message."""
    if code in _NOT_FOUND_CODES:
        return BlobNotFoundError(f"the bucket holds no object {what}")
    if code in _PASSING_CODES:
        return BlobStoreUnavailableError(f"the store answered {code} for {what}")
    if not code:
        return _by_status(status, f"the store answered {status} for {what}")
    return _by_status(status, f"the store answered {code} for {what}: {_NEXT_STEP_OF_CODE.get(code, message)}")


def _by_status(status: int, message: str) -> BlobStoreError:
    # 429 is not now; a status below 400 would be an answer that is no S3 at all.
    if status >= 500 or status == 429 or status < 400:
        return BlobStoreUnavailableError(message)
    return BlobStoreRefusedError(message)
