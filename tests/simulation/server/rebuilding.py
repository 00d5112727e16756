"""A rebuild of a furnished bucket whose Nth call fails, and what must be equal when the same word has gone on."""

import copy
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from server.audit.rebuild import RebuildRefusedError
from server.audit.rebuild_parts import build_rebuilder
from server.ingest.voids import store_void
from server.storage.blob_store import BlobStoreError
from server.storage.keys import new_uuid7
from server.storage.ledger import LedgerError
from server.storage.memory_audit_ledger import MemoryAuditLedger
from server.storage.memory_blob_store import MemoryBlobStore
from server.storage.memory_collect_ledger import MemoryCollectLedger
from server.storage.memory_ledger import MemoryLedger
from server.storage.memory_rebuild_ledger import MemoryRebuildLedger
from tests.server.collect.house import House, bytes_of, row_of_own
from tests.server.rebuild.burnt import Burnt, furnish
from tests.simulation.server.faults import Faulty, Killed, Late, Plan

_ATTEMPTS_MAX: Final = 3


@dataclass
class Furnished:
    """A bucket with something for every step of a rebuild, and its ledger, of which some rows were lost."""

    bucket: MemoryBlobStore
    holed: MemoryLedger


async def furnish_all() -> Furnished:
    """Certified, renamed and deleted recordings, loose chunks, a voided loser, a dispute, spare and spoiled copies."""
    bucket, ledger = MemoryBlobStore(), MemoryLedger()
    house = House(ledger, bucket)
    await Burnt(house, house).settle()
    await furnish(house)
    torn, spoiled = await house.register(), await house.register()
    # a loser with its void, and two contents of which nothing says who won
    await house.own((torn, 0))
    loser = await house.own((torn, 0), version=1)
    await store_void(bucket, loser.object_id, [row_of_own((torn, 0), loser, 1)])
    for version in (0, 1):
        await house.put_own((torn, 1), version)
    # a good copy with a spare one, and one that is spoiled beside a good one
    await house.own((spoiled, 0))
    await house.put_own((spoiled, 0))
    await house.own((spoiled, 1))
    flipped = await house.put_own((spoiled, 1))
    await house.overwrite(flipped.key, b"x" * flipped.size)
    # chunks that nobody registered, and an object that is not ours
    await house.put_own((new_uuid7(), 0))
    await bucket.put("chunks/somebody-else", bytes_of((torn, 9)))
    holed = copy.deepcopy(ledger)
    one = next(part[0] for part in house.sent if isinstance(part[0], UUID))
    for key in ((one, 0), (spoiled, 0)):
        holed.chunks.remove(key)
    del holed.recordings[torn]
    return Furnished(bucket, holed)


@dataclass
class Rebuilding:
    """One rebuild from a copy of that bucket, into an empty ledger, or into the one with holes where it merges."""

    furnished: Furnished
    merges: bool
    plan: Plan = field(default_factory=Plan)

    def __post_init__(self) -> None:
        self.bucket, self.ledger = copy.deepcopy((self.furnished.bucket, self.furnished.holed))
        if not self.merges:
            self.ledger = MemoryLedger()
        self.audited = MemoryAuditLedger(ledger=self.ledger)

    async def run(self) -> bool:
        """The word, once, as a process of its own; whether it came to its end."""
        rebuilder = build_rebuilder(
            Faulty(self.ledger, self.plan, is_store=False).port,
            Faulty(self.audited, self.plan, is_store=False).port,
            Faulty(MemoryCollectLedger(self.ledger), self.plan, is_store=False).port,
            Faulty(MemoryRebuildLedger(self.ledger), self.plan, is_store=False).port,
            Faulty(self.bucket, self.plan, is_store=True).port,
            grace_s=-1,
        )
        try:
            await rebuilder.rebuild(merges=self.merges)
        except (Killed, BlobStoreError, LedgerError):
            return False
        except BaseExceptionGroup as errors:  # a death inside of a task group
            _, others = errors.split(Killed)
            if others is not None:
                raise
            return False
        except RebuildRefusedError as refusal:
            # Its end had been noted, and only the answer was lost.
            assert "not empty" in str(refusal)
        return True

    async def run_to_the_end(self) -> None:
        """The same word again and again; what was still on its way to the ledger when it died has arrived."""
        for _ in range(_ATTEMPTS_MAX):
            if await self.run():
                return
            self.plan.begin(0, self.plan.way)
            late, self.plan.late_commits = self.plan.late_commits, []
            await _land(late)
        raise AssertionError("the rebuild does not come to its end")

    async def land_puts(self) -> None:
        """A PUT may land at any time, this late too."""
        late, self.plan.late_puts = self.plan.late_puts, []
        await _land(late)

    def describe(self) -> dict[str, Any]:
        """The whole ledger without its times, and the bucket."""
        ledger = self.ledger
        return {
            "installation": ledger.installation_id,
            "recordings": {
                key: (
                    row.state,
                    row.mime_type,
                    row.title,
                    row.started_at if row.document else None,
                    row.document,
                    row.certificate,
                    row.certified_chunks,
                    row.is_certificate_stored,
                    row.tombstone,
                )
                for key, row in ledger.recordings.items()
            },
            "objects": {
                key: (
                    row.stored.key,
                    row.stored.size,
                    row.stored.etag,
                    row.stored.state,
                    row.has_waste,
                    row.waste_count,
                )
                for key, row in ledger.objects.items()
            },
            "entries": {key: row.entry_count for key, row in ledger.objects.items()},
            "chunks": {
                (row.recording_id, row.chunk_index): (
                    row.run,
                    row.state,
                    row.object_id,
                    row.offset,
                    row.size,
                    row.sha256,
                    row.chunk_id,
                )
                for object_id in ledger.objects
                for row in ledger.chunks.of_object(object_id)
            },
            "disputed": {
                key: sorted((each.sha256, each.object_id, each.offset) for each in contents)
                for key, contents in ledger.disputed.items()
            },
            # What was mended as it was found is noted for those who look back, and may be lost with the process.
            "findings": sorted((row.kind, row.subject) for row in ledger.findings if row.resolved_at is None),
            "bucket": {key: blob.body for key, blob in self.bucket._blobs.items()},
        }


async def _land(late: list[Late]) -> None:
    for call in late:
        await call()
