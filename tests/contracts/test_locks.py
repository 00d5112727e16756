"""Every lock space keeps one contract; this runs it over those that CPython can run."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from client_py.local.memory_locks import MemoryLocks, MemoryLockSpace
from client_py.slots import Slots
from tests.contracts.locks_contract import CHECKS, OpenLocks


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_memory_locks_keep_the_contract(check: Callable[[OpenLocks], Awaitable[None]]) -> None:
    space = MemoryLockSpace()
    await check(lambda: MemoryLocks(space, "worker"))


async def test_a_dead_holder_gives_its_locks_to_whoever_waits() -> None:
    space = MemoryLockSpace()
    await MemoryLocks(space, "first").acquire("files:1")
    waiter = asyncio.create_task(MemoryLocks(space, "second").acquire("files:1"))
    await asyncio.sleep(0)
    space.kill("first")
    assert (await waiter).owner == "second"


async def test_four_slots_are_granted_and_the_fifth_waits_for_whichever_falls_free() -> None:
    space = MemoryLockSpace()
    held = [await Slots(MemoryLocks(space, f"tab-{number}")).acquire() for number in range(4)]
    fifth = asyncio.create_task(Slots(MemoryLocks(space, "tab-5")).acquire())
    await asyncio.sleep(0)
    assert not fifth.done()
    held[2].release()
    (await fifth).release()
    assert sorted(space.holders) == ["slot:0", "slot:1", "slot:3"]
    for lock in held:
        lock.release()
    assert not space.holders


async def test_a_cancelled_wait_for_a_slot_leaves_no_slot_taken() -> None:
    space = MemoryLockSpace()
    held = [await Slots(MemoryLocks(space, "tab-1")).acquire() for _ in range(4)]
    waiter = asyncio.create_task(Slots(MemoryLocks(space, "tab-2")).acquire())
    await asyncio.sleep(0)
    for lock in held:
        lock.release()
    waiter.cancel()
    await asyncio.gather(waiter, return_exceptions=True)
    assert not space.holders
