"""Objects that no server of this kind makes: reported, never touched."""

import logging
from typing import Final

from protocol.states import FindingKind
from server.audit.tally import Tally
from server.storage.audit_ledger import AuditLedger, NewFinding
from server.storage.blob_store import LIST_PAGE_MAX, BlobInfo, BlobStore
from server.storage.keys import CHUNKS_PREFIX, PACKS_PREFIX, RECORDINGS_PREFIX, InvalidKeyError, parse_key

_log = logging.getLogger(__name__)

# Each becomes a finding up to here; the rest are counted. Somebody else's bucket may hold millions.
FOREIGN_NOTED_MAX: Final = 1_000
# What the other phases list.
_LISTED_PREFIXES: Final = (CHUNKS_PREFIX, PACKS_PREFIX, RECORDINGS_PREFIX)
_DETAIL: Final = "no key of this server"


class ForeignObjects:
    """Notes what does not belong here."""

    def __init__(self, audit_ledger: AuditLedger, store: BlobStore) -> None:
        self._audit_ledger = audit_ledger
        self._store = store

    async def note(self, blob: BlobInfo, tally: Tally) -> None:
        """One foreign object."""
        tally.foreign += 1
        if tally.foreign <= FOREIGN_NOTED_MAX:
            finding = NewFinding(FindingKind.FOREIGN, f"{blob.size} bytes under {_DETAIL}", object_key=blob.key)
            if await self._audit_ledger.note_finding(finding):
                _log.warning("foreign object", extra={"key": blob.key, "size": blob.size})

    async def audit_page(self, after: str, tally: Tally) -> str | None:
        """A page of all keys above `after` that the other phases do not list; where it ended, None at the last."""
        listed = await self._store.list_page("", after, LIST_PAGE_MAX)
        if not listed:
            return None
        last = listed[-1].key
        for blob in listed:
            if blob.key.startswith(_LISTED_PREFIXES):
                # Jump over what was listed already; its own phase has seen keys beyond "~", too.
                prefix = next(prefix for prefix in _LISTED_PREFIXES if blob.key.startswith(prefix))
                return max(blob.key, f"{prefix}~")
            try:
                parse_key(blob.key)
            except InvalidKeyError:
                await self.note(blob, tally)
        return last if len(listed) == LIST_PAGE_MAX else None
