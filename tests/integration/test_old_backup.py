"""Drills: a store is lost, and an old backup of it is restored while the other store is of today (docs/OPERATING.md).

With a real bucket and PostgreSQL, its pg_dump and pg_restore: nothing that was deleted since comes back, and what was
acknowledged since is there again, by itself where the bucket is of today, and by its clients where it is not.
"""

import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final
from uuid import UUID

import pytest

from protocol.states import ChunkState, RecordingState, Verification
from protocol.wire import ChunkClaim
from server.audit.tally import Tally
from server.embedded import EmbeddedServices
from server.installation import compare_installation, establish_installation
from server.recordings.verification import Verifier
from server.services.postgres_service import find_programs
from server.storage.bucket_settings import BucketSettings
from server.storage.ledger import LIST_ROWS_MAX
from server.storage.minio_blob_store import MinioBlobStore
from server.storage.postgres_ledger import PostgresLedger
from tests.conftest import fresh_database
from tests.server.audit.scene import repairs
from tests.server.collect.house import House, Part, bytes_of
from tests.server.rebuild.burnt import Burnt
from tests.stack.audits import auditor_of

_TOOL_LIMIT_S: Final = 120


def run_tool(name: str, *arguments: str) -> None:
    """A program of PostgreSQL, of the server's own version."""
    done = subprocess.run(
        [find_programs() / name, *arguments], capture_output=True, text=True, check=False, timeout=_TOOL_LIMIT_S
    )
    assert done.returncode == 0, done.stderr


@dataclass
class Life:
    """What clients may rely on in the end, and what must never be seen again."""

    sent: dict[Part, bytes]
    complete: UUID
    deleted: dict[UUID, list[bytes]]


@pytest.fixture
async def store(bucket_settings: BucketSettings) -> AsyncIterator[MinioBlobStore]:
    """The bucket, which is never lost."""
    opened = MinioBlobStore(bucket_settings, threads=4)
    yield opened
    await opened.close()


@pytest.fixture
def restored_url(embedded_database: EmbeddedServices) -> Iterator[str]:
    """The database that the dump is restored into."""
    with fresh_database(embedded_database, template="template0") as url:
        yield url


async def live(url: str, store: MinioBlobStore, dump: Path) -> Life:
    """A dump in the middle of a life in which people record, delete, and collects run."""
    ledger = await PostgresLedger.open(url, pool_size=3)
    house = House(ledger, store)
    try:
        await establish_installation(ledger, store)
        stays, gone = await house.register(), await house.register()
        await house.pack((stays, 0), (gone, 0), ("loose-1", 0))
        await house.own((stays, 1))
        await house.own((gone, 1))
        # Given a dump of the ledger
        run_tool("pg_dump", "--format=custom", "--no-owner", f"--file={dump}", f"--dbname={url}")
        # And a life that goes on: recorded, certified, deleted before and after it was dumped, and collected
        newer, brief = await house.register(), await house.register()
        await house.pack((newer, 0), (brief, 0), (stays, 2), ("loose-2", 0))
        await house.own((newer, 1))
        await house.complete(newer, 2)
        await house.delete(gone)
        await house.delete(brief)
        for _ in range(3):
            await house.collect()
        await house.own((newer, 0), version=1)  # refused, as it would be ever after
        await house.check_all_is_served()
    finally:
        await ledger.close()
    deleted = {gone: [bytes_of((gone, 0)), bytes_of((gone, 1))], brief: [bytes_of((brief, 0))]}
    return Life(house.sent, newer, deleted)


async def audit(house: House) -> dict[str, int]:
    """What an audit for which every object is old enough found and did."""
    assert isinstance(house.ledger, PostgresLedger)
    tally = Tally()

    async def go_on(_: Tally) -> None:
        pass

    await auditor_of(house.ledger, house.store).run(tally, go_on)
    return repairs(tally)


