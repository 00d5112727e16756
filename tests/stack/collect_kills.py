"""Who dies at which step of `holdfast collect`, and what must be true afterwards."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from protocol.states import RecordingState
from server.audit.tally import Tally
from server.installation import establish_installation
from server.recordings.reading import Reader
from server.storage.bucket_settings import BucketSettings
from server.storage.ledger import LIST_ROWS_MAX, LedgerError
from server.storage.postgres_ledger import PostgresLedger
from tests.server.audit.scene import repairs
from tests.server.collect.house import House, Part, bytes_of, id_of
from tests.stack.audits import auditor_of
from tests.stack.halting import AFTER, BEFORE, Halt
from tests.stack.outcomes import Outcome, describe_repairs
from tests.stack.words import Services, Victim, let_leases_end, let_the_grace_period_pass, open_house

STEPS: Final = {
    "about to decide on deletions": Halt("commit", BEFORE, within="claim_deletions"),
    "deletions decided": Halt("claim_deletions", AFTER),
    "object deleted, row not": Halt("delete", AFTER, argument="packs/"),
    "row of the deleted object gone": Halt("remove_object", AFTER),
    "deleted recording's document gone": Halt("delete", AFTER, argument="recordings/"),
    "late object noted": Halt("note_garbage", AFTER),
    "old object read": Halt("get", AFTER, argument="packs/"),
    "before the new pack's PUT": Halt("put", BEFORE, argument="packs/"),
    "new pack stored": Halt("put", AFTER, argument="packs/"),
    "new pack read back, rows about to move": Halt("move_chunks", BEFORE),
    "rows moved, before COMMIT": Halt("commit", BEFORE, within="move_chunks"),
    "rows moved": Halt("move_chunks", AFTER),
    "new pack noted as verified": Halt("mark_verified", AFTER),
}
_DAY_S: Final = 86_400
# What a pass leaves behind, the next audit sees and the pass after that takes: three would do.
_ROUNDS: Final = 4


@dataclass
class Furnished:
    """What clients may rely on, and what must never be seen again."""

    sent: dict[Part, bytes] = field(default_factory=dict)
    deleted_id: UUID = field(default_factory=lambda: UUID(int=0))
    deleted: list[bytes] = field(default_factory=list)


def run_cell(services: Services, step: str, victim: Victim) -> Outcome:
    """Kill it there; the same word again; audits and later passes; every promise is kept."""
    with services.database() as url:
        bucket = services.bucket(victim)
        # Given a bucket with something for each step: due, late, mixed, small and old
        furnished = asyncio.run(furnish(url, bucket))
        let_the_grace_period_pass(url)

        # When the victim dies there
        began_s = time.monotonic()
        ended = services.run_and_kill("collect", STEPS[step], victim, url, bucket)

        # Then nothing is lost now, and the same word goes on
        assert asyncio.run(count_lost(url, bucket, furnished)) == 0
        let_leases_end(url)
        again = services.run("collect", url, bucket)
        assert again.code == 0, again.told
        back_s = time.monotonic() - began_s
        found = asyncio.run(converge(url, bucket))
        return Outcome(
            step,
            victim,
            ended.words,
            describe_repairs(found),
            "collect" if not found else "audit; collect",
            back_s,
            asyncio.run(count_lost(url, bucket, furnished)),
            asyncio.run(count_returned(url, bucket, furnished)),
        )


async def furnish(url: str, bucket: BucketSettings) -> Furnished:
    """A bucket with something for each step."""
    async with open_house(url, bucket) as house:
        await establish_installation(house.ledger, house.store)
        kept, gone = await house.register(), await house.register()
        await house.pack((kept, 0), (gone, 0), ("loose", 0))
        await house.pack((gone, 1), (gone, 2))
        await house.own((gone, 3))
        await house.own((kept, 1))
        await house.pack((kept, 2), ("old-1", 0), made_before_s=2 * _DAY_S)
        await house.pack((kept, 3), ("old-2", 0), made_before_s=2 * _DAY_S)
        await house.delete(gone)
        await house.put_own((gone, 4))  # it was on its way
        return Furnished(house.sent, gone, [bytes_of((gone, index)) for index in range(5)])


async def converge(url: str, bucket: BucketSettings) -> dict[str, int]:
    """Audits and passes until all is at rest; what the first audit found."""
    first: dict[str, int] | None = None
    async with open_house(url, bucket) as house:
        for _ in range(_ROUNDS):
            found = await _audit(house)
            first = found if first is None else first
            let_the_grace_period_pass(url)
            await house.collect()
        assert await _audit(house) == {}, "an audit at rest changes something (I5)"
        report = await house.collect()
    at_rest = (report.deleted, report.rewritten, report.unlinked, report.late_objects, report.held_back)
    assert at_rest == (0, 0, 0, 0, {}), report
    return first or {}


async def _audit(house: House) -> dict[str, int]:
    assert isinstance(house.ledger, PostgresLedger)
    tally = Tally()

    async def go_on(_: Tally) -> None:
        pass

    await auditor_of(house.ledger, house.store).run(tally, go_on)
    return repairs(tally)


async def count_lost(url: str, bucket: BucketSettings, furnished: Furnished) -> int:
    """Acknowledged chunks that are not given back byte by byte."""
    lost = 0
    async with open_house(url, bucket) as house:
        reader = Reader(house.ledger, house.store)
        for part, body in furnished.sent.items():
            lost += (await reader.read_chunk(id_of(part), part[1]))[0] != body
    return lost


async def count_returned(url: str, bucket: BucketSettings, furnished: Furnished) -> int:
    """Deleted chunks whose bytes still lie in the bucket, that have a row, or whose tombstone is gone."""
    async with open_house(url, bucket) as house:
        bodies = [await house.store.get(key) for key in await house.keys()]
        rows = await house.ledger.list_chunks(furnished.deleted_id, after_index=-1, limit=LIST_ROWS_MAX)
        recording = await house.ledger.find_recording(furnished.deleted_id)
    if recording is None or recording.state is not RecordingState.DELETED:
        raise LedgerError("the deleted recording has lost its tombstone")
    return len(rows) + sum(content in body for content in furnished.deleted for body in bodies)
