"""A chunk whose body was hashed here and is the one its sender meant: nothing else is ever stored."""

import asyncio
from typing import Final, NamedTuple

from protocol.checksums import sha256
from protocol.errors import ErrorCode
from server.ingest.ingest import IncomingChunk
from server.refusal import Refusal

# Larger bodies are hashed in a thread: 256 KiB take about a quarter of a millisecond of the event loop.
_HASH_IN_THREAD_BYTES: Final = 256 * 1024


class CheckedChunk(NamedTuple):
    """The chunk and the 32 bytes of its body's SHA-256."""

    chunk: IncomingChunk
    digest: bytes


async def check_chunk(chunk: IncomingChunk) -> CheckedChunk:
    """Hash the body. Raises `Refusal`: chunk-empty, digest-mismatch."""
    if len(chunk.body) > _HASH_IN_THREAD_BYTES:
        return _judge(chunk, await asyncio.to_thread(sha256, chunk.body))
    return check_small_chunk(chunk)


def check_small_chunk(chunk: IncomingChunk) -> CheckedChunk:
    """As `check_chunk`, without waiting, for a body so small that hashing it holds nobody up."""
    return _judge(chunk, sha256(chunk.body))


def _judge(chunk: IncomingChunk, digest: bytes) -> CheckedChunk:
    if not chunk.body:
        raise Refusal(ErrorCode.CHUNK_EMPTY, "the body is empty", next_step="A chunk has at least one byte.")
    if chunk.sha256 is not None and digest != chunk.sha256:
        raise Refusal(
            ErrorCode.DIGEST_MISMATCH,
            f"{len(chunk.body)} bytes with sha256 {digest.hex()} arrived; Content-Digest says {chunk.sha256.hex()}",
            next_step="The bytes changed on the way: send them again. Nothing was stored.",
            chunks=[chunk.chunk_index],
        )
    return CheckedChunk(chunk, digest)