async def check_life(house: House, life: Life) -> None:
    """Everything acknowledged is served, and what was deleted is deleted in ledger and bucket."""
    house.sent = life.sent
    await house.check_all_is_served()
    complete = await house.ledger.find_recording(life.complete)
    assert complete is not None and complete.state is RecordingState.COMPLETE
    for recording_id, bodies in life.deleted.items():
        found = await house.ledger.find_recording(recording_id)
        assert found is not None and found.state is RecordingState.DELETED
        assert await house.ledger.list_chunks(recording_id, after_index=-1, limit=LIST_ROWS_MAX) == []
        for body in bodies:
            assert await house.where_is(body) == []


@pytest.mark.parametrize("way", ["audit", "rebuild-ledger --merge"])
async def test_an_old_dump_is_restored_and_nothing_deleted_comes_back_and_nothing_newer_is_lost(
    way: str, database_url: str, restored_url: str, store: MinioBlobStore, tmp_path: Path
) -> None:
    dump = tmp_path / "ledger.dump"
    life = await live(database_url, store, dump)
    # When the database is lost and the old dump restored
    run_tool("pg_restore", "--no-owner", "--exit-on-error", f"--dbname={restored_url}", str(dump))
    ledger = await PostgresLedger.open(restored_url, pool_size=3)
    house = House(ledger, store)
    try:
        assert (await compare_installation(ledger, store)).is_matched
        if way == "rebuild-ledger --merge":
            assert (await Burnt(house, house).rebuild(merges=True, grace_s=-1)).chunks > 0
        # The first finds what moved or is lost, the second its spare copies where the first came by them too early
        first = await audit(house)
        assert first.get("rerequested", 0) > 0, "rows of the dump point to objects that a collect has replaced since"
        await audit(house)
        # Then everything is as it was, another audit changes nothing (I5), and so it stays when collects run
        await check_life(house, life)
        assert await audit(house) == {}
        for _ in range(3):
            await house.collect()
        await check_life(house, life)
        assert await audit(house) == {}
    finally:
        await ledger.close()


async def test_an_old_copy_of_the_bucket_is_restored_and_what_it_lacks_is_asked_for_again(
    database_url: str, store: MinioBlobStore
) -> None:
    ledger = await PostgresLedger.open(database_url, pool_size=3)
    house = House(ledger, store)
    try:
        await establish_installation(ledger, store)
        stays, gone = await house.register(), await house.register()
        await house.pack((stays, 0), (gone, 0), ("loose-1", 0))
        await house.own((stays, 1))
        # Given a copy of the bucket, and a life that goes on: recorded, certified, deleted and collected
        copied = {key: await store.get(key) for key in await house.keys()}
        newer = await house.register()
        since: list[Part] = [(newer, 0), (newer, 1), (stays, 2), ("loose-2", 0)]
        await house.pack(*since)
        await house.complete(newer, 2)
        await house.delete(gone)
        for _ in range(3):
            await house.collect()
        life = Life(dict(house.sent), newer, {gone: [bytes_of((gone, 0))]})
        # When the bucket is lost and the old copy restored
        for key in await house.keys():
            await store.delete(key)
        for key, body in copied.items():
            await store.put(key, body)
        await audit(house)
        await audit(house)
        # Then exactly what came since is asked for: what had moved is found at its old place
        wanted = [part for part in life.sent if (await house.row(part)).state is ChunkState.WANTED]
        assert sorted(map(str, wanted)) == sorted(map(str, since))
        found = await ledger.find_recording(newer)
        assert found is not None and found.state is RecordingState.DAMAGED
        # And when its clients have sent it again and asked, all is as it was, and the deleted recording stays deleted
        await house.pack(*since)
        verifier = Verifier(ledger, store)
        claims = [ChunkClaim(chunk_index=part[1], sha256=sha256(bytes_of(part)).hexdigest()) for part in since[:2]]
        answer = await verifier.verify(newer, claims)
        assert [chunk.state for chunk in answer.chunks] == [Verification.VERIFIED] * 2
        await verifier.close()
        for _ in range(3):
            await house.collect()
            await audit(house)
        await check_life(house, life)
        assert await audit(house) == {}
    finally:
        await ledger.close()
