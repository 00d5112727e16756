"""Rebuild: an empty ledger and the bucket give the ledger back (I8).

    1 refuse      a ledger that holds something, unless it is to be merged or an earlier rebuild was killed in it
    2 recordings  tombstones, registrations, titles and certificates: the verdicts come before what they are about
    3 voids       which objects hold entries that lost
    4 objects     each read back whole, every digest checked, its chunks placed by the rules of rebuild_rules.py
    5 settle      disputes are told, entries without a row are waste, certified recordings complete if all stands
    6 join        the installation id, last: until then no server takes half a ledger for the whole

Where it stands is kept in the ledger after every batch, so a rebuild that was killed goes on from there; a
step that is repeated changes nothing.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct

from server.audit.adoption import describe_dispute
from server.audit.contents import Contents
from server.audit.found_objects import read_found
from server.audit.recording_listing import RecordingListing
from server.audit.tally import Tally
from server.installation import Verdict, establish_installation, find_contradiction
from server.storage.audit_ledger import AuditLedger, TakenPass
from server.storage.blob_store import LIST_PAGE_MAX, BlobInfo, BlobStore
from server.storage.keys import CHUNKS_PREFIX, PACKS_PREFIX
from server.storage.ledger import LIST_ROWS_MAX, Ledger
from server.storage.rebuild_ledger import RebuildLedger

REBUILD_KIND: Final = "rebuild"
# One process runs it; whoever takes over a killed one's work need not wait for a lease.
_HOLDER: Final = UUID(int=0)
# A batch is one LIST, one transaction and one step of the progress: some dozen packs of a thousand chunks, or a page
# of own objects, each of which is one chunk.
BATCH_MAX_OF_PREFIX: Final = {CHUNKS_PREFIX: LIST_PAGE_MAX, PACKS_PREFIX: 32}


class RebuildRefusedError(Exception):
    """The rebuild does not begin; the message says why and what to do."""


class Step(StrEnum):
    """What a rebuild does, in this order."""

    COUNT = "count"
    RECORDINGS = "recordings"
    OWN_OBJECTS = "own-objects"
    PACKS = "packs"
    DISPUTES = "disputes"
    WASTE = "waste"
    COMPLETE = "complete"


_STEPS: Final = tuple(Step)


class RebuildReport(Struct, kw_only=True):
    """How far it is, and what it found. `after` is the place within the step."""

    step: Step = Step.COUNT
    after: str = ""
    merges: bool = False
    objects_total: int = 0
    bytes_total: int = 0
    recordings: int = 0  # documents that gave a row, a certificate or a tombstone back
    objects: int = 0
    bytes: int = 0
    chunks: int = 0  # rows
    spare: int = 0  # further copies of a chunk that has its row
    disputed: int = 0
    voided: int = 0
    deleted: int = 0
    uncertified: int = 0
    unregistered: int = 0
    damaged: int = 0  # entries whose bytes are not what they were
    unreadable: int = 0
    foreign: int = 0
    duration_s: float = 0.0

    @property
    def is_harmed(self) -> bool:
        """Whether somebody should look."""
        return bool(self.disputed or self.damaged or self.unreadable or self.unregistered)


OnProgress = Callable[[RebuildReport], None]


@dataclass(slots=True)
class Rebuilder:
    """Rebuilds one ledger from one bucket. Raises `BlobStoreError`, `LedgerError`, `RebuildRefusedError`."""

    ledger: Ledger
    audit_ledger: AuditLedger
    rebuild_ledger: RebuildLedger
    store: BlobStore
    contents: Contents
    recordings: RecordingListing
    grace_s: float
    on_progress: OnProgress = lambda _: None

    async def rebuild(self, *, merges: bool) -> RebuildReport:
        """Begin, or go on with what a killed one left; the whole report."""
        # 1 refuse
        taken, report = await self._begin(merges)
        # 3 voids: before any object, also where a killed rebuild is gone on with
        await self.contents.load_voids()
        while True:
            began_s = time.monotonic()
            after = await self._take_step(report, taken)
            report.duration_s += time.monotonic() - began_s
            report.after = after or ""
            if after is None:
                position = _STEPS.index(report.step) + 1
                if position == len(_STEPS):
                    break
                report.step = _STEPS[position]
            await self.audit_ledger.save_pass(taken, _write(report), lease_s=0)
            self.on_progress(report)
        # 6 join
        verdict = await establish_installation(self.ledger, self.store, adopts_bucket=True)
        if not verdict.is_matched:
            raise RebuildRefusedError(f"{verdict.detail}. {verdict.next_step}")
        await self.audit_ledger.finish_pass(taken, _write(report))
        self.on_progress(report)
        return report

    async def _begin(self, merges: bool) -> tuple[TakenPass, RebuildReport]:
        contradiction = await find_contradiction(self.ledger, self.store)
        if contradiction is not None:
            raise RebuildRefusedError(_sentence(contradiction))
        state = await self.audit_ledger.read_pass(REBUILD_KIND)
        if state.progress is None:
            installation = await self.ledger.read_installation()
            if not merges and (installation.installation_id is not None or not installation.is_empty):
                raise RebuildRefusedError(
                    "the ledger is not empty. Give HOLDFAST_DATABASE_URL an empty database; or, to add what the bucket "
                    "holds and this ledger lacks, run it again with --merge"
                )
            await self.audit_ledger.ask_pass(REBUILD_KIND)
        taken = await self.audit_ledger.take_pass(REBUILD_KIND, _HOLDER, every_s=0, lease_s=0)
        if taken is None:
            raise RebuildRefusedError("another rebuild of this ledger is running. Wait for its end")
        if taken.progress:
            return taken, msgspec.json.decode(taken.progress, type=RebuildReport)
        return taken, RebuildReport(merges=merges)

    async def _take_step(self, report: RebuildReport, taken: TakenPass) -> str | None:
        """One batch of the report's step; where it ended, None at the last."""
        match report.step:
            case Step.COUNT:
                return await self._count(report)
            case Step.RECORDINGS:
                # 2 recordings
                tally = Tally()
                after = await self.recordings.audit_page(report.after, tally, await self._old_before(report))
                report.recordings += tally.restored
                return after
            case Step.OWN_OBJECTS:
                # 4 objects
                return await self._place_page(report, taken, CHUNKS_PREFIX)
            case Step.PACKS:
                return await self._place_page(report, taken, PACKS_PREFIX)
            case Step.DISPUTES:
                # 5 settle
                return await self._tell_disputes(report)
            case Step.WASTE:
                return _text(await self.rebuild_ledger.settle_objects(after=_uuid(report.after), limit=LIST_ROWS_MAX))
            case Step.COMPLETE:
                return _text(
                    await self.rebuild_ledger.settle_recordings(after=_uuid(report.after), limit=LIST_ROWS_MAX)
                )

    async def _count(self, report: RebuildReport) -> str | None:
        """How much there is to read, so that a person sees how far it is."""
        prefix = PACKS_PREFIX if report.after.startswith(PACKS_PREFIX) else CHUNKS_PREFIX
        page = await self.store.list_page(prefix, report.after, LIST_PAGE_MAX)
        report.objects_total += len(page)
        report.bytes_total += sum(blob.size for blob in page)
        if page:
            return page[-1].key
        return PACKS_PREFIX if prefix == CHUNKS_PREFIX else None

    async def _place_page(self, report: RebuildReport, taken: TakenPass, prefix: str) -> str | None:
        batch_max = BATCH_MAX_OF_PREFIX[prefix]
        page = await self.store.list_page(prefix, report.after, batch_max)
        old_before = await self._old_before(report)
        await self._place(report, taken, [blob for blob in page if blob.modified_at < old_before])
        return page[-1].key if len(page) == batch_max else None

    async def _place(self, report: RebuildReport, taken: TakenPass, blobs: Sequence[BlobInfo]) -> None:
        found = await read_found(self.store, self.contents, blobs)
        new_count = await self.rebuild_ledger.place(found.objects, taken.began_at if report.merges else None)
        report.objects += len(found.objects)
        report.bytes += sum(item.object.size for item in found.objects)
        report.chunks += new_count
        report.spare += sum(len(item.chunks) for item in found.objects) - new_count
        report.damaged += found.damaged_entries
        report.unreadable += len(found.unreadable)
        report.foreign += found.foreign
        for admitted in found.admitted:
            report.voided += admitted.voided
            report.deleted += admitted.deleted
            report.uncertified += admitted.uncertified
            report.unregistered += admitted.unregistered

    async def _tell_disputes(self, report: RebuildReport) -> str | None:
        """From the ledger: whoever placed a dispute may have died before it was told."""
        last_id, _, index = report.after.partition(" ")
        after = (UUID(last_id), int(index)) if last_id else None
        page = await self.rebuild_ledger.list_disputed(after=after, limit=LIST_ROWS_MAX)
        for row in page:
            await self.audit_ledger.note_finding(describe_dispute(row))
        report.disputed += len(page)
        report.spare -= len(page)
        return f"{page[-1].recording_id} {page[-1].chunk_index}" if len(page) == LIST_ROWS_MAX else None

    async def _old_before(self, report: RebuildReport) -> datetime:
        """Beside a server that is taking chunks only what is past the grace period is looked at (I5)."""
        now = await self.store.read_clock()
        return now - timedelta(seconds=self.grace_s) if report.merges else now + timedelta(days=1)


def _write(report: RebuildReport) -> str:
    return msgspec.json.encode(report).decode()


def _uuid(text: str) -> UUID | None:
    return UUID(text) if text else None


def _text(place: UUID | None) -> str | None:
    return None if place is None else str(place)


def _sentence(verdict: Verdict) -> str:
    return f"{verdict.detail}. {verdict.next_step}"
