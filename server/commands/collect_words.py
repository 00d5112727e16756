"""`holdfast collect`: what the server does on schedule, now: take what the bucket holds in vain."""

import argparse
from dataclasses import replace

from protocol.operations import CollectReport
from server.audit.jobs import COLLECT, read_collect_report
from server.audit.wiring import AuditParts
from server.commands.outcome import show_report
from server.commands.passes import run_now, run_on_parts
from server.commands.progress import in_units
from server.settings import Settings


def run_collect(options: argparse.Namespace, settings: Settings) -> int:
    """The exit code."""

    async def act(parts: AuditParts) -> CollectReport:
        job = replace(parts.collect_job, bytes_per_s=options.rate)
        await run_now(parts, job, await parts.schedule.ask(COLLECT))
        return read_collect_report(await parts.audit_ledger.read_pass(COLLECT))

    return show_report(lambda: run_on_parts(settings, act), describe, is_json=options.json)


def describe(done: CollectReport) -> str:
    """The report for a person."""
    lines = [
        f"deleted        {done.deleted} objects, {in_units(done.bytes_deleted)}; {done.documents_deleted} documents",
        f"unlinked       {done.unlinked} objects; {done.late_objects} that came late",
        f"rewritten      {done.rewritten} objects into {done.packs_written} packs, {done.chunks_moved} chunks moved",
        f"erased wholly  {done.erased} recordings",
    ]
    lines += [f"left alone     {count} {why}" for why, count in sorted(done.held_back.items())]
    return "\n".join([*lines, f"took           {done.duration_s:.1f} s"])
