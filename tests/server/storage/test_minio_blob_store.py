"""What the bucket's adapter makes of a store that fails, is silent, lies, or is not the one that was meant."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from hashlib import sha256

import pytest

from server.storage import minio_blob_store, s3_client
from server.storage.blob_store import (
    BlobNotFoundError,
    BlobStore,
    BlobStoreRefusedError,
    BlobStoreUnavailableError,
)
from server.storage.bucket_settings import BucketSettings
from server.storage.minio_blob_store import MinioBlobStore
from tests.server.storage.scripted_s3 import ScriptedS3, answer, s3_error, scripted_s3

CALLS: dict[str, Callable[[BlobStore], Awaitable[object]]] = {
    "put": lambda store: store.put("packs/a", b"body"),
    "get": lambda store: store.get("packs/a"),
    "get_range": lambda store: store.get_range("packs/a", 0, 1),
    "head": lambda store: store.head("packs/a"),
    "list_page": lambda store: store.list_page("packs/", "", 10),
    "delete": lambda store: store.delete("packs/a"),
    "check": lambda store: store.check(),
}


@pytest.fixture
async def s3() -> AsyncIterator[ScriptedS3]:
    async with scripted_s3() as script:
        yield script


@pytest.fixture
async def store(s3: ScriptedS3) -> AsyncIterator[MinioBlobStore]:
    made = MinioBlobStore(s3.settings, threads=2)
    yield made
    await made.close()


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(("status", "code"), [(500, "InternalError"), (503, "SlowDown"), (429, "TooManyRequests")])
async def test_a_failing_store_is_unavailable_and_asked_once(
    store: MinioBlobStore, s3: ScriptedS3, call: Callable[[BlobStore], Awaitable[object]], status: int, code: str
) -> None:
    s3.reply = s3_error(status, code)
    with pytest.raises(BlobStoreUnavailableError):
        await call(store)
    assert len(s3.requests) == 1, "no hidden retries"


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_proxy_that_answers_something_else_is_unavailable(
    store: MinioBlobStore, s3: ScriptedS3, call: Callable[[BlobStore], Awaitable[object]]
) -> None:
    s3.reply = answer(502, b"<html>Bad Gateway</html>", "Content-Type: text/html")
    with pytest.raises(BlobStoreUnavailableError):
        await call(store)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_store_that_is_away_is_unavailable(call: Callable[[BlobStore], Awaitable[object]]) -> None:
    away = MinioBlobStore(BucketSettings("127.0.0.1:1", "key", "secret", "bucket", is_secure=False), threads=1)
    with pytest.raises(BlobStoreUnavailableError):
        await call(away)
    await away.close()


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_silent_store_is_given_up_at_the_deadline(
    s3: ScriptedS3, call: Callable[[BlobStore], Awaitable[object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PUT_S", "GET_S", "LIST_S", "SMALL_CALL_S"):
        monkeypatch.setattr(minio_blob_store, name, 0.1)
    # The thread gives up a little later than its caller.
    monkeypatch.setattr(s3_client, "PUT_S", 0.3)
    store = MinioBlobStore(s3.settings, threads=1)
    with pytest.raises(BlobStoreUnavailableError, match="within"):
        await call(store)
    await store.close()


async def test_a_body_that_is_cut_off_is_never_returned(store: MinioBlobStore, s3: ScriptedS3) -> None:
    s3.reply = answer(200, b"half", 'ETag: "e"', length=8)
    with pytest.raises(BlobStoreUnavailableError):
        await store.get("packs/a")


async def test_a_put_without_an_etag_is_not_believed(store: MinioBlobStore, s3: ScriptedS3) -> None:
    s3.reply = answer(200, b"")
    with pytest.raises(BlobStoreUnavailableError, match="ETag"):
        await store.put("packs/a", b"body")


async def test_a_large_body_goes_in_one_request(store: MinioBlobStore, s3: ScriptedS3) -> None:
    s3.reply = answer(200, b"", 'ETag: "e"')
    assert await store.put("packs/a", bytes(8 * 1024 * 1024)) == "e"
    assert len(s3.requests) == 1 and s3.requests[0].startswith("PUT /bucket/packs/a")


async def test_bytes_are_hashed_for_the_signature_only_where_somebody_could_change_them(
    s3: ScriptedS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.reply = answer(200, b"", 'ETag: "e"')
    for is_private in (True, False):
        monkeypatch.setattr(BucketSettings, "is_link_private", is_private)
        store = MinioBlobStore(s3.settings, threads=1)
        await store.put("packs/a", b"body")
        await store.close()
    private, open_to_others = s3.heads
    assert "x-amz-content-sha256: UNSIGNED-PAYLOAD\r\n" in private
    assert f"x-amz-content-sha256: {sha256(b'body').hexdigest()}\r\n" in open_to_others


@pytest.mark.parametrize(
    ("endpoint", "is_secure", "is_private"),
    [
        ("s3.internal", True, True),
        ("127.0.0.1:8333", False, True),
        ("[::1]:8333", False, True),
        ("localhost:8333", False, True),
        ("s3.internal:8333", False, False),
        ("10.0.0.7:8333", False, False),
        ("localhost.example:80", False, False),
    ],
)
def test_a_link_is_private_by_tls_or_within_the_machine(endpoint: str, is_secure: bool, is_private: bool) -> None:
    settings = BucketSettings(endpoint, "key", "secret", "bucket", is_secure=is_secure)
    assert settings.is_link_private is is_private


async def test_a_listing_out_of_order_is_refused(store: MinioBlobStore, s3: ScriptedS3) -> None:
    item = (
        "<Contents><Key>{}</Key><LastModified>2026-11-23T09:30:00Z</LastModified>"
        "<ETag>e</ETag><Size>1</Size></Contents>"
    )
    listed = "".join(item.format(key) for key in ("packs/b", "packs/a"))
    body = f"<ListBucketResult><Name>b</Name><IsTruncated>false</IsTruncated>{listed}</ListBucketResult>".encode()
    s3.reply = answer(200, body, "Content-Type: application/xml")
    with pytest.raises(BlobStoreRefusedError, match="out of byte order"):
        await store.list_page("packs/", "", 10)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_bucket_that_does_not_exist_is_refused_with_what_to_check(
    bucket_settings: BucketSettings, call: Callable[[BlobStore], Awaitable[object]]
) -> None:
    """A wrong bucket must never look like one that lost every object."""
    store = MinioBlobStore(replace(bucket_settings, bucket="no-such-bucket"), threads=1)
    with pytest.raises(BlobStoreRefusedError, match="HOLDFAST_S3_BUCKET"):
        await call(store)
    await store.close()


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("is_key_known", [True, False])
async def test_wrong_credentials_are_refused(
    bucket_settings: BucketSettings, call: Callable[[BlobStore], Awaitable[object]], is_key_known: bool
) -> None:
    wrong = replace(bucket_settings, secret_key="wrong") if is_key_known else replace(bucket_settings, access_key="no")
    store = MinioBlobStore(wrong, threads=1)
    with pytest.raises(BlobStoreRefusedError):
        await call(store)
    await store.close()


async def test_ensure_bucket_makes_it_once(bucket_settings: BucketSettings) -> None:
    store = MinioBlobStore(replace(bucket_settings, bucket=f"{bucket_settings.bucket}-new"), threads=1)
    with pytest.raises(BlobStoreRefusedError):
        await store.check()
    await store.ensure_bucket()
    await store.put("packs/a", b"kept")
    await store.ensure_bucket()
    await store.check()
    assert await store.get("packs/a") == b"kept"
    await store.close()


@pytest.mark.parametrize("body", [b"<html>please log in", b"<html></html>", b"{}", b""])
async def test_a_page_in_place_of_a_listing_is_unavailable(store: MinioBlobStore, s3: ScriptedS3, body: bytes) -> None:
    s3.reply = answer(200, body, "Content-Type: text/html")
    with pytest.raises(BlobStoreUnavailableError):
        await store.list_page("packs/", "", 10)


@pytest.mark.parametrize("bucket", ["", "a", "no spaces"])
def test_a_bucket_name_that_cannot_be_is_refused_with_what_to_check(bucket: str) -> None:
    with pytest.raises(BlobStoreRefusedError, match="HOLDFAST_S3_BUCKET"):
        MinioBlobStore(BucketSettings("127.0.0.1:9000", "key", "secret", bucket, is_secure=False))


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9000/path", "127.0.0.1:port", ""])
def test_an_endpoint_that_cannot_be_is_refused_with_what_to_check(endpoint: str) -> None:
    with pytest.raises(BlobStoreRefusedError, match="HOLDFAST_S3_ENDPOINT"):
        MinioBlobStore(BucketSettings(endpoint, "key", "secret", "bucket", is_secure=False))


async def test_calls_never_use_more_threads_than_the_store_has(bucket_settings: BucketSettings) -> None:
    store = MinioBlobStore(bucket_settings, threads=3)
    await asyncio.gather(*(store.put(f"packs/{number:02d}", b"x") for number in range(20)))
    assert sum(thread.name.startswith("bucket") for thread in threading.enumerate()) <= 3
    await store.close()


async def test_a_repr_never_shows_the_secret(bucket_settings: BucketSettings) -> None:
    assert bucket_settings.secret_key not in repr(bucket_settings)


async def test_an_object_lost_behind_our_back_is_not_found(bucket_settings: BucketSettings) -> None:
    store = MinioBlobStore(bucket_settings, threads=1)
    await store.put("packs/a", b"x")
    await store.delete("packs/a")
    with pytest.raises(BlobNotFoundError, match="packs/a"):
        await store.get("packs/a")
    await store.close()
