"""The rate of a pass: bytes have their time one after another, whoever asks."""

import asyncio

import pytest

from server.audit.pace import Pace


class Hours:
    """A clock that a pause moves on; its pauses end in the order of their ends."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.pauses: list[float] = []

    def read_s(self) -> float:
        return self.now_s

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now_s += seconds


async def test_bytes_have_their_time_one_after_another() -> None:
    hours = Hours()
    pace = Pace(10, hours.pause, hours.read_s)
    began_at_s: list[float] = []
    for byte_count in (100, 20, 50, 0):
        await pace.take_turn(byte_count)
        began_at_s.append(hours.now_s)
    assert began_at_s == [0, 10, 12, 17]
    assert pace.waited_s == 17


async def test_time_that_nobody_used_is_not_made_up_for() -> None:
    hours = Hours()
    pace = Pace(10, hours.pause, hours.read_s)
    await pace.take_turn(100)
    hours.now_s = 3_600
    await pace.take_turn(100)
    await pace.take_turn(0)
    assert hours.pauses == [10]


async def test_many_who_ask_at_once_share_one_rate() -> None:
    hours = Hours()
    turns: list[float] = []

    async def note(seconds: float) -> None:
        turns.append(seconds)

    pace = Pace(10, note, hours.read_s)
    await asyncio.gather(*(pace.take_turn(50) for _ in range(4)))
    assert turns == [5, 10, 15]


@pytest.mark.parametrize("byte_count", [0, 1 << 40])
async def test_without_a_rate_nobody_waits(byte_count: int) -> None:
    hours = Hours()
    pace = Pace(0, hours.pause, hours.read_s)
    await pace.take_turn(byte_count)
    await pace.take_turn(byte_count)
    assert hours.pauses == []
