"""Recordings, objects, chunks and manifests for the ledger's tests, each made of a number."""

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import msgspec
from msgspec import structs

from protocol.ids import loose_recording_id, make_uuid7
from protocol.merkle import merkle_root
from protocol.states import Ending
from protocol.wire import Certificate, Manifest, ManifestEntry, ManifestRun
from server.storage.ledger import Acknowledged, Ledger, NewChunk, NewObject, Outcome, Refused, StoredChunk

STARTED_AT = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
CHUNK_BYTES = 1_000


def recording_id_of(number: int) -> UUID:
    """A recording's id; a higher number is a later one."""
    return make_uuid7(1_700_000_000_000 + number, b"recording!")


def object_of(number: int, size: int = 50_000) -> NewObject:
    """A pack with the object id of `number`."""
    object_id = make_uuid7(1_800_000_000_000 + number, b"object-id!")
    return NewObject(object_id, f"packs/2027/01/15/{object_id}.pack", size, f"etag-{number}")


def sha256_of(index: int, version: int = 0) -> bytes:
    """The digest of the chunk's content; another `version` is another content."""
    return hashlib.sha256(f"{index}/{version}".encode()).digest()


def chunk_of(
    index: int,
    stored: NewObject,
    *,
    recording: int = 1,
    run: int = 0,
    version: int = 0,
    offset: int | None = None,
    size: int = CHUNK_BYTES,
) -> NewChunk:
    """Chunk `index` of a recording, in `stored`."""
    at = 12 + index * CHUNK_BYTES if offset is None else offset
    return NewChunk(recording_id_of(recording), index, run, stored.object_id, at, size, sha256_of(index, version))


def loose_chunk_of(chunk_id: str, stored: NewObject, version: int = 0) -> NewChunk:
    """The chunk of the assignment's JSON route."""
    digest = hashlib.sha256(f"{chunk_id}/{version}".encode()).digest()
    return NewChunk(loose_recording_id(chunk_id), 0, 0, stored.object_id, 12, CHUNK_BYTES, digest, chunk_id)


def entry_of(index: int, *, run: int = 0, version: int = 0, size: int = CHUNK_BYTES) -> ManifestEntry:
    """The manifest's entry of `chunk_of(index)`."""
    return ManifestEntry(run=run, chunk_index=index, size=size, sha256=sha256_of(index, version).hex())


def certificate_of(entries: Sequence[ManifestEntry], recording: int = 1, server_version: str = "1") -> bytes:
    """The bytes of a certificate over the entries."""
    certificate = Certificate(
        recording_id=recording_id_of(recording),
        root=merkle_root(entries).hex(),
        chunk_count=len(entries),
        byte_count=sum(entry.size for entry in entries),
        manifest=Manifest(
            runs=[ManifestRun(run=0, mime_type="audio/webm")], chunks=list(entries), ended=Ending.STOPPED
        ),
        started_at=STARTED_AT,
        certified_at=STARTED_AT,
        server_version=server_version,
    )
    return msgspec.json.encode(certificate)


async def register(ledger: Ledger, recording: int = 1, started_at: datetime = STARTED_AT) -> UUID:
    """Register the recording of that number."""
    recording_id = recording_id_of(recording)
    await ledger.register_recording(
        recording_id=recording_id,
        mime_type="audio/webm;codecs=opus",
        title=f"take {recording}",
        started_at=started_at,
        document=f"document {recording}".encode(),
    )
    return recording_id


async def store(ledger: Ledger, count: int, *, recording: int = 1, object_number: int = 1) -> list[Outcome]:
    """Acknowledge chunks 0 to `count` in one pack of a registered recording."""
    stored = object_of(object_number)
    return await ledger.acknowledge([stored], [chunk_of(index, stored, recording=recording) for index in range(count)])


async def store_coming(ledger: Ledger, count: int, *, recording: int = 1, object_number: int = 1) -> list[Outcome]:
    """As `store`, while the pack is on its way and arrives as soon as anybody waits for it."""
    stored = object_of(object_number)
    etag = asyncio.get_running_loop().create_future()
    etag.get_loop().call_soon(etag.set_result, stored.etag)
    chunks = [chunk_of(index, stored, recording=recording) for index in range(count)]
    return await ledger.acknowledge_coming(structs.replace(stored, etag=""), etag, chunks)


async def complete(ledger: Ledger, count: int, *, recording: int = 1, object_number: int = 1) -> list[ManifestEntry]:
    """Register, store, verify and certify a recording of `count` chunks; its manifest's entries."""
    await register(ledger, recording)
    await store(ledger, count, recording=recording, object_number=object_number)
    stored = object_of(object_number)
    await ledger.mark_verified(stored.object_id, stored.etag)
    entries = [entry_of(index) for index in range(count)]
    await ledger.decide_certificate(recording_id_of(recording), entries, certificate_of(entries, recording))
    return entries


def accepted(outcome: Outcome) -> Acknowledged:
    """The outcome, which must be an acknowledgement."""
    assert isinstance(outcome, Acknowledged), outcome
    return outcome


def refused(outcome: Outcome) -> Refused:
    """The outcome, which must be a refusal."""
    assert isinstance(outcome, Refused), outcome
    return outcome


async def row_of(ledger: Ledger, index: int = 0, recording: int = 1) -> StoredChunk:
    """The row of that chunk, which must exist."""
    return (await ledger.find_chunks(recording_id_of(recording), [index]))[index].chunk
