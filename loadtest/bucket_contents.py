"""Reads every chunk that a bucket holds, by docs/FORMATS.md alone: own objects and packs.

An auditor's second reading, which shares no code with the server: a mistake in the server's own reader cannot hide
here. What has another form is given back as strange, never skipped.
"""

import hashlib
import re
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import msgspec
import urllib3
from minio import Minio

_CHUNK_KEY: Final = re.compile(r"chunks/([0-9a-f-]{36})/(\d{8})-(\d{4})-([0-9a-f]{64})-[0-9a-f-]{36}")
_PACK_KEY: Final = re.compile(r"packs/\d{4}/\d\d/\d\d/[0-9a-f-]{36}\.pack")
# What else FORMATS.md names; it holds no chunks.
_OTHER_KEY: Final = re.compile(
    r"holdfast\.json|recordings/[0-9a-f-]{36}/[a-z0-9/-]+\.(?:json|webm|mp4|mkv|jpg)|voids/[0-9a-f-]{36}\.json|probes/[0-9a-f-]{36}"
)
_PACK_HEAD: Final = struct.pack(">8sHH", b"HFPACK\r\n", 1, 0)
_PACK_FOOT: Final = struct.Struct(">QI32s8s")
_READERS: Final = 8
_READ_AHEAD: Final = 256  # objects whose bodies are in memory at once


@dataclass(frozen=True)
class FoundChunk:
    """One chunk in the bucket: where it lies, what key or index say of it, and its bytes."""

    key: str
    offset: int
    recording_id: UUID
    chunk_index: int
    run: int
    sha256: str
    body: bytes


@dataclass(frozen=True)
class StrangeObject:
    """An object that is no chunk, no pack and nothing else that FORMATS.md names, or a pack that cannot be read."""

    key: str
    reason: str


class Bucket:
    """A bucket by its address and credentials; `endpoint` is host:port, plain HTTP unless `is_secure`."""

    def __init__(
        self, *, endpoint: str, access_key: str, secret_key: str, bucket: str, is_secure: bool = False
    ) -> None:
        timeout = urllib3.Timeout(connect=5, read=60)
        self._pool = urllib3.PoolManager(timeout=timeout, maxsize=_READERS, retries=urllib3.Retry(3))
        self._minio = Minio(
            endpoint, access_key=access_key, secret_key=secret_key, secure=is_secure, http_client=self._pool
        )
        self._bucket = bucket

    def close(self) -> None:
        """Release the connections."""
        self._pool.clear()

    def list_keys(self) -> list[str]:
        """Every key, in the bucket's order."""
        listing = self._minio.list_objects(self._bucket, recursive=True)
        return [item.object_name for item in listing if item.object_name is not None]

    def get(self, key: str) -> bytes:
        """The whole object."""
        response = self._minio.get_object(self._bucket, key)
        try:
            body: bytes = response.read()
            return body
        finally:
            response.close()
            response.release_conn()

    def read_all(self) -> Iterator[FoundChunk | StrangeObject]:
        """Every chunk of every object, each object read whole and once."""
        keys = [key for key in self.list_keys() if not _OTHER_KEY.fullmatch(key)]
        with ThreadPoolExecutor(_READERS) as readers:
            for begin in range(0, len(keys), _READ_AHEAD):
                window = keys[begin : begin + _READ_AHEAD]
                for key, body in zip(window, readers.map(self.get, window), strict=True):
                    yield from read_object(key, body)


def read_object(key: str, body: bytes) -> Iterator[FoundChunk | StrangeObject]:
    """The chunks of one object."""
    if match := _CHUNK_KEY.fullmatch(key):
        recording_id, chunk_index, run, sha256 = match.groups()
        yield FoundChunk(key, 0, UUID(recording_id), int(chunk_index), int(run), sha256, body)
    elif _PACK_KEY.fullmatch(key):
        yield from read_pack(key, body)
    else:
        yield StrangeObject(key, "its key has no form that docs/FORMATS.md names")


def read_pack(key: str, pack: bytes) -> Iterator[FoundChunk | StrangeObject]:
    """The chunks of a pack, by its index."""
    if len(pack) < len(_PACK_HEAD) + _PACK_FOOT.size or not pack.startswith(_PACK_HEAD):
        yield StrangeObject(key, "it does not begin as a pack of version 1 does")
        return
    index_at, index_size, checksum, magic = _PACK_FOOT.unpack_from(pack, len(pack) - _PACK_FOOT.size)
    index = pack[index_at : index_at + index_size]
    if magic != b"\n\rKCAPFH" or index_at + index_size + _PACK_FOOT.size != len(pack):
        yield StrangeObject(key, "its footer does not fit it")
    elif hashlib.sha256(_PACK_HEAD + index).digest() != checksum:
        yield StrangeObject(key, "its index does not have the footer's SHA-256")
    else:
        for recording_id, chunk_index, run, offset, size, sha256, _ in msgspec.msgpack.decode(index):
            body = pack[offset : offset + size]
            yield FoundChunk(key, offset, UUID(bytes=recording_id), chunk_index, run, sha256.hex(), body)
