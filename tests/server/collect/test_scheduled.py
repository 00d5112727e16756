"""Collect on the server's own schedule: it runs by itself when it is due, once at a time, and on from a death."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from server.audit.jobs import COLLECT, read_collect_report
from server.audit.wiring import AuditParts, build_audit_parts
from server.recordings.describing import trust_installation
from server.settings import read_settings
from server.storage.blob_store import BlobStore
from server.storage.collect_ledger import CollectLedger
from tests.server.collect.house import Clock, House, bytes_of
from tests.server.recordings.watched import Watched

EVERY_S = 3_600


def process_of(
    house: House,
    folder: Path,
    store: BlobStore | None = None,
    collected: CollectLedger | None = None,
    every_s: int = EVERY_S,
) -> AuditParts:
    """What one API process has for passes, over the house's stores."""
    environ = {
        "HOLDFAST_WEB_DIR": str(folder),
        "HOLDFAST_DATA_DIR": str(folder),
        "HOLDFAST_COLLECT_EVERY_S": str(every_s),
        "HOLDFAST_GRACE_S": "60",
    }
    settings = read_settings(environ)
    return build_audit_parts(
        settings,
        house.ledger,
        house.audited,
        collected or house.collected,
        store or house.store,
        trust_installation,
    )


async def delete_one(house: House) -> bytes:
    """A recording whose object waits to be collected; its bytes."""
    gone = await house.register()
    await house.own((gone, 0))
    await house.delete(gone)
    return bytes_of((gone, 0))


async def read_report(house: House) -> Any:
    return read_collect_report(await house.audited.read_pass(COLLECT))


async def test_what_was_deleted_leaves_the_bucket_without_anybody_asking(
    memory: House, clock: Clock, tmp_path: Path
) -> None:
    process = process_of(memory, tmp_path)
    assert not await process.schedule.run_due(process.collect_job)  # a new ledger has nothing to collect
    gone = await delete_one(memory)
    for _ in range(2):
        clock.advance(EVERY_S + 1)
        assert await process.schedule.run_due(process.collect_job)
        assert not await process.schedule.run_due(process.collect_job)
    assert await memory.where_is(gone) == []
    assert (await read_report(memory)).erased == 1


async def test_with_0_it_runs_only_when_somebody_asks(memory: House, clock: Clock, tmp_path: Path) -> None:
    process = process_of(memory, tmp_path, every_s=0)
    clock.advance(10 * EVERY_S)
    assert not await process.schedule.run_due(process.collect_job)
    await process.schedule.ask(COLLECT)
    assert await process.schedule.run_due(process.collect_job)


async def test_the_schedule_of_a_process_has_it_among_its_jobs(memory: House, tmp_path: Path) -> None:
    process = process_of(memory, tmp_path)
    running = asyncio.create_task(process.schedule.run())
    try:
        state = await process.schedule.ask_and_wait(COLLECT, wait_s=30)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert read_collect_report(state).standing == "finished"


async def test_two_processes_never_collect_at_once(memory: House, clock: Clock, tmp_path: Path) -> None:
    begun, may_go_on = asyncio.Event(), asyncio.Event()

    async def wait_in_the_middle(name: str, _: Any) -> None:
        if name == "delete":
            begun.set()
            await may_go_on.wait()

    held_up = Watched(memory.store, before=wait_in_the_middle)
    first, second = process_of(memory, tmp_path, held_up.port), process_of(memory, tmp_path)
    await delete_one(memory)
    clock.advance(EVERY_S + 1)
    await first.schedule.ask(COLLECT)
    running = asyncio.create_task(first.schedule.run_due(first.collect_job))
    await begun.wait()
    # Even where somebody asks again: that is a pass of its own, after this one.
    clock.advance(1)
    await second.schedule.ask(COLLECT)
    assert not await second.schedule.run_due(second.collect_job)
    assert (await read_report(memory)).standing == "running"
    may_go_on.set()
    assert await running
    assert await second.schedule.run_due(second.collect_job)


async def test_another_process_goes_on_after_one_ended_in_the_middle_and_counts_what_that_did(
    memory: House, clock: Clock, tmp_path: Path
) -> None:
    gone = await delete_one(memory)
    clock.advance(EVERY_S + 1)

    async def end_after_the_deletions(name: str, _: Any) -> None:
        if name == "list_waste":
            raise asyncio.CancelledError

    ending = Watched(memory.collected, before=end_after_the_deletions)
    first, second = process_of(memory, tmp_path, collected=ending.port), process_of(memory, tmp_path)
    await first.schedule.ask(COLLECT)
    with pytest.raises(asyncio.CancelledError):
        await first.schedule.run_due(first.collect_job)
    assert (await read_report(memory)).deleted_so_far == 1
    assert await second.schedule.run_due(second.collect_job)
    assert await memory.where_is(gone) == []
    assert (await read_report(memory)).deleted == 1
