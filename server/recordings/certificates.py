"""The one certificate of a recording: decided in the ledger, stored in the bucket, only then shown."""

import asyncio
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from protocol.errors import ErrorCode
from protocol.merkle import merkle_root
from protocol.wire import Certificate, Manifest
from server.recordings.documents import Documents, read_document
from server.recordings.manifest_rules import is_same_content
from server.refusal import Refusal
from server.storage.blob_store import BlobStore
from server.storage.keys import CertificateKey
from server.storage.ledger import Decided, Ledger

# The root of more entries is computed in a thread: 1,000 take about 2 ms of the event loop.
_ROOT_IN_THREAD_CHUNKS: Final = 1_000


class Certificates:
    """Certificates in bucket and ledger. Methods raise `Refusal`, `BlobStoreError`, `LedgerError`."""

    def __init__(self, ledger: Ledger, store: BlobStore) -> None:
        self._ledger = ledger
        self._documents = Documents(store)

    async def find_in_bucket(self, recording_id: UUID) -> bytes | None:
        """A certificate that the bucket holds and a ledger may have lost: it was there first, so it counts."""
        return await self._documents.find(CertificateKey(recording_id).text)

    async def publish(self, recording_id: UUID, decided: Decided) -> bytes:
        """The certificate's bytes, after the bucket has them; heals a crash between deciding and storing."""
        if decided.is_stored:
            return decided.certificate
        key = CertificateKey(recording_id).text
        standing = await self._documents.keep(key, decided.certificate)
        if standing != decided.certificate:
            raise Refusal(
                ErrorCode.STORE_MISMATCH,
                f"the bucket's {key} is not the certificate that the ledger decided",
                next_step="An operator must compare the two; nothing here overwrites either.",
                retry_after_s=60,
            )
        await self._ledger.mark_certificate_stored(recording_id)
        return decided.certificate


async def build_certificate(
    recording_id: UUID, manifest: Manifest, *, started_at: datetime, certified_at: datetime, server_version: str
) -> bytes:
    """The bytes of a new certificate.json."""
    if len(manifest.chunks) > _ROOT_IN_THREAD_CHUNKS:
        root = await asyncio.to_thread(merkle_root, manifest.chunks)
    else:
        root = merkle_root(manifest.chunks)
    return msgspec.json.encode(
        Certificate(
            recording_id=recording_id,
            root=root.hex(),
            chunk_count=len(manifest.chunks),
            byte_count=sum(entry.size for entry in manifest.chunks),
            manifest=manifest,
            started_at=started_at,
            certified_at=certified_at,
            server_version=server_version,
        )
    )


def require_certified(recording_id: UUID, certificate: bytes, manifest: Manifest) -> None:
    """Raise `Refusal` (MANIFEST_DIFFERS) where the certificate is about another manifest."""
    held = read_document(CertificateKey(recording_id).text, certificate, Certificate).manifest
    if not is_same_content(held, manifest):
        raise Refusal(
            ErrorCode.MANIFEST_DIFFERS,
            f"recording {recording_id} is certified with another manifest, of {len(held.chunks)} chunks",
            next_step="The certificate never changes; GET …/certificate shows what it says.",
        )
