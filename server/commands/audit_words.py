"""What `holdfast audit | scrub | findings` do: what the server does on schedule, now and with progress.

Works while the server runs and while it does not. Exit code 1 means harm: bytes that were acknowledged
are lost, damaged or disputed, as far as is known.
"""

import argparse
from dataclasses import replace
from datetime import datetime
from typing import Final

import msgspec

from protocol.operations import AuditReport, ScrubReport
from protocol.states import FindingKind
from server.audit.explanations import explain
from server.audit.jobs import AUDIT, SCRUB, read_audit_report, read_scrub_report
from server.audit.wiring import AuditParts
from server.commands.outcome import report_outcome, show_report
from server.commands.passes import run_now, run_on_parts
from server.settings import Settings
from server.storage.audit_ledger import FindingFilter, StoredFinding

_FINDINGS_MAX: Final = 1_000


def run_audit(options: argparse.Namespace, settings: Settings) -> int:
    """An audit that begins now; the exit code."""

    async def run(parts: AuditParts) -> AuditReport:
        asked_at = await parts.schedule.ask(AUDIT)
        await run_now(parts, parts.audit_job, asked_at)
        return read_audit_report(await parts.audit_ledger.read_pass(AUDIT))

    return show_report(lambda: run_on_parts(settings, run), _describe, is_json=options.json)


def run_scrub(options: argparse.Namespace, settings: Settings) -> int:
    """A scrub, or the rest of the one that was begun; the exit code."""

    async def run(parts: AuditParts) -> ScrubReport:
        state = await parts.audit_ledger.read_pass(SCRUB)
        unfinished_since = state.began_at if state.progress is not None else None
        asked_at = unfinished_since or await parts.schedule.ask(SCRUB)
        await run_now(parts, replace(parts.scrub_job, bytes_per_s=options.rate), asked_at)
        return read_scrub_report(await parts.audit_ledger.read_pass(SCRUB))

    return show_report(lambda: run_on_parts(settings, run), _describe, is_json=options.json)


def list_findings(options: argparse.Namespace, settings: Settings) -> int:
    """The findings, newest first; the exit code."""
    which = FindingFilter(
        kind=None if options.kind is None else FindingKind(options.kind), is_resolved=None if options.all else False
    )

    async def run(parts: AuditParts) -> list[StoredFinding]:
        return await parts.audit_ledger.list_findings(which, before=None, limit=_FINDINGS_MAX)

    def show() -> None:
        rows = run_on_parts(settings, run)
        if options.json:
            print(msgspec.json.encode([explain(row) for row in rows]).decode())
            return
        for row in map(explain, rows):
            standing = "resolved" if row.resolved_at else "open"
            where = row.object_key or row.recording_id or "several recordings"
            print(f"{row.seen_at:%Y-%m-%d %H:%M:%S}  {row.kind:<13} {standing:<8} {row.chunk_count:>6} chunks  {where}")
            print(f"  {row.detail or row.meaning}\n  Next: {row.next_step}")
        print(f"{len(rows)} findings")

    return report_outcome(show)


def _describe(report: AuditReport | ScrubReport) -> str:
    lines = [f"{name:<14} {_show(value)}" for name, value in msgspec.structs.asdict(report).items()]
    return "\n".join(
        [*lines, "harm was found; `holdfast findings` lists it" if report.is_harmed else "no harm was found"]
    )


def _show(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {count}" for name, count in value.items()) or "none"
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return f"{value:,}" if isinstance(value, int | float) else str(value)
