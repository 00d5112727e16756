"""One object, looked at closely: what a listing proposed is believed only after one HEAD and one fresh row (I5).

    1 fresh row    what the ledger says now; an object on its way out is collect's
    2 HEAD         whether and since when the bucket holds it, by the bucket's own clock
    3 missing      its chunks become `wanted`: a copy in the bucket serves, or whoever still holds them sends them again
    4 read back    every digest; damaged chunks become `wanted`, their neighbours go on being served
    5 adopt        whole entries without a row, once they are older than the grace period
    6 note         how many entries there are, that they were read back, and what was found

Each repair is one statement that repeats its premise, so two auditors at once do no harm.
"""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from protocol.limits import MIB
from protocol.states import FindingKind, ObjectState
from server.audit.adoption import NOTHING_ADOPTED, Adopter, Adoption
from server.audit.entries import ObjectEntries, UnreadableObjectError, read_entries
from server.audit.tally import Tally
from server.recordings.byte_budget import ByteBudget
from server.recordings.damage import find_damaged, list_stored
from server.recordings.describing import ConfirmInstallation
from server.storage.audit_ledger import AuditedObject, AuditLedger, NewFinding
from server.storage.blob_store import BlobInfo, BlobNotFoundError, BlobStore
from server.storage.keys import ChunkKey, InvalidKeyError, PackKey, parse_key
from server.storage.ledger import Ledger, NewObject, StoredChunk, StoredObject

_log = logging.getLogger(__name__)

# No server makes a larger object; one that is, is not read into memory to find out why.
OBJECT_BYTES_MAX: Final = 64 * MIB
_BYTES_AT_ONCE_MAX: Final = 64 * MIB
# Of one chunk there are more objects only after some failed PUTs.
_COPIES_MAX: Final = 10


