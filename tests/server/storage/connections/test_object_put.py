"""The connections that PUTs go over: kept, never trusted with a second request when the first left anything open."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
import trustme

from protocol.checksums import sha256_hex
from server.storage import object_put
from server.storage.blob_store import BlobStoreRefusedError, BlobStoreUnavailableError
from server.storage.bucket_settings import BucketSettings
from server.storage.object_put import ObjectPut, encode_head
from server.storage.store_connection import ANSWER_BYTES_MAX
from tests.server.storage.scripted_s3 import answer, s3_error

STORED = answer(200, b"", 'ETag: "e"')


@dataclass
class Wire:
    """A store that keeps connections open: on each, `replies` in their order, one a request; then it says nothing."""

    replies: list[bytes] = field(default_factory=list)
    requests: list[tuple[int, bytes, bytes]] = field(default_factory=list)  # (connection, head, body)
    opened: list[asyncio.StreamWriter] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)
    reads_bodies: bool = True

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(self.opened)
        self.opened.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:"))
                body = await reader.readexactly(length) if self.reads_bodies else b""
                self.requests.append((number, head, body))
                if self.replies:
                    writer.write(self.replies.pop(0))
        except (OSError, asyncio.IncompleteReadError):
            self.ended.append(number)
        finally:
            writer.close()

    @property
    def connections(self) -> list[int]:
        """On which connection each request came."""
        return [number for number, _, _ in self.requests]


@asynccontextmanager
async def listening(wire: Wire, tls: ssl.SSLContext | None = None) -> AsyncIterator[BucketSettings]:
    server = await asyncio.start_server(wire.accept, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    try:
        yield BucketSettings(f"127.0.0.1:{port}", "key", "secret", "bucket", is_secure=tls is not None)
    finally:
        server.close()


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
async def put(wire: Wire) -> AsyncIterator[ObjectPut]:
    async with listening(wire) as settings:
        made = ObjectPut(settings)
        yield made
        made.close()


async def until(is_so: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not is_so():
            await asyncio.sleep(0)


async def test_one_after_another_go_over_one_connection_and_two_at_once_over_two(put: ObjectPut, wire: Wire) -> None:
    wire.replies = [STORED] * 5
    assert [await put.put(f"packs/{number}", b"body") for number in range(3)] == ['"e"'] * 3
    assert wire.connections == [0, 0, 0]
    await asyncio.gather(put.put("packs/3", b"body"), put.put("packs/4", b"body"))
    assert sorted(wire.connections[3:]) == [0, 1]
    assert [body for _, _, body in wire.requests] == [b"body"] * 5


async def test_a_connection_that_the_store_closed_meanwhile_is_replaced(put: ObjectPut, wire: Wire) -> None:
    wire.replies = [STORED, STORED]
    await put.put("packs/a", b"body")
    wire.opened[0].close()
    await wire.opened[0].wait_closed()
    for _ in range(8):  # the end arrives here, too
        await asyncio.sleep(0)
    assert await put.put("packs/b", b"body") == '"e"'
    assert wire.connections == [0, 1]


async def test_one_that_was_idle_for_long_is_not_used_again(
    put: ObjectPut, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire.replies = [STORED, STORED]
    await put.put("packs/a", b"body")
    monkeypatch.setattr(object_put, "IDLE_S_MAX", 0.0)
    await put.put("packs/b", b"body")
    assert wire.connections == [0, 1]
    await until(lambda: wire.ended == [0])


@pytest.mark.parametrize(
    ("reply", "is_kept"),
    [
        (STORED, True),
        (answer(200, b"", 'ETag: "e"', "Connection: close"), False),
        (b'HTTP/1.0 200 Told\r\nETag: "e"\r\nContent-Length: 0\r\n\r\n', False),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + STORED, True),
        (STORED + STORED, False),
        (b'HTTP/1.1 200 Told\r\nETag: "e"\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n', True),
    ],
    ids=["kept open", "to be closed", "of HTTP/1.0", "after a 100", "more than one", "in pieces"],
)
async def test_what_the_answer_leaves_open_decides_over_the_connection(
    put: ObjectPut, wire: Wire, reply: bytes, is_kept: bool
) -> None:
    wire.replies = [reply, STORED]
    assert await put.put("packs/a", b"body") == '"e"'
    assert await put.put("packs/b", b"body") == '"e"'
    assert wire.connections == [0, 0 if is_kept else 1]


async def test_a_refusal_before_the_body_is_over_is_heard_and_ends_the_connection(put: ObjectPut, wire: Wire) -> None:
    wire.reads_bodies = False
    wire.replies = [s3_error(403, "AccessDenied"), STORED]
    with pytest.raises(BlobStoreRefusedError, match="no right to it"):
        await put.put("packs/a", bytes(64 * 1024 * 1024))
    wire.reads_bodies = True
    assert await put.put("packs/b", b"body") == '"e"'
    assert wire.connections == [0, 1]


@pytest.mark.parametrize(
    ("reply", "what"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "no HTTP"),
        (b"HTTP/1.1 200 Told\r\nContent-Length: 5\r\n\r\nhalf", "ended before the answer did"),
        (b"", "ended before the answer did"),
        (b"HTTP/1.1 2", "ended before the answer did"),
    ],
    ids=["another protocol", "cut in its body", "nothing", "cut in its head"],
)
async def test_a_store_that_breaks_off_or_is_none_is_unavailable(
    put: ObjectPut, wire: Wire, reply: bytes, what: str
) -> None:
    wire.replies = [reply]
    putting = asyncio.create_task(put.put("packs/a", b"body"))
    await until(lambda: wire.requests)
    if "HTTP" not in what:
        wire.opened[0].close()
    with pytest.raises(BlobStoreUnavailableError, match=f"did not answer for packs/a: .*{what}"):
        await putting
    wire.replies = [STORED]
    assert await put.put("packs/b", b"body") == '"e"'


async def test_who_gives_up_closes_the_connection(put: ObjectPut, wire: Wire) -> None:
    putting = asyncio.create_task(put.put("packs/a", b"body"))
    await until(lambda: wire.requests)
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    await until(lambda: wire.ended == [0])
    wire.replies = [STORED]
    assert await put.put("packs/b", b"body") == '"e"'
    assert wire.connections == [0, 1]


async def test_closing_it_closes_what_is_idle(put: ObjectPut, wire: Wire) -> None:
    wire.replies = [STORED]
    await put.put("packs/a", b"body")
    put.close()
    await until(lambda: wire.ended == [0])


async def test_of_a_long_page_in_place_of_an_answer_only_the_beginning_is_kept(put: ObjectPut, wire: Wire) -> None:
    page = b"<html>" + bytes(2 * ANSWER_BYTES_MAX) + b"<Code>NoSuchBucket</Code>"
    wire.replies = [answer(502, page)]
    with pytest.raises(BlobStoreUnavailableError, match="answered 502"):
        await put.put("packs/a", b"body")


@pytest.mark.parametrize("size", [4, 1024 * 1024], ids=["small", "hashed beside the loop"])
async def test_a_body_over_a_link_that_others_share_is_signed_with_its_hash(
    wire: Wire, put: ObjectPut, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(BucketSettings, "is_link_private", False)
    wire.replies = [STORED]
    await put.put("packs/a", bytes(size))
    assert sha256_hex(bytes(size)).encode() in wire.requests[0][1]


async def test_check_takes_a_missing_object_and_no_missing_bucket(put: ObjectPut, wire: Wire) -> None:
    wire.replies = [s3_error(404, "NoSuchKey"), answer(200, b"{}"), s3_error(404, "NoSuchBucket"), answer(404, b"")]
    await put.check("installation.json")
    await put.check("installation.json")
    for _ in range(2):
        with pytest.raises((BlobStoreRefusedError, BlobStoreUnavailableError)):
            await put.check("installation.json")
    assert wire.connections == [0] * 4


@pytest.mark.parametrize(
    ("endpoint", "is_secure", "host_field"),
    [
        ("s3.internal:443", True, "s3.internal"),
        ("s3.internal:80", False, "s3.internal"),
        ("s3.internal:80", True, "s3.internal:80"),
        ("s3.internal", True, "s3.internal"),
        ("[::1]:8333", False, "[::1]:8333"),
    ],
)
def test_a_port_that_goes_without_saying_is_not_said(endpoint: str, is_secure: bool, host_field: str) -> None:
    settings = BucketSettings(endpoint, "key", "secret", "bucket", is_secure=is_secure)
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    head = encode_head(settings, "PUT", "packs/a b", "UNSIGNED-PAYLOAD", 4, now).decode()
    assert head.startswith(f"PUT /bucket/packs/a%20b HTTP/1.1\r\nHost: {host_field}\r\n")
    assert head.endswith("\r\nContent-Length: 4\r\n\r\n")
    assert "x-amz-date: 20260102T030405Z\r\n" in head


@pytest.mark.parametrize("host", ["nowhere.invalid", "a" * 70 + ".invalid"], ids=["unknown", "no name"])
async def test_a_host_that_cannot_be_found_is_unavailable(host: str) -> None:
    put = ObjectPut(BucketSettings(f"{host}:80", "key", "secret", "bucket", is_secure=False))
    with pytest.raises(BlobStoreUnavailableError):
        await put.put("packs/a", b"body")


@pytest.mark.parametrize("is_trusted", [True, False])
async def test_over_tls_only_a_store_with_a_trusted_certificate_gets_anything(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, is_trusted: bool
) -> None:
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    wire.replies = [STORED, STORED]
    async with listening(wire, tls) as settings:
        put = ObjectPut(settings)
        if is_trusted:
            for _ in range(2):
                assert await put.put("packs/a", bytes(1024 * 1024)) == '"e"'
            assert wire.connections == [0, 0]
        else:
            with pytest.raises(BlobStoreUnavailableError, match="certificate verify failed"):
                await put.put("packs/a", b"body")
            assert wire.requests == []
        put.close()
