"""The bytes that read-backs hold at once stay under their bound, and nobody waits for ever."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from server.recordings.byte_budget import ByteBudget


@given(st.lists(st.integers(1, 150), min_size=1, max_size=30))
async def test_what_is_held_never_exceeds_the_bound_and_everybody_is_served(sizes: list[int]) -> None:
    budget = ByteBudget(100)
    held: list[int] = []
    served = 0

    async def hold(size: int, turns: int) -> None:
        nonlocal served
        async with budget.take(size):
            held.append(min(size, 100))
            assert sum(held) <= 100
            for _ in range(turns):
                await asyncio.sleep(0)
            held.remove(min(size, 100))
            served += 1

    await asyncio.gather(*(hold(size, turns=size % 7) for size in sizes))
    assert served == len(sizes)


async def test_a_large_object_is_not_overtaken_for_ever_by_small_ones() -> None:
    budget = ByteBudget(100)
    order: list[int] = []

    async def hold(size: int) -> None:
        async with budget.take(size):
            order.append(size)
            await asyncio.sleep(0)

    await asyncio.gather(*(hold(size) for size in (60, 90, 10, 20)))
    assert order == [60, 90, 10, 20]


async def test_one_who_gives_up_waiting_holds_nothing_and_stops_nobody() -> None:
    budget = ByteBudget(100)

    async def hold(size: int) -> None:
        async with budget.take(size):
            await asyncio.sleep(0)

    async with budget.take(60):
        waiting = asyncio.create_task(hold(90))
        behind = asyncio.create_task(hold(30))
        await asyncio.sleep(0)
        waiting.cancel()
        await behind
    await hold(100)
    assert waiting.cancelled() or waiting.done()