class Examiner:
    """Looks at objects and repairs what it sees.

    Raises `BlobStoreError`, `LedgerError`, and what `confirm_installation` raises.
    """

    def __init__(
        self, ledger: Ledger, audit_ledger: AuditLedger, store: BlobStore, confirm_installation: ConfirmInstallation
    ) -> None:
        self._ledger = ledger
        self._audit_ledger = audit_ledger
        self._store = store
        self._confirm_installation = confirm_installation
        self._adopter = Adopter(ledger, audit_ledger, store)
        self._bytes = ByteBudget(_BYTES_AT_ONCE_MAX)

    async def examine(self, key: ChunkKey | PackKey, tally: Tally, adopted_before: datetime) -> None:
        """Look at the object now. Objects without a row are adopted where they are older than `adopted_before`."""
        # 1 fresh row
        row = await self._audit_ledger.find_object(key.text)
        if row is not None and row.object.state is not ObjectState.STORED:
            return
        # 2 HEAD
        blob = await self._store.head(key.text)
        if blob is None:
            if row is not None:
                # 3 missing
                rows = await list_stored(self._ledger, row.object)
                await self._ask_again(row.object, rows, FindingKind.MISSING, tally)
                if rows and isinstance(key, ChunkKey):
                    await self._adopt_copy(key, tally, adopted_before)
        elif row is not None:
            await self._examine_known(key, row, blob, tally)
        elif blob.modified_at < adopted_before:
            await self._examine_orphan(key, blob, tally)
        else:
            tally.young += 1

    async def _examine_known(self, key: ChunkKey | PackKey, row: AuditedObject, blob: BlobInfo, tally: Tally) -> None:
        # 4 read back
        rows = await list_stored(self._ledger, row.object)
        async with self._bytes.take(row.object.size + 1):
            body, damaged = await self._read_back(row.object, rows)
            if damaged:  # bytes may also be spoiled on their way here
                body, damaged = await self._read_back(row.object, rows)
            if body is None:
                return  # gone since the HEAD: the next audit sees that from its beginning
            if damaged:
                await self._ask_again(row.object, damaged, FindingKind.MISMATCHED, tally)
            adoption, entries = NOTHING_ADOPTED, None
            if len(body) == row.object.size:
                entries = await self._read_entries(key, body)
        if entries is not None:
            # 5 adopt
            new = NewObject(key.object_id, key.text, blob.size, blob.etag)
            adoption = await self._adopt(new, entries, tally, has_row=True)
            # 6 note
            await self._audit_ledger.note_entries(key.object_id, entries.count, open_count=len(adoption.unknown))
        held_count = len(rows) - len(damaged) + len(adoption.adopted)
        if held_count and (row.object.verified_at is None or damaged or row.object.etag != blob.etag):
            await self._ledger.mark_verified(key.object_id, blob.etag)

    async def _examine_orphan(self, key: ChunkKey | PackKey, blob: BlobInfo, tally: Tally) -> None:
        tally.orphans += 1
        try:
            if blob.size > OBJECT_BYTES_MAX:
                raise UnreadableObjectError(f"{blob.size} bytes are more than any object of this server has")
            async with self._bytes.take(blob.size):
                entries = await read_entries(key, await self._store.get(key.text))
            # 5 adopt
            new = NewObject(key.object_id, key.text, blob.size, blob.etag)
            adoption = await self._adopt(new, entries, tally, has_row=False)
        except BlobNotFoundError:
            return
        except UnreadableObjectError as error:
            await self._note_orphan(key, f"it cannot be adopted: {error}", is_resolved=False)
            return
        # 6 note
        await self._audit_ledger.note_entries(key.object_id, entries.count, open_count=len(adoption.unknown))
        if len(entries.good) == entries.count:
            await self._ledger.mark_verified(key.object_id, blob.etag)

    async def _adopt_copy(self, lost: ChunkKey, tally: Tally, adopted_before: datetime) -> None:
        """The lost chunk in another object of its own, as a renamed object or a second PUT is: nobody need send it."""
        prefix = lost.text.removesuffix(str(lost.object_id))
        for blob in await self._store.list_page(prefix, prefix, _COPIES_MAX):
            try:
                key = parse_key(blob.key)
            except InvalidKeyError:
                continue
            if not isinstance(key, ChunkKey) or key == lost or blob.modified_at >= adopted_before:
                continue
            row = await self._audit_ledger.find_object(blob.key)
            try:
                async with self._bytes.take(blob.size):
                    entries = await read_entries(key, await self._store.get(blob.key))
                new = NewObject(key.object_id, blob.key, blob.size, blob.etag)
                adoption = await self._adopt(new, entries, tally, has_row=row is not None)
            except (BlobNotFoundError, UnreadableObjectError):
                continue
            if adoption.adopted:
                await self._audit_ledger.note_entries(key.object_id, entries.count)
                await self._ledger.mark_verified(key.object_id, blob.etag)
                return

    async def _adopt(self, new: NewObject, entries: ObjectEntries, tally: Tally, *, has_row: bool) -> Adoption:
        adoption = await self._adopter.adopt(new, entries.good, has_row=has_row)
        if has_row and (adoption.adopted or adoption.unknown):
            tally.orphans += 1
        tally.adopted += len(adoption.adopted)
        detail = f"{len(adoption.adopted)} of its {entries.count} chunks were adopted"
        if adoption.unknown:
            recordings = len({chunk.recording_id for chunk in adoption.unknown})
            detail += f"; {len(adoption.unknown)} belong to {recordings} recordings that nobody registered"
        if adoption.adopted or adoption.unknown or not has_row:
            await self._note_orphan(new, detail, chunk_count=len(adoption.adopted), is_resolved=not adoption.unknown)
        return adoption

    async def _read_back(
        self, held_by: StoredObject, rows: Sequence[StoredChunk]
    ) -> tuple[bytes | None, list[StoredChunk]]:
        """The object's bytes, one more than it should have at most, and the damaged rows."""
        try:
            body = await self._store.get_range(held_by.key, 0, held_by.size + 1)
        except BlobNotFoundError:
            return None, []
        return body, await find_damaged(held_by, rows, body)

    async def _read_entries(self, key: ChunkKey | PackKey, body: bytes) -> ObjectEntries | None:
        try:
            return await read_entries(key, body)
        except UnreadableObjectError as error:
            _log.warning("object does not say what it holds", extra={"key": key.text, "reason": str(error)})
            return None

    async def _ask_again(
        self, held_by: StoredObject, rows: Sequence[StoredChunk], kind: FindingKind, tally: Tally
    ) -> None:
        """Those of the rows that still stand so become `wanted`; counted where any did."""
        if not rows:
            return
        # In a wrong bucket everything looks lost, and nothing is.
        await self._confirm_installation()
        count = await self._ledger.mark_wanted(held_by.object_id, rows, kind)
        if count:
            # Counted here, after every wait: others count in the same tally meanwhile.
            tally.rerequested += count
            tally.missing += kind is FindingKind.MISSING
            tally.mismatched += kind is FindingKind.MISMATCHED
            _log.warning("chunks are asked for again", extra={"kind": kind, "key": held_by.key, "chunks": count})

    async def _note_orphan(
        self, found: ChunkKey | PackKey | NewObject, detail: str, *, is_resolved: bool, chunk_count: int = 0
    ) -> None:
        key = found.key if isinstance(found, NewObject) else found.text
        finding = NewFinding(
            FindingKind.ORPHAN,
            detail,
            object_key=key,
            object_id=found.object_id,
            chunk_count=chunk_count,
            is_resolved=is_resolved,
        )
        if await self._audit_ledger.note_finding(finding):
            _log.warning("orphan", extra={"key": key, "detail": detail})
