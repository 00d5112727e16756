"""What locks must keep (client_py.ports.Locks), as checks in plain Python: for the fakes and for real Web Locks.

`open_locks` gives another view of the same locks each time; each check uses names of its own.
"""

import asyncio
from collections.abc import Callable

from client_py.ports import Locks

OpenLocks = Callable[[], Locks]


async def check_a_held_lock_is_not_given_to_another(open_locks: OpenLocks) -> None:
    held = await open_locks().acquire("contract:held")
    assert await open_locks().try_acquire("contract:held") is None
    held.release()
    held.release()
    again = await open_locks().acquire("contract:held")
    again.release()


async def check_try_acquire_takes_a_free_lock_at_once(open_locks: OpenLocks) -> None:
    held = await open_locks().try_acquire("contract:free")
    assert held is not None
    assert await open_locks().try_acquire("contract:free") is None
    held.release()


async def check_waiters_are_served_in_order(open_locks: OpenLocks) -> None:
    order: list[int] = []
    first = await open_locks().acquire("contract:order")

    async def wait_in_line(number: int) -> None:
        lock = await open_locks().acquire("contract:order")
        order.append(number)
        lock.release()

    waiters = []
    for number in range(3):
        waiters.append(asyncio.create_task(wait_in_line(number)))
        await asyncio.sleep(0)  # each takes its place before the next comes
    assert order == []
    first.release()
    await asyncio.gather(*waiters)
    assert order == [0, 1, 2]


async def check_a_cancelled_waiter_gives_up_its_place(open_locks: OpenLocks) -> None:
    first = await open_locks().acquire("contract:cancel")
    waiter = asyncio.create_task(open_locks().acquire("contract:cancel"))
    await asyncio.sleep(0)
    waiter.cancel()
    try:
        await waiter
    except asyncio.CancelledError:
        pass
    else:
        raise AssertionError("the cancelled waiter got the lock")
    first.release()
    last = await open_locks().acquire("contract:cancel")  # would wait for ever if the waiter held it
    last.release()


async def check_held_names_shows_what_is_held(open_locks: OpenLocks) -> None:
    held = await open_locks().acquire("contract:shown")
    assert "contract:shown" in await open_locks().held_names()
    held.release()
    (await open_locks().acquire("contract:shown")).release()


CHECKS = [check for name, check in list(globals().items()) if name.startswith("check_")]
