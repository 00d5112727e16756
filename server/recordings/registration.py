"""Registration and renaming: the bucket first, then the row, so that the bucket alone is enough (I8).

    1 look up    a row stands: the same fields again are a success, others a refusal
    2 tombstone  a deleted recording never comes back, even where only the bucket still knows of it
    3 store      recording.json, unless a crash left one, or the ledger lost its row: that one counts
    4 commit     the row, with the bytes and the newest title that stand in the bucket

A repeat after a crash at any step goes the same way and ends the same.
"""

from collections.abc import Callable
from datetime import UTC
from uuid import UUID

import msgspec

from protocol.errors import ErrorCode
from protocol.wire import Recording, RecordingRegistration
from server.recordings.describing import (
    ConfirmInstallation,
    describe_with_gaps,
    require_recording,
    trust_installation,
)
from server.recordings.documents import Documents, read_document
from server.recordings.titles import Titles
from server.refusal import Refusal
from server.refusals import absent_recording, recording_deleted
from server.storage.blob_store import BlobStore
from server.storage.keys import RecordingKey, TombstoneKey, new_uuid7
from server.storage.ledger import Ledger, LedgerUnavailableError


class Registrar:
    """Registers and renames recordings. All methods raise `Refusal`, `BlobStoreError`, `LedgerError`."""

    def __init__(
        self,
        ledger: Ledger,
        store: BlobStore,
        *,
        confirm_installation: ConfirmInstallation = trust_installation,
        new_title_id: Callable[[], UUID] = new_uuid7,
    ) -> None:
        self._ledger = ledger
        self._confirm_installation = confirm_installation
        self._documents = Documents(store)
        self._titles = Titles(store, new_title_id)

    async def register(self, registration: RecordingRegistration) -> tuple[Recording, bool]:
        """The recording, and whether this call registered it. Refuses RECORDING_DIFFERS, RECORDING_DELETED."""
        utc = msgspec.structs.replace(registration, started_at=registration.started_at.astimezone(UTC))
        # 1 look up
        known = await self._find_same(utc)
        if known is not None:
            return known, False
        await self._confirm_installation()
        # 2 tombstone
        await self._refuse_deleted(utc.recording_id)
        # 3 store
        key = RecordingKey(utc.recording_id).text
        standing = await self._documents.find(key)
        document = standing or await self._documents.keep(key, msgspec.json.encode(utc))
        _require_same(utc, read_document(key, document, RecordingRegistration))
        newest = None if standing is None else await self._titles.find_newest(utc.recording_id)
        # 4 commit
        is_new = await self._ledger.register_recording(
            recording_id=utc.recording_id,
            mime_type=utc.mime_type,
            title=utc.title if newest is None else newest,
            started_at=utc.started_at,
            document=document,
        )
        known = await self._find_same(utc)
        if known is None:
            raise LedgerUnavailableError(f"the row of {utc.recording_id} vanished while it was written")
        return known, is_new

    async def rename(self, recording_id: UUID, title: str) -> Recording:
        """The recording under its new title. Refuses RECORDING_UNKNOWN, RECORDING_DELETED."""
        await require_recording(self._ledger, recording_id)
        # 1 the bucket; 2 the row
        key = await self._titles.add(recording_id, title)
        await self._set_title(recording_id, title)
        # 3 another rename may have done its 1 after ours and its 2 before ours: the row ends on the newest
        while (newer := await self._titles.find_newer(key)) is not None:
            key, title = newer
            await self._set_title(recording_id, title)
        return await describe_with_gaps(self._ledger, await require_recording(self._ledger, recording_id))

    async def _find_same(self, registration: RecordingRegistration) -> Recording | None:
        """What stands, None where there is no row. Compared as registered: the title may have changed since."""
        recording_id = registration.recording_id
        document = await self._ledger.find_recording_document(recording_id)
        if document is None:
            row = await self._ledger.find_recording(recording_id)
            if row is not None:
                raise absent_recording(recording_id, row)
            return None
        _require_same(registration, read_document(RecordingKey(recording_id).text, document, RecordingRegistration))
        return await describe_with_gaps(self._ledger, await require_recording(self._ledger, recording_id))

    async def _refuse_deleted(self, recording_id: UUID) -> None:
        """Finish a delete that ended between bucket and ledger, and refuse."""
        tombstone = await self._documents.find(TombstoneKey(recording_id).text)
        if tombstone is not None:
            await self._ledger.delete_recording(recording_id, tombstone)
            raise recording_deleted(recording_id)

    async def _set_title(self, recording_id: UUID, title: str) -> None:
        if not await self._ledger.rename_recording(recording_id, title):
            raise absent_recording(recording_id, await self._ledger.find_recording(recording_id))


def _require_same(sent: RecordingRegistration, held: RecordingRegistration) -> None:
    if sent == held:
        return
    differing = [name for name in sent.__struct_fields__ if getattr(sent, name) != getattr(held, name)]
    raise Refusal(
        ErrorCode.RECORDING_DIFFERS,
        f"recording {sent.recording_id} is registered with another {' and '.join(differing)}",
        next_step="Register the other recording under an id of its own; PATCH changes a title.",
    )
