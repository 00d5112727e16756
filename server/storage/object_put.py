"""The PUT of an object, sent by the event loop itself over connections that stay open: no thread, nothing handed over.

A flush waits for exactly one PUT, so its cost is part of every acknowledgement; all other calls stay with the
minio SDK, whose signature this uses too (docs/decisions/0020). One attempt, no hidden retries, and errors named as the
SDK's are. What the store made of the bytes is found out by reading them back (server/recordings/object_checks.py),
before any client clears its own.
"""

import asyncio
import re
import ssl
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, urlsplit

from minio.credentials.credentials import Credentials
from minio.signer import sign_v4_s3
from msgspec import Struct

from protocol.checksums import sha256_hex
from server.storage.blob_store import BlobStoreUnavailableError
from server.storage.bucket_settings import BucketSettings
from server.storage.s3_client import CONNECT_S, translate_answer
from server.storage.store_connection import StoreAnswer, StoreConnection

# Shorter than what stores keep an idle connection for, as far as they say; one that is closed in the moment of its
# use costs a flush its first attempt.
IDLE_S_MAX: Final = 60.0
# Hashing that takes longer than this much does is done beside the event loop.
_HASHED_HERE_BYTES: Final = 256 * 1024
_UNSIGNED: Final = "UNSIGNED-PAYLOAD"

_CODE: Final = re.compile(rb"<Code>(\w+)</Code>")
_MESSAGE: Final = re.compile(rb"<Message>([^<]*)</Message>")


class _Target(Struct, frozen=True):
    """Where the store listens."""

    host: str
    port: int
    tls: ssl.SSLContext | None


class ObjectPut:
    """PUTs into one bucket; belongs to one event loop."""

    def __init__(self, settings: BucketSettings) -> None:
        self._settings = settings
        where = urlsplit(f"//{settings.endpoint}")
        self._target = _Target(
            where.hostname or "",
            where.port or _usual_port(settings),
            ssl.create_default_context() if settings.is_secure else None,
        )
        # The last one used is taken first, so that those of a busy hour grow old.
        self._idle: list[StoreConnection] = []

    async def check(self, key: str) -> None:
        """Return where the store answers this client too, for any object; raises `BlobStoreError`.

        It is connected then, and the first PUT finds everything made.
        """
        answer = await self._ask("GET", key, b"")
        if answer.status != 404 or b"<Code>NoSuchKey</Code>" not in answer.body:
            _require_success(answer, key)

    async def put(self, key: str, body: bytes) -> str:
        """Store the body in one request, whatever its size; the ETag as the store named it, empty where it named none.

        Raises `BlobStoreError`. When it is cancelled, the store may have the object all the same.
        """
        answer = await self._ask("PUT", key, body)
        _require_success(answer, key)
        return answer.etag

    def close(self) -> None:
        """Close what is open and idle."""
        while self._idle:
            self._idle.pop().abort()

    async def _ask(self, method: str, key: str, body: bytes) -> StoreAnswer:
        payload = await self._name_payload(body)
        head = encode_head(self._settings, method, key, payload, len(body), datetime.now(UTC))
        connection = self._take_idle()
        try:
            if connection is None:
                connection = await self._connect()
            answer = await connection.ask(head, body)
        except (OSError, UnicodeError) as error:  # a timeout, a wrong certificate, a name that is none as well
            raise BlobStoreUnavailableError(f"the store did not answer for {key}: {_name(error)}") from error
        if connection.may_be_asked:
            connection.idle_since_s = asyncio.get_running_loop().time()
            self._idle.append(connection)
        else:
            connection.abort()
        return answer

    async def _connect(self) -> StoreConnection:
        target = self._target
        async with asyncio.timeout(CONNECT_S):
            _, connection = await asyncio.get_running_loop().create_connection(
                StoreConnection, target.host, target.port, ssl=target.tls
            )
        return connection

    def _take_idle(self) -> StoreConnection | None:
        oldest_s = asyncio.get_running_loop().time() - IDLE_S_MAX
        while self._idle:
            connection = self._idle.pop()
            if connection.may_be_asked and connection.idle_since_s > oldest_s:
                return connection
            connection.abort()
        return None

    async def _name_payload(self, body: bytes) -> str:
        """What the signature says of the body; over TLS or within the machine nothing, which spares hashing it."""
        if self._settings.is_link_private:
            return _UNSIGNED
        if len(body) <= _HASHED_HERE_BYTES:
            return sha256_hex(body)
        return await asyncio.to_thread(sha256_hex, body)


def encode_head(settings: BucketSettings, method: str, key: str, payload: str, body_bytes: int, now: datetime) -> bytes:
    """A request's head, signed for `now` (AWS Signature Version 4); `payload` is what it says of the body's hash."""
    # A port that goes without saying is not said: proxies leave it out of the field that was signed.
    host = settings.endpoint.removesuffix(f":{_usual_port(settings)}")
    path = quote(f"/{settings.bucket}/{key}")
    fields: dict[str, str | list[str] | tuple[str]] = {
        "Host": host,
        "x-amz-content-sha256": payload,
        "x-amz-date": f"{now:%Y%m%dT%H%M%SZ}",
    }
    sign_v4_s3(
        method=method,
        url=urlsplit(f"//{host}{path}"),
        region=settings.region,
        headers=fields,
        credentials=Credentials(settings.access_key, settings.secret_key),
        content_sha256=payload,
        date=now,
    )
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, f"Content-Length: {body_bytes}", "", ""]).encode("latin-1")


def _usual_port(settings: BucketSettings) -> int:
    return 443 if settings.is_secure else 80


def _require_success(answer: StoreAnswer, key: str) -> None:
    if 200 <= answer.status < 300:
        return
    code, message = (
        found[1].decode("utf-8", errors="replace") if (found := pattern.search(answer.body)) else ""
        for pattern in (_CODE, _MESSAGE)
    )
    raise translate_answer(answer.status, code, message, key)


def _name(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
