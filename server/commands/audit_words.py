"""What `holdfast audit | scrub | findings` do: what the server does on schedule, now and with progress.

Works while the server runs and while it does not. Exit code 1 means harm: bytes that were acknowledged
are lost, damaged or disputed, as far as is known.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

import msgspec

from protocol.operations import AuditReport, ScrubReport
from protocol.states import FindingKind
from server.audit.explanations import explain
from server.audit.jobs import AUDIT, SCRUB, Job, read_audit_report, read_scrub_report
from server.audit.tally import Tally
from server.audit.wiring import AuditParts
from server.commands.outcome import report_outcome
from server.commands.stores import run_on_stores, with_audit_parts
from server.settings import Settings
from server.storage.audit_ledger import FindingFilter

_SHOWN_EVERY_S: Final = 1.0
_ASKED_EVERY_S: Final = 0.5
_FINDINGS_MAX: Final = 1_000


def run_audit(options: argparse.Namespace, settings: Settings) -> int:
    """An audit that begins now; the exit code."""

    async def run(parts: AuditParts) -> AuditReport:
        asked_at = await parts.schedule.ask(AUDIT)
        await _run_now(parts, parts.audit_job, asked_at)
        return read_audit_report(await parts.audit_ledger.read_pass(AUDIT))

    return _show_report(options, settings, run)


def run_scrub(options: argparse.Namespace, settings: Settings) -> int:
    """A scrub, or the rest of the one that was begun; the exit code."""

    async def run(parts: AuditParts) -> ScrubReport:
        state = await parts.audit_ledger.read_pass(SCRUB)
        unfinished_since = state.began_at if state.progress is not None else None
        asked_at = unfinished_since or await parts.schedule.ask(SCRUB)
        await _run_now(parts, replace(parts.scrub_job, bytes_per_s=options.rate), asked_at)
        return read_scrub_report(await parts.audit_ledger.read_pass(SCRUB))

    return _show_report(options, settings, run)


def list_findings(options: argparse.Namespace, settings: Settings) -> int:
    """The findings, newest first; the exit code."""
    which = FindingFilter(
        kind=None if options.kind is None else FindingKind(options.kind), is_resolved=None if options.all else False
    )

    async def run(found: Settings) -> None:
        async with with_audit_parts(found) as parts:
            rows = await parts.audit_ledger.list_findings(which, before=None, limit=_FINDINGS_MAX)
        if options.json:
            print(msgspec.json.encode([explain(row) for row in rows]).decode())
            return
        for row in map(explain, rows):
            standing = "resolved" if row.resolved_at else "open"
            where = row.object_key or row.recording_id or "several recordings"
            print(f"{row.seen_at:%Y-%m-%d %H:%M:%S}  {row.kind:<13} {standing:<8} {row.chunk_count:>6} chunks  {where}")
            print(f"  {row.detail or row.meaning}\n  Next: {row.next_step}")
        print(f"{len(rows)} findings")

    return report_outcome(lambda: run_on_stores(settings, run))


async def _run_now(parts: AuditParts, job: Job, asked_at: datetime) -> None:
    """Run the pass here, or wait for whoever runs it, until one that began at `asked_at` or later has ended."""
    shown_at_s = 0.0

    def show(tally: Tally) -> None:
        nonlocal shown_at_s
        if time.monotonic() - shown_at_s >= _SHOWN_EVERY_S:
            shown_at_s = time.monotonic()
            _say(f"{job.kind}: {tally.objects:,} objects, {tally.chunks:,} chunks, {tally.duration_s:.0f} s")

    is_said = False
    while not await parts.schedule.run_due(job, show):
        state = await parts.audit_ledger.read_pass(job.kind)
        if state.progress is None and state.began_at is not None and state.began_at >= asked_at:
            return
        if not is_said:
            _say(f"{job.kind}: another process runs it; waiting for its end")
            is_said = True
        await asyncio.sleep(_ASKED_EVERY_S)


def _show_report(
    options: argparse.Namespace,
    settings: Settings,
    run: Callable[[AuditParts], Awaitable[AuditReport | ScrubReport]],
) -> int:
    harmed = False

    async def run_and_show(found: Settings) -> None:
        nonlocal harmed
        async with with_audit_parts(found) as parts:
            report = await run(parts)
        harmed = report.is_harmed
        if options.json:
            print(msgspec.json.encode(report).decode())
            return
        for name, value in msgspec.structs.asdict(report).items():
            print(f"{name:<14} {_show(value)}")
        print("harm was found; `holdfast findings` lists it" if harmed else "no harm was found")

    return report_outcome(lambda: run_on_stores(settings, run_and_show)) or int(harmed)


def _show(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {count}" for name, count in value.items()) or "none"
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
