"""Audit, scrub, collect and their schedule over one bucket and one ledger: for a worker, and for the command line."""

from dataclasses import dataclass

from server.audit.auditor import Auditor
from server.audit.collect import Collector, OnCollected
from server.audit.jobs import AuditJob, CollectJob, ScrubJob
from server.audit.schedule import Schedule
from server.audit.scrubber import Scrubber
from server.recordings.describing import ConfirmInstallation
from server.settings import Settings
from server.storage.audit_ledger import AuditLedger
from server.storage.blob_store import BlobStore
from server.storage.collect_ledger import CollectLedger
from server.storage.ledger import Ledger


@dataclass(frozen=True, slots=True)
class AuditParts:
    """What runs passes, and where their outcome is read."""

    audit_ledger: AuditLedger
    audit_job: AuditJob
    scrub_job: ScrubJob
    collect_job: CollectJob
    schedule: Schedule


def build_audit_parts(
    settings: Settings,
    ledger: Ledger,
    audit_ledger: AuditLedger,
    collected: CollectLedger,
    store: BlobStore,
    confirm_installation: ConfirmInstallation,
) -> AuditParts:
    """Nothing is opened or asked yet."""
    auditor = Auditor(
        ledger,
        audit_ledger,
        store,
        confirm_installation,
        grace_s=settings.grace_s,
        stalled_after_s=settings.stalled_after_s,
        unrecoverable_after_s=settings.unrecoverable_after_s,
    )
    audit_job = AuditJob(audit_ledger, auditor, settings.audit_every_s)
    scrubber = Scrubber(ledger, audit_ledger, store, confirm_installation)
    scrub_job = ScrubJob(scrubber, settings.scrub_bytes_per_s, settings.scrub_every_s)

    def make_collector(on_progress: OnCollected, bytes_per_s: int) -> Collector:
        return Collector(
            ledger,
            collected,
            store,
            confirm_installation,
            grace_s=settings.grace_s,
            bytes_per_s=bytes_per_s,
            on_progress=on_progress,
        )

    collect_job = CollectJob(make_collector, settings.collect_bytes_per_s, settings.collect_every_s)
    schedule = Schedule(audit_ledger, [audit_job, scrub_job, collect_job])
    return AuditParts(audit_ledger, audit_job, scrub_job, collect_job, schedule)
