"""Workers that die are replaced, after a delay that grows and is bounded; ones that never come up end the start."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from server.worker_pool import START_FAILURES_MAX, WorkerPool, WorkersFailedError, describe_exit
from tests.integration.processes import wait_until

LONG_S = 1_000.0


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pool(clock: Clock, tmp_path: Path) -> WorkerPool:
    """One worker that ends at once: it is given no socket to listen on."""
    return WorkerPool(1, (), os.environ, tmp_path, clock)


def tend_until(pool: WorkerPool, is_true: Callable[[], bool]) -> None:
    def tend() -> bool:
        pool.tend()
        return is_true()

    wait_until(tend, "the worker to end")


def let_it_die(pool: WorkerPool) -> float:
    """Tend until the worker has ended; the seconds until another one is due."""
    tend_until(pool, lambda: pool.is_empty)
    return pool.seconds_until_due(LONG_S)


def test_each_failed_worker_is_followed_after_a_longer_delay_up_to_a_bound(pool: WorkerPool, clock: Clock) -> None:
    pool.has_served = True
    delays = []
    for _ in range(9):
        delays.append(let_it_die(pool))
        clock.now_s += delays[-1]
    assert delays[:4] == [0.25, 0.5, 1.0, 2.0]
    assert delays[-1] == delays[-2] == 10.0


def test_a_worker_that_lived_is_followed_at_once(pool: WorkerPool, clock: Clock) -> None:
    pool.has_served = True
    clock.now_s += let_it_die(pool)
    pool.tend()
    (first,) = pool.pids
    clock.now_s += 60
    tend_until(pool, lambda: pool.pids not in ([], [first]))
    let_it_die(pool)


def test_workers_that_never_served_end_the_start(pool: WorkerPool, clock: Clock) -> None:
    def tend_on() -> None:
        for _ in range(START_FAILURES_MAX):
            clock.now_s += let_it_die(pool)

    with pytest.raises(WorkersFailedError, match="code 2"):
        tend_on()


def test_no_worker_is_started_while_draining(pool: WorkerPool, clock: Clock) -> None:
    pool.drain()
    pool.tend()
    assert pool.is_empty


@pytest.mark.parametrize(("code", "words"), [(3, "code 3"), (-9, "SIGKILL"), (-200, "signal 200")])
def test_an_exit_code_is_said_in_words(code: int, words: str) -> None:
    assert describe_exit(code) == words
