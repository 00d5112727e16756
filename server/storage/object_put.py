"""The PUT of an object by obstore, done outside Python: no thread of ours, a third of the SDK's processor time.

A flush waits for exactly one PUT, so its cost is part of every acknowledgement; all other calls stay with the
minio SDK (docs/decisions/0010). One attempt, no hidden retries, and errors named as the SDK's are. What the store
made of the bytes is found out by reading them back (server/recordings/object_checks.py), before any client clears
its own.
"""

import re
from datetime import timedelta
from typing import Final

from obstore import head_async, put_async
from obstore.exceptions import BaseError
from obstore.store import S3Store

from server.storage.blob_store import BlobStoreError, BlobStoreUnavailableError
from server.storage.bucket_settings import BucketSettings
from server.storage.s3_client import CONNECT_S, PUT_S, translate_answer

# obstore tells a refusal only in words: the status, then the store's own XML.
_STATUS: Final = re.compile(r"status code: (\d{3})")
_CODE: Final = re.compile(r"<Code>(\w+)</Code>")
_MESSAGE: Final = re.compile(r"<Message>([^<]*)</Message>")
# FileNotFoundError and the like are its answers to 404 and such.
_ERRORS: Final = (BaseError, OSError, ValueError)


class ObjectPut:
    """PUTs into one bucket; belongs to one event loop."""

    def __init__(self, settings: BucketSettings) -> None:
        scheme = "https" if settings.is_secure else "http"
        self._store = S3Store(
            settings.bucket,
            endpoint=f"{scheme}://{settings.endpoint}",
            access_key_id=settings.access_key,
            secret_access_key=settings.secret_key,
            region=settings.region,
            virtual_hosted_style_request=False,
            # Else both sides hash every byte once more, for a signature over what TLS guards already.
            unsigned_payload=settings.is_link_private,
            client_options={
                "allow_http": not settings.is_secure,
                "connect_timeout": timedelta(seconds=CONNECT_S),
                "timeout": timedelta(seconds=PUT_S),
            },
            retry_config={"max_retries": 0},
        )

    async def check(self, key: str) -> None:
        """Return where the store answers this client too, for any object; raises `BlobStoreError`.

        It is connected then, and the first PUT finds everything made.
        """
        try:
            await head_async(self._store, key)
        except FileNotFoundError:
            return
        except _ERRORS as error:
            raise _translate(str(error), key) from error

    async def put(self, key: str, body: bytes) -> object:
        """Store the body in one request, whatever its size; the ETag as the store named it. Raises `BlobStoreError`."""
        try:
            result = await put_async(self._store, key, body, use_multipart=False)
        except _ERRORS as error:
            raise _translate(str(error), key) from error
        return result["e_tag"]


def _translate(told: str, key: str) -> BlobStoreError:
    status = _STATUS.search(told)
    if status is None:
        return BlobStoreUnavailableError(
            f"the store did not answer for {key}: {told.partition('Debug source')[0].strip()}"
        )
    code, message = _CODE.search(told), _MESSAGE.search(told)
    return translate_answer(int(status[1]), code[1] if code else "", message[1] if message else "", key)
