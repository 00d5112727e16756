"""Whoever was refused for want of room is read again in turn: a storm cannot take all of the processor for refusals."""

import asyncio

import pytest

from server import held_connections
from server.held_connections import LATELY_TICKS, REFUSALS_A_TICK, HeldConnections


class FakeConnection:
    """Knows whether it is read."""

    def __init__(self) -> None:
        self.is_read = True

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        self.is_read = True


class Room:
    """As much as a test says."""

    def __init__(self) -> None:
        self.room = 0

    def find(self) -> int:
        return self.room


@pytest.fixture
def room() -> Room:
    return Room()


@pytest.fixture
async def held(room: Room, monkeypatch: pytest.MonkeyPatch) -> HeldConnections:
    """Its ticks are the test's."""
    monkeypatch.setattr(held_connections, "TICK_S", 3600.0)
    return HeldConnections(room.find)


def hold(held: HeldConnections, count: int) -> list[FakeConnection]:
    connections = [FakeConnection() for _ in range(count)]
    for connection in connections:
        held.hold(connection)
    return connections


def read_count(connections: list[FakeConnection]) -> int:
    return sum(connection.is_read for connection in connections)


async def test_without_room_few_are_read_again_in_each_tick_the_oldest_first(held: HeldConnections) -> None:
    connections = hold(held, 3 * REFUSALS_A_TICK)
    assert read_count(connections) == 0
    held.release()
    assert read_count(connections) == read_count(connections[:REFUSALS_A_TICK]) == REFUSALS_A_TICK
    held.release()
    assert read_count(connections) == read_count(connections[: 2 * REFUSALS_A_TICK]) == 2 * REFUSALS_A_TICK


async def test_as_many_are_read_again_as_there_was_room_for_all_the_time(held: HeldConnections, room: Room) -> None:
    connections = hold(held, (LATELY_TICKS + 20) * REFUSALS_A_TICK)
    room.room = 7 * REFUSALS_A_TICK
    for _ in range(LATELY_TICKS - 1):
        held.release()
    assert read_count(connections) == (LATELY_TICKS - 1) * REFUSALS_A_TICK
    room.room = 5 * REFUSALS_A_TICK
    held.release()
    assert read_count(connections) == (LATELY_TICKS - 1 + 5) * REFUSALS_A_TICK


async def test_the_room_that_a_flush_leaves_for_a_moment_counts_for_nothing(held: HeldConnections, room: Room) -> None:
    connections = hold(held, 10 * LATELY_TICKS * REFUSALS_A_TICK)
    for tick in range(2 * LATELY_TICKS):
        room.room = 0 if tick % LATELY_TICKS == 0 else 1_000_000
        held.release()
    assert read_count(connections) == 2 * LATELY_TICKS * REFUSALS_A_TICK


async def test_one_that_is_closed_takes_no_turn_and_no_memory(held: HeldConnections) -> None:
    gone, *others = hold(held, 1 + REFUSALS_A_TICK)
    held.forget(gone)
    assert len(held) == REFUSALS_A_TICK
    held.release()
    assert read_count(others) == REFUSALS_A_TICK
    assert len(held) == 0


async def test_one_that_is_refused_again_while_it_is_held_keeps_its_turn(held: HeldConnections) -> None:
    connections = hold(held, 2 * REFUSALS_A_TICK)
    held.hold(connections[0])
    held.release()
    assert connections[0].is_read


async def test_the_ticks_go_on_until_nobody_is_held(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_connections, "TICK_S", 0.0)
    held = HeldConnections(room.find)
    connections = hold(held, 5 * REFUSALS_A_TICK)
    async with asyncio.timeout(60):
        while len(held):
            await asyncio.sleep(0)
    assert read_count(connections) == len(connections)
