"""Audit, scrub and collect as jobs: from the progress that was saved to the report that is kept."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

import msgspec

from protocol.operations import AuditReport, CollectReport, ScrubReport
from protocol.states import PassStanding
from server.audit.auditor import Auditor
from server.audit.collect import Collector, CollectTally, OnCollected, read_collect_tally
from server.audit.scrubber import Scrubber, ScrubTally, read_scrub_tally
from server.audit.tally import Tally, read_tally, write_tally
from server.storage.audit_ledger import AuditLedger, PassState

AUDIT: Final = "audit"
SCRUB: Final = "scrub"
COLLECT: Final = "collect"
OnProgress = Callable[[str, Tally | CollectTally], None]


class Job(Protocol):
    """What a pass of one `kind` does. `every_s`: how often by itself; 0: only when asked."""

    @property
    def kind(self) -> str: ...

    @property
    def every_s(self) -> float: ...

    async def run(self, began_at: datetime, progress: str, on_progress: OnProgress) -> str:
        """Go on from `progress`; `on_progress` hears where one could go on from now. Returns the report as JSON."""
        ...


@dataclass(frozen=True, slots=True)
class AuditJob:
    """See server/audit/auditor.py."""

    audit_ledger: AuditLedger
    auditor: Auditor
    every_s: float
    kind: str = AUDIT

    async def run(self, began_at: datetime, progress: str, on_progress: OnProgress) -> str:
        tally = read_tally(progress)

        async def on_step(now: Tally) -> None:
            on_progress(write_tally(now), now)

        await self.auditor.run(tally, on_step)
        report = await describe_audit(self.audit_ledger, tally, began_at)
        return msgspec.json.encode(report).decode()


@dataclass(frozen=True, slots=True)
class ScrubJob:
    """See server/audit/scrubber.py."""

    scrubber: Scrubber
    bytes_per_s: int
    every_s: float
    kind: str = SCRUB

    async def run(self, began_at: datetime, progress: str, on_progress: OnProgress) -> str:
        tally = read_scrub_tally(progress)

        async def on_scrubbed(now: ScrubTally) -> None:
            on_progress(write_tally(now), now)

        await self.scrubber.run(tally, on_scrubbed, bytes_per_s=self.bytes_per_s)
        report = ScrubReport(
            standing=PassStanding.FINISHED,
            objects=tally.objects,
            bytes=tally.bytes,
            missing=tally.missing,
            mismatched=tally.mismatched,
            rerequested=tally.rerequested,
            duration_s=round(tally.duration_s, 3),
            began_at=began_at,
        )
        return msgspec.json.encode(report).decode()


@dataclass(frozen=True, slots=True)
class CollectJob:
    """See server/audit/collect.py. One collector a pass, which tells its progress."""

    make_collector: Callable[[OnCollected, int], Collector]
    bytes_per_s: int
    every_s: float
    kind: str = COLLECT

    async def run(self, began_at: datetime, progress: str, on_progress: OnProgress) -> str:
        collector = self.make_collector(lambda now: on_progress(write_tally(now), now), self.bytes_per_s)
        tally = await collector.collect(read_collect_tally(progress))
        counts = msgspec.structs.asdict(tally)
        return msgspec.json.encode(CollectReport(standing=PassStanding.FINISHED, began_at=began_at, **counts)).decode()


async def describe_audit(audit_ledger: AuditLedger, tally: Tally, began_at: datetime) -> AuditReport:
    """The report of a whole audit. Raises `LedgerError`."""
    unresolved = await audit_ledger.count_unresolved()
    return AuditReport(
        standing=PassStanding.FINISHED,
        chunks=tally.chunks,
        objects=tally.objects,
        missing=tally.missing,
        orphans=tally.orphans,
        mismatched=tally.mismatched,
        adopted=tally.adopted,
        rerequested=tally.rerequested,
        restored=tally.restored,
        foreign=tally.foreign,
        young=tally.young,
        stalled=tally.stalled,
        unrecoverable=tally.unrecoverable,
        duration_s=round(tally.duration_s, 3),
        began_at=began_at,
        wanted=await audit_ledger.count_wanted(),
        unresolved={str(kind): count for kind, count in sorted(unresolved.items())},
    )


def read_audit_report(state: PassState) -> AuditReport:
    """The last report as `GET /api/audit` answers it."""
    report = AuditReport(standing=_standing_of(state))
    if state.report is not None:
        kept = msgspec.json.decode(state.report, type=AuditReport)
        report = msgspec.structs.replace(kept, standing=_standing_of(state), ended_at=state.ended_at)
    return report


def read_scrub_report(state: PassState) -> ScrubReport:
    """The last report as `GET /api/scrub` answers it."""
    so_far = 0 if state.progress is None else read_scrub_tally(state.progress).bytes
    report = ScrubReport(standing=_standing_of(state), bytes_so_far=so_far)
    if state.report is not None:
        kept = msgspec.json.decode(state.report, type=ScrubReport)
        report = msgspec.structs.replace(
            kept, standing=_standing_of(state), ended_at=state.ended_at, bytes_so_far=so_far
        )
    return report


def read_collect_report(state: PassState) -> CollectReport:
    """The last report as `GET /api/collect` answers it."""
    so_far = CollectTally() if state.progress is None else read_collect_tally(state.progress)
    report = CollectReport(standing=PassStanding.NEVER)
    if state.report is not None:
        report = msgspec.json.decode(state.report, type=CollectReport)
    return msgspec.structs.replace(
        report,
        standing=_standing_of(state),
        ended_at=state.ended_at,
        examined_so_far=so_far.examined,
        deleted_so_far=so_far.deleted,
    )


# The last report of each kind.
READERS: Final[dict[str, Callable[[PassState], AuditReport | ScrubReport | CollectReport]]] = {
    AUDIT: read_audit_report,
    SCRUB: read_scrub_report,
    COLLECT: read_collect_report,
}


def _standing_of(state: PassState) -> PassStanding:
    is_awaited = state.asked_at is not None and (state.began_at is None or state.asked_at > state.began_at)
    if state.progress is not None or is_awaited:
        return PassStanding.RUNNING
    return PassStanding.NEVER if state.report is None else PassStanding.FINISHED
