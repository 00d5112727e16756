"""`holdfast rebuild-ledger`: an empty database and the bucket give the ledger back (server/audit/rebuild.py)."""

import argparse
from typing import Final

from server.audit.rebuild import RebuildReport, Step
from server.audit.rebuild_parts import build_rebuilder
from server.commands.outcome import show_report
from server.commands.progress import ProgressLine, draw_bar, in_units
from server.commands.stores import with_stores
from server.settings import Settings
from server.storage.minio_blob_store import MinioBlobStore
from server.storage.postgres_audit_ledger import PostgresAuditLedger
from server.storage.postgres_collect_ledger import PostgresCollectLedger
from server.storage.postgres_ledger import PostgresLedger
from server.storage.postgres_rebuild_ledger import PostgresRebuildLedger

# An object costs a call however small it is: about as long as so many of its bytes take. The small ones come first.
_OBJECT_COSTS_BYTES: Final = 128 * 1024


def run_rebuild(options: argparse.Namespace, settings: Settings) -> int:
    """The exit code."""
    line = ProgressLine()

    async def act(ledger: PostgresLedger, store: MinioBlobStore) -> RebuildReport:
        rebuilder = build_rebuilder(
            ledger,
            PostgresAuditLedger(ledger.connections),
            PostgresCollectLedger(ledger.connections),
            PostgresRebuildLedger(ledger.connections),
            store,
            grace_s=settings.grace_s,
            on_progress=lambda so_far: line.show(describe_progress(so_far)),
        )
        return await rebuilder.rebuild(merges=options.merge)

    def run() -> RebuildReport:
        done = with_stores(settings, act)
        line.clear()
        return done

    return show_report(run, describe, is_json=options.json)


def describe_progress(so_far: RebuildReport) -> str:
    """One line."""
    if so_far.step is Step.COUNT:
        return f"rebuild: {so_far.objects_total} objects listed"
    if so_far.step is Step.RECORDINGS:
        return f"rebuild: {so_far.recordings} recordings' documents"
    done = so_far.bytes + so_far.objects * _OBJECT_COSTS_BYTES
    total = so_far.bytes_total + so_far.objects_total * _OBJECT_COSTS_BYTES
    left_s = max(0, total - done) * so_far.duration_s / done if done else 0.0
    rate = so_far.bytes / so_far.duration_s if so_far.duration_s else 0.0
    return (
        f"rebuild: {draw_bar(done, total)}  {so_far.objects}/{so_far.objects_total} objects, "
        f"{so_far.chunks} chunks, {in_units(rate)}/s, about {left_s:.0f} s left"
    )


def describe(done: RebuildReport) -> str:
    """The report for a person."""
    lines = [
        f"recordings     {done.recordings} rows, certificates and tombstones given back",
        f"objects        {done.objects} read back, {in_units(done.bytes)}",
        f"chunks         {done.chunks} rows; {done.spare} further copies",
        f"excluded       {done.voided} voided, {done.deleted} deleted, {done.uncertified} outside of a certificate",
    ]
    harms = {
        "disputed": "chunks of which the bucket holds two contents: their clients' next PUT or verify settles them",
        "damaged": "chunks whose bytes are spoiled: their clients send them again",
        "unreadable": "objects that do not say what they hold",
        "unregistered": "chunks of recordings without a registration: adopted once their client registers them",
        "foreign": "objects that are not ours",
    }
    for name, meaning in harms.items():
        if count := getattr(done, name):
            lines.append(f"{name:<14} {count} {meaning}")
    return "\n".join([*lines, f"took           {done.duration_s:.1f} s"])
