"""One recording's documents, the same in bucket and ledger: what one side lost is written again from the other.

    1 tombstone         first of all, either way: what its user deleted never comes back
    2 recording.json    either way; a lost row is registered again under its newest title
    3 certificate.json  either way; it is decided once, so whoever has it is right
    4 state             a damaged recording whose chunks have all come back, whatever brought them, is complete again

Each is read afresh before it is written, and nothing that stands is overwritten (I11).
"""

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from uuid import UUID

import msgspec

from protocol.merkle import merkle_root
from protocol.states import FindingKind, RecordingState
from protocol.wire import Certificate, RecordingRegistration, Tombstone
from server.audit.tally import Tally
from server.recordings.documents import Documents
from server.recordings.titles import Titles
from server.refusal import Refusal
from server.storage.audit_ledger import AuditedRecording, AuditLedger, NewFinding
from server.storage.blob_store import BlobInfo, BlobStore
from server.storage.keys import CertificateKey, RecordingKey, TombstoneKey
from server.storage.ledger import Ledger

_log = logging.getLogger(__name__)

_Document = TypeVar("_Document", RecordingRegistration, Certificate, Tombstone)


@dataclass(slots=True)
class ListedRecording:
    """Which of a recording's documents the bucket listed."""

    registration: BlobInfo | None = None
    has_certificate: bool = False
    has_tombstone: bool = False


class RecordingRepair:
    """Raises `BlobStoreError`, `LedgerError`."""

    def __init__(self, ledger: Ledger, audit_ledger: AuditLedger, store: BlobStore) -> None:
        self._ledger = ledger
        self._audit_ledger = audit_ledger
        self._documents = Documents(store)
        self._titles = Titles(store)

    async def repair(
        self,
        recording_id: UUID,
        listed: ListedRecording,
        row: AuditedRecording | None,
        tally: Tally,
        registered_before: datetime,
    ) -> None:
        """Make both sides say the same. Rows are registered again from documents older than `registered_before`."""
        # 1 tombstone
        if listed.has_tombstone or (row is not None and row.state is RecordingState.DELETED):
            await self._repair_tombstone(recording_id, listed, row, tally)
            return
        # 2 recording.json
        if row is None:
            is_old = listed.registration is not None and listed.registration.modified_at < registered_before
            if not is_old or not await self._register(recording_id, tally):
                return
        elif listed.registration is None:
            documents = await self._audit_ledger.read_documents(recording_id)
            if documents is not None and documents.document is not None:
                await self._keep(RecordingKey(recording_id), documents.document, tally)
        # 3 certificate.json
        has_certificate = row is not None and row.has_certificate
        if has_certificate and not (listed.has_certificate and row is not None and row.is_certificate_stored):
            documents = await self._audit_ledger.read_documents(recording_id)
            if documents is not None and documents.certificate is not None:
                await self._keep(CertificateKey(recording_id), documents.certificate, tally)
                await self._ledger.mark_certificate_stored(recording_id)
        elif listed.has_certificate and not has_certificate:
            await self._restore_certificate(recording_id, tally)
        # 4 state
        if row is not None and row.state is RecordingState.DAMAGED:
            await self._audit_ledger.complete_again(recording_id)

    async def _repair_tombstone(
        self, recording_id: UUID, listed: ListedRecording, row: AuditedRecording | None, tally: Tally
    ) -> None:
        key = TombstoneKey(recording_id)
        if row is None or row.state is not RecordingState.DELETED:
            tombstone = await self._read(key, Tombstone)
            if tombstone is not None and tombstone[1].recording_id == recording_id:
                await self._ledger.delete_recording(recording_id, tombstone[0])
                await self._note_restored(key, tally, "the ledger had lost it, and deletes the recording again")
        elif not listed.has_tombstone:
            documents = await self._audit_ledger.read_documents(recording_id)
            if documents is not None and documents.tombstone is not None:
                await self._keep(key, documents.tombstone, tally)

    async def _register(self, recording_id: UUID, tally: Tally) -> bool:
        key = RecordingKey(recording_id)
        found = await self._read(key, RecordingRegistration)
        if found is None or found[1].recording_id != recording_id:
            return False
        document, registration = found
        # With the row itself: whoever died between the two would leave the older title for good.
        newest = await self._find_title(recording_id)
        is_new = await self._ledger.register_recording(
            recording_id=recording_id,
            mime_type=registration.mime_type,
            title=registration.title if newest is None else newest,
            started_at=registration.started_at,
            document=document,
        )
        if is_new:
            await self._note_restored(key, tally, "the ledger had lost its row, which is registered again")
        return True

    async def _find_title(self, recording_id: UUID) -> str | None:
        """The newest one; one that cannot be read keeps nothing else from coming back."""
        try:
            return await self._titles.find_newest(recording_id)
        except Refusal as refusal:
            finding = NewFinding(FindingKind.MISMATCHED, refusal.detail, recording_id=recording_id)
            await self._audit_ledger.note_finding(finding)
            return None

    async def _restore_certificate(self, recording_id: UUID, tally: Tally) -> None:
        key = CertificateKey(recording_id)
        found = await self._read(key, Certificate)
        if found is None:
            return
        document, certificate = found
        root = await asyncio.to_thread(merkle_root, certificate.manifest.chunks)
        if certificate.recording_id != recording_id or root.hex() != certificate.root:
            await self._note_spoiled(key, "its root is not that of its manifest")
            return
        if await self._audit_ledger.restore_certificate(recording_id, document, len(certificate.manifest.chunks)):
            await self._note_restored(key, tally, "the ledger had lost it")

    async def _keep(self, key: RecordingKey | CertificateKey | TombstoneKey, document: bytes, tally: Tally) -> None:
        """The bucket's copy, from the ledger's, unless one stands after all."""
        before = await self._documents.find(key.text)
        if before is None:
            await self._documents.keep(key.text, document)
            await self._note_restored(key, tally, "the bucket had lost it")
        elif before != document:
            await self._note_spoiled(key, "it is not what the ledger keeps")

    async def _read(
        self, key: RecordingKey | CertificateKey | TombstoneKey, kind: type[_Document]
    ) -> tuple[bytes, _Document] | None:
        document = await self._documents.find(key.text)
        if document is None:
            return None
        try:
            return document, msgspec.json.decode(document, type=kind)
        except msgspec.MsgspecError as error:
            await self._note_spoiled(key, f"it cannot be read: {error}")
            return None

    async def _note_restored(
        self, key: RecordingKey | CertificateKey | TombstoneKey, tally: Tally, detail: str
    ) -> None:
        tally.restored += 1
        _log.warning("document restored", extra={"key": key.text, "recording_id": str(key.recording_id)})
        finding = NewFinding(
            FindingKind.MISSING, detail, object_key=key.text, recording_id=key.recording_id, is_resolved=True
        )
        await self._audit_ledger.note_finding(finding)

    async def _note_spoiled(self, key: RecordingKey | CertificateKey | TombstoneKey, detail: str) -> None:
        finding = NewFinding(FindingKind.MISMATCHED, detail, object_key=key.text, recording_id=key.recording_id)
        if await self._audit_ledger.note_finding(finding):
            _log.error("document spoiled", extra={"key": key.text, "detail": detail})
