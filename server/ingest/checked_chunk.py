"""A chunk whose body was hashed here and is the one its sender meant: nothing else is ever stored."""

from msgspec import Struct

from protocol.checksums import sha256
from protocol.errors import ErrorCode
from server.ingest.ingest import IncomingChunk
from server.refusal import Refusal


class CheckedChunk(Struct, frozen=True, gc=False):
    """The chunk and the 32 bytes of its body's SHA-256."""

    chunk: IncomingChunk
    digest: bytes


def check_chunk(chunk: IncomingChunk) -> CheckedChunk:
    """Hash the body, unless it was hashed as it came. Raises `Refusal`: chunk-empty, digest-mismatch."""
    digest = chunk.hashed or sha256(chunk.body)
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
