"""An HTTP server that answers every S3 call as a test tells it to: with a status, with silence, or half."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from server.storage.bucket_settings import BucketSettings


def s3_error(status: int, code: str) -> bytes:
    """An answer as S3 gives it."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>told to</Message></Error>".encode()
    return answer(status, body, "Content-Type: application/xml")


def answer(status: int, body: bytes, *headers: str, length: int | None = None) -> bytes:
    """A whole answer; `length` states another Content-Length than the body has."""
    lines = [f"HTTP/1.1 {status} Told", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass
class ScriptedS3:
    """`reply` is sent for each request, then the connection closed; None says nothing at all."""

    reply: bytes | None = None
    requests: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    settings: BucketSettings = field(init=False)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.requests.append(head.split("\r\n", 1)[0])
            self.heads.append(head)
            if self.reply is None:
                await reader.read()  # until the client gives up
                return
            length = next(
                (int(line[15:]) for line in head.split("\r\n") if line.lower().startswith("content-length")), 0
            )
            await reader.readexactly(length)
            writer.write(self.reply)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def scripted_s3() -> AsyncIterator[ScriptedS3]:
    """A started server, stopped at the end."""
    script = ScriptedS3()
    server = await asyncio.start_server(script.accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    script.settings = BucketSettings(f"127.0.0.1:{port}", "key", "secret", "bucket", is_secure=False)
    try:
        yield script
    finally:
        server.close()
