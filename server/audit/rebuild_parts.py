"""A rebuild put together over the stores; nothing is opened or asked yet."""

from server.audit.contents import Contents
from server.audit.foreign import ForeignObjects
from server.audit.rebuild import OnProgress, Rebuilder
from server.audit.recording_listing import RecordingListing
from server.audit.recording_repair import RecordingRepair
from server.storage.audit_ledger import AuditLedger
from server.storage.blob_store import BlobStore
from server.storage.collect_ledger import CollectLedger
from server.storage.ledger import Ledger
from server.storage.rebuild_ledger import RebuildLedger

# A rebuild calls nobody stalled: it knows no times, so the first audit afterwards does.
_NEVER_S = 1e9


def build_rebuilder(
    ledger: Ledger,
    audited: AuditLedger,
    collected: CollectLedger,
    rebuilt: RebuildLedger,
    store: BlobStore,
    *,
    grace_s: float,
    on_progress: OnProgress = lambda _: None,
) -> Rebuilder:
    """The rebuilder; the four ledgers are one database."""
    repair = RecordingRepair(ledger, audited, store)
    return Rebuilder(
        ledger=ledger,
        audit_ledger=audited,
        rebuild_ledger=rebuilt,
        store=store,
        contents=Contents(ledger, collected, store),
        recordings=RecordingListing(audited, store, repair, ForeignObjects(audited, store), stalled_after_s=_NEVER_S),
        grace_s=grace_s,
        on_progress=on_progress,
    )
