"""A pass run by a word of the command line: here, or by whoever runs it already; one line tells how far it is."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final, TypeVar

from server.audit.collect import CollectTally
from server.audit.jobs import Job
from server.audit.scrubber import ScrubTally
from server.audit.tally import Tally
from server.audit.wiring import AuditParts
from server.commands.progress import in_units
from server.commands.stores import run_on_stores, with_audit_parts
from server.settings import Settings

_SHOWN_EVERY_S: Final = 1.0
_ASKED_EVERY_S: Final = 0.5

Report = TypeVar("Report")


def run_on_parts(settings: Settings, run: Callable[[AuditParts], Awaitable[Report]]) -> Report:
    """What `run` answers over the stores, which must belong together; embedded ones are found or started."""
    reports: list[Report] = []

    async def run_there(found: Settings) -> None:
        async with with_audit_parts(found) as parts:
            reports.append(await run(parts))

    run_on_stores(settings, run_there)
    return reports[0]


async def run_now(parts: AuditParts, job: Job, asked_at: datetime) -> None:
    """Run the pass here, or wait for whoever runs it, until one that began at `asked_at` or later has ended."""
    shown_at_s = 0.0

    def show(tally: Tally | CollectTally) -> None:
        nonlocal shown_at_s
        if time.monotonic() - shown_at_s >= _SHOWN_EVERY_S:
            shown_at_s = time.monotonic()
            _say(f"{job.kind}: {describe_progress(tally)}")

    is_said = False
    while not await parts.schedule.run_due(job, show):
        state = await parts.audit_ledger.read_pass(job.kind)
        if state.progress is None and state.began_at is not None and state.began_at >= asked_at:
            return
        if not is_said:
            _say(f"{job.kind}: another process runs it; waiting for its end")
            is_said = True
        await asyncio.sleep(_ASKED_EVERY_S)


def describe_progress(tally: Tally | CollectTally) -> str:
    """One line, of what the pass counts."""
    if isinstance(tally, CollectTally):
        return f"{tally.deleted:,} deleted, {tally.examined:,} looked at, {tally.rewritten:,} rewritten"
    if isinstance(tally, ScrubTally):
        return f"{tally.objects:,} objects, {in_units(tally.bytes)} read, {tally.duration_s:.0f} s"
    return f"{tally.objects:,} objects, {tally.chunks:,} chunks, {tally.duration_s:.0f} s"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
