"""What becomes of findings: resolved when it came true again, called unrecoverable when nobody can help any more.

`unrecoverable` is said loudly and stays revocable: the chunk is still asked for, and whoever sends it is welcome.
"""

import logging
from typing import Final

from protocol.states import FindingKind
from server.audit.tally import Tally
from server.storage.audit_ledger import AuditLedger, FindingFilter, StoredFinding
from server.storage.blob_store import BlobStore
from server.storage.ledger import LIST_ROWS_MAX

_log = logging.getLogger(__name__)

# Findings about objects themselves; an audit looks at no more of them than it notes.
_OF_OBJECTS: Final = (FindingKind.FOREIGN, FindingKind.ORPHAN)


async def settle_findings(
    audit_ledger: AuditLedger, store: BlobStore, tally: Tally, unrecoverable_after_s: float
) -> None:
    """Settle every kind. Raises `BlobStoreError`, `LedgerError`."""
    for kind in _OF_OBJECTS:
        which = FindingFilter(kind=kind, is_resolved=False)
        for finding in await audit_ledger.list_findings(which, before=None, limit=LIST_ROWS_MAX):
            if await _has_gone(audit_ledger, store, finding):
                await audit_ledger.resolve_finding(finding.finding_id)
                tally.resolved += 1
    await settle_lost_chunks(audit_ledger, tally, unrecoverable_after_s)


async def settle_lost_chunks(audit_ledger: AuditLedger, tally: Tally, unrecoverable_after_s: float) -> None:
    """Settle what the ledger alone can tell. Raises `LedgerError`."""
    settled = await audit_ledger.settle_findings(unrecoverable_after_s)
    tally.resolved += settled.resolved_count
    for finding in settled.unrecoverable:
        tally.unrecoverable += finding.chunk_count
        _log.error(
            "chunks are unrecoverable",
            extra={
                "recording_id": str(finding.recording_id) if finding.recording_id else None,
                "first_chunk_index": finding.first_chunk_index,
                "last_chunk_index": finding.last_chunk_index,
                "chunks": finding.chunk_count,
                "key": finding.object_key,
                "detail": finding.detail,
            },
        )


async def _has_gone(audit_ledger: AuditLedger, store: BlobStore, finding: StoredFinding) -> bool:
    if finding.object_key is None or await store.head(finding.object_key) is None:
        return True
    if finding.kind is FindingKind.FOREIGN:
        return False
    row = await audit_ledger.find_object(finding.object_key)
    return row is not None and row.is_accounted_for
