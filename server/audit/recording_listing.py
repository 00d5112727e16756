"""Recordings: the documents under `recordings/` against the ledger's rows in order of their ids, both ways."""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from protocol.states import FindingKind
from server.audit.foreign import ForeignObjects
from server.audit.recording_repair import ListedRecording, RecordingRepair
from server.audit.tally import Tally
from server.storage.audit_ledger import AuditedRecording, AuditLedger, NewFinding
from server.storage.blob_store import LIST_PAGE_MAX, BlobInfo, BlobStore
from server.storage.keys import (
    RECORDINGS_PREFIX,
    CertificateKey,
    ChunkKey,
    InstallationKey,
    InvalidKeyError,
    PackKey,
    ProbeKey,
    RecordingKey,
    TombstoneKey,
    VoidKey,
    parse_key,
    recording_prefix,
)
from server.storage.ledger import LIST_ROWS_MAX

_log = logging.getLogger(__name__)

# Above every key of a recording: they go on with a letter.
_LAST: Final = "~"


class RecordingListing:
    """Audits one page of recordings at a time."""

    def __init__(
        self,
        audit_ledger: AuditLedger,
        store: BlobStore,
        repair: RecordingRepair,
        foreign: ForeignObjects,
        *,
        stalled_after_s: float,
    ) -> None:
        self._audit_ledger = audit_ledger
        self._store = store
        self._repair = repair
        self._foreign = foreign
        self._stalled_after_s = stalled_after_s

    async def audit_page(self, after: str, tally: Tally, registered_before: datetime) -> str | None:
        """The page after the place `after` ("" at first); where it ended, None at the last.

        A place is the last recording that is done and the key from which the bucket is listed on.
        """
        last_id, _, key = after.partition(" ")
        done = UUID(last_id) if last_id else None
        blobs = await self._store.list_page(RECORDINGS_PREFIX, key or RECORDINGS_PREFIX, LIST_PAGE_MAX)
        listed, foreign = _group(blobs)
        is_last = len(blobs) < LIST_PAGE_MAX
        ids = sorted(recording_id for recording_id in listed if done is None or recording_id > done)
        if is_last:
            up_to = None
        elif not ids:  # a page of foreign objects, or of one recording's many titles
            await self._note_foreign(foreign, tally)
            return f"{last_id} {blobs[-1].key}"
        else:
            # What follows in the bucket may still belong to the last one.
            up_to = ids[-2] if len(ids) > 1 else ids[-1]
        rows = await self._audit_ledger.list_recordings(after=done, up_to=up_to, limit=LIST_ROWS_MAX)
        if len(rows) == LIST_ROWS_MAX:
            up_to, is_last = rows[-1].recording_id, False
        await self._repair_all(listed, rows, [i for i in ids if up_to is None or i <= up_to], tally, registered_before)
        await self._settle_stalled(done, up_to, tally)
        if is_last or up_to is None:
            await self._note_foreign(foreign, tally)
            return None
        next_key = f"{recording_prefix(up_to)}{_LAST}"
        # What lies beyond is listed again.
        await self._note_foreign([blob for blob in foreign if blob.key <= next_key], tally)
        return f"{up_to} {next_key}"

    async def _note_foreign(self, foreign: Sequence[BlobInfo], tally: Tally) -> None:
        for blob in foreign:
            await self._foreign.note(blob, tally)

    async def _repair_all(
        self,
        listed: dict[UUID, ListedRecording],
        rows: Sequence[AuditedRecording],
        ids: Sequence[UUID],
        tally: Tally,
        registered_before: datetime,
    ) -> None:
        known = {row.recording_id: row for row in rows}
        for recording_id in sorted({*ids, *known}):
            await self._repair.repair(
                recording_id,
                listed.get(recording_id, ListedRecording()),
                known.get(recording_id),
                tally,
                registered_before,
            )

    async def _settle_stalled(self, after: UUID | None, up_to: UUID | None, tally: Tally) -> None:
        settled = await self._audit_ledger.settle_stalled(
            after=after, up_to=up_to, stalled_after_s=self._stalled_after_s
        )
        tally.stalled += len(settled.stalled)
        tally.returned += len(settled.returned)
        for recording_id in settled.stalled:
            _log.warning("recording stalled", extra={"recording_id": str(recording_id)})
            finding = NewFinding(
                FindingKind.STALLED,
                f"nothing was heard of its client for {self._stalled_after_s:g} s; it is playable as far as it came",
                recording_id=recording_id,
            )
            await self._audit_ledger.note_finding(finding)


def _group(blobs: Sequence[BlobInfo]) -> tuple[dict[UUID, ListedRecording], list[BlobInfo]]:
    """What the bucket listed, by recording, and what belongs to none."""
    listed: dict[UUID, ListedRecording] = {}
    foreign: list[BlobInfo] = []
    for blob in blobs:
        try:
            key = parse_key(blob.key)
        except InvalidKeyError:
            foreign.append(blob)
            continue
        if isinstance(key, ChunkKey | PackKey | VoidKey | ProbeKey | InstallationKey):
            continue  # none of them begins so
        found = listed.setdefault(key.recording_id, ListedRecording())
        if isinstance(key, RecordingKey):
            found.registration = blob
        elif isinstance(key, CertificateKey):
            found.has_certificate = True
        elif isinstance(key, TombstoneKey):
            found.has_tombstone = True
    return listed, foreign
