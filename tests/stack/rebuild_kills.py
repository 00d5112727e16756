"""Who dies at which step of `holdfast rebuild-ledger`, and what must be true afterwards."""

import asyncio
import time
from typing import Final

from server.ingest.voids import store_void
from server.storage.bucket_settings import BucketSettings
from tests.server.collect.house import Part, row_of_own
from tests.server.rebuild.burnt import Burnt, furnish
from tests.stack.audits import audit_twice
from tests.stack.halting import AFTER, BEFORE, Halt
from tests.stack.outcomes import Outcome, describe_repairs
from tests.stack.words import Services, Victim, open_house

STEPS: Final = {
    "voids read": Halt("get", AFTER, argument="voids/"),
    "objects counted": Halt("list_page", AFTER, argument="packs/"),
    "recording registered, before COMMIT": Halt("commit", BEFORE, within="register_recording"),
    "recording registered": Halt("register_recording", AFTER),
    "tombstone given back": Halt("delete_recording", AFTER),
    "certificate given back": Halt("restore_certificate", AFTER),
    "object read back": Halt("get", AFTER, argument="packs/"),
    "rows placed, before COMMIT": Halt("commit", BEFORE, within="place"),
    "rows placed": Halt("place", AFTER),
    "progress saved": Halt("save_pass", AFTER),
    "waste settled": Halt("settle_objects", AFTER),
    "recordings settled": Halt("settle_recordings", AFTER),
    "installation id written": Halt("write_installation", AFTER),
    "before the end is noted": Halt("finish_pass", BEFORE),
}


def run_cell(services: Services, step: str, victim: Victim) -> Outcome:
    """Kill it there; the same word again gives the ledger back as it was, and audits find it right."""
    with services.database() as url, services.database() as empty_url:
        bucket = services.bucket(victim)
        # Given a bucket, and a ledger that burns down
        sent = asyncio.run(_furnish(url, bucket))

        # When the victim dies there
        began_s = time.monotonic()
        ended = services.run_and_kill("rebuild-ledger", STEPS[step], victim, empty_url, bucket)

        # Then the same word goes on to the end, where it did not reach it without the victim
        if ended.code != 0:
            again = services.run("rebuild-ledger", empty_url, bucket)
            assert again.code == 0, again.told
        back_s = time.monotonic() - began_s
        asyncio.run(_check_equal(url, empty_url, bucket, sent))
        first, second = audit_twice(empty_url, bucket)
        assert second == {}, "the second audit changed something (I5)"
        told = describe_repairs(first)
        return Outcome(step, victim, ended.words, told, "-" if ended.code == 0 else "rebuild-ledger", back_s, 0, 0)


async def _furnish(url: str, bucket: BucketSettings) -> dict[Part, bytes]:
    """What every rebuild is shown, and a recording with a voided loser."""
    async with open_house(url, bucket) as house:
        await Burnt(house, house).settle()
        await furnish(house)
        part = (await house.register(), 0)
        await house.own(part)
        loser = await house.own(part, version=1)
        await store_void(house.store, loser.object_id, [row_of_own(part, loser, 1)])
        return house.sent


async def _check_equal(url: str, rebuilt_url: str, bucket: BucketSettings, sent: dict[Part, bytes]) -> None:
    """Rows, documents and places as before, deleted and voided contents left out, and every chunk served."""
    async with open_house(url, bucket) as before, open_house(rebuilt_url, bucket) as after:
        before.sent, after.sent = sent, dict(sent)
        await Burnt(before, after).check_equal()
