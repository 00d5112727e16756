"""When passes run: asked for or due, in one process at a time, and on from where another process died."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from server.audit.jobs import READERS, OnProgress, read_audit_report
from server.audit.schedule import Schedule
from server.audit.tally import Tally
from server.audit.vitals import Vitals
from server.metrics import Metrics
from server.storage.memory_audit_ledger import MemoryAuditLedger
from server.storage.memory_ledger import MemoryLedger
from tests.server.audit.scene import Scene


class Steps:
    """A job of three steps; `stop` may end it after one of them."""

    kind = "audit"

    def __init__(self, every_s: float = 0, stop: Callable[[int], None] = lambda _: None) -> None:
        self.every_s = every_s
        self._stop = stop
        self.begun_at: list[str] = []

    async def run(self, began_at: datetime, progress: str, on_progress: OnProgress) -> str:
        self.begun_at.append(progress)
        for step in range(int(progress or 0), 3):
            self._stop(step)
            on_progress(str(step + 1), Tally())
        return '{"standing": "finished"}'


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 24, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(microseconds=1)
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def audit_ledger(clock: Clock) -> MemoryAuditLedger:
    return MemoryAuditLedger(ledger=MemoryLedger(clock))


def die(at: int) -> Callable[[int], None]:
    """A process that dies in its step `at`."""

    def stop(step: int) -> None:
        if step == at:
            raise asyncio.CancelledError

    return stop


async def test_nothing_runs_that_is_neither_due_nor_asked_for(audit_ledger: MemoryAuditLedger) -> None:
    job = Steps(every_s=0)
    assert not await Schedule(audit_ledger, [job]).run_due(job)
    assert job.begun_at == []


async def test_what_is_asked_for_runs_once(audit_ledger: MemoryAuditLedger) -> None:
    job = Steps()
    schedule = Schedule(audit_ledger, [job])
    await schedule.ask("audit")
    assert await schedule.run_due(job)
    assert not await schedule.run_due(job)
    assert read_audit_report(await audit_ledger.read_pass("audit")).standing == "finished"


async def test_a_pass_is_due_again_some_time_after_the_last_one_ended(
    audit_ledger: MemoryAuditLedger, clock: Clock
) -> None:
    job = Steps(every_s=3_600)
    schedule = Schedule(audit_ledger, [job])
    assert not await schedule.run_due(job)  # a new ledger has nothing to audit
    for _ in range(2):
        clock.now += timedelta(seconds=3_601)
        assert await schedule.run_due(job)
        assert not await schedule.run_due(job)


async def test_one_process_at_a_time_runs_it(audit_ledger: MemoryAuditLedger) -> None:
    job = Steps()
    await audit_ledger.ask_pass("audit")
    assert await audit_ledger.take_pass("audit", Schedule(audit_ledger, [])._holder, every_s=0, lease_s=30)
    assert not await Schedule(audit_ledger, [job]).run_due(job)


async def test_another_process_goes_on_where_one_stopped(audit_ledger: MemoryAuditLedger) -> None:
    first, second = Steps(stop=die(at=2)), Steps()
    await audit_ledger.ask_pass("audit")
    with pytest.raises(asyncio.CancelledError):
        await Schedule(audit_ledger, [first]).run_due(first)
    assert await Schedule(audit_ledger, [second]).run_due(second)
    assert second.begun_at == ["2"]


async def test_another_process_takes_over_from_one_that_is_silent(
    audit_ledger: MemoryAuditLedger, clock: Clock
) -> None:
    await audit_ledger.ask_pass("audit")
    taken = await audit_ledger.take_pass("audit", Schedule(audit_ledger, [])._holder, every_s=0, lease_s=30)
    assert taken is not None and await audit_ledger.save_pass(taken, "1", lease_s=30)
    clock.now += timedelta(seconds=31)
    job = Steps()
    assert await Schedule(audit_ledger, [job]).run_due(job)
    assert job.begun_at == ["1"]
    # The silent one comes back: it neither saves over the other's pass nor ends it.
    assert not await audit_ledger.save_pass(taken, "2", lease_s=30)
    assert not await audit_ledger.finish_pass(taken, "{}")


async def test_an_audit_that_was_asked_for_starts_over_and_does_not_count_what_was_seen_before(
    audit_ledger: MemoryAuditLedger,
) -> None:
    first, second = Steps(stop=die(at=2)), Steps()
    await audit_ledger.ask_pass("audit")
    with pytest.raises(asyncio.CancelledError):
        await Schedule(audit_ledger, [first]).run_due(first)
    await audit_ledger.ask_pass("audit")
    assert await Schedule(audit_ledger, [second]).run_due(second)
    assert second.begun_at == [""]


async def test_who_asks_and_waits_gets_a_pass_that_began_afterwards(audit_ledger: MemoryAuditLedger) -> None:
    job = Steps()
    schedule = Schedule(audit_ledger, [job])
    running = asyncio.create_task(schedule.run())
    for _ in range(2):
        state = await schedule.ask_and_wait("audit", wait_s=30)
        assert state.progress is None and state.asked_at is not None and state.began_at is not None
        assert state.began_at > state.asked_at
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert len(job.begun_at) == 2


async def test_a_life_that_did_not_end_well_is_seen_at_the_next_start_of_the_same_server(scene: Scene) -> None:
    ids = [scene.recording_id, *[type(scene.recording_id)(int=scene.recording_id.int + n) for n in range(1, 5)]]
    assert await scene.audit_ledger.begin_life("here", ids[0])
    assert await scene.audit_ledger.begin_life("elsewhere", ids[1])
    assert not await scene.audit_ledger.begin_life("here", ids[2])
    assert await scene.audit_ledger.begin_life("here", ids[2])  # a repeat ends nobody's life, its own least of all
    await scene.audit_ledger.end_life(ids[2])
    assert await scene.audit_ledger.begin_life("here", ids[3])


@pytest.mark.parametrize("kind", READERS)
async def test_the_age_of_the_last_pass_of_each_kind_is_a_metric(scene: Scene, kind: str) -> None:
    await scene.audit_ledger.ask_pass(kind)
    taken = await scene.audit_ledger.take_pass(kind, scene.recording_id, every_s=0, lease_s=30)
    assert taken is not None
    assert await scene.audit_ledger.finish_pass(taken, '{"standing": "finished", "duration_s": 2.5}')
    metrics = Metrics()
    await Vitals(scene.audit_ledger, metrics, unrecoverable_after_s=3_600).look()
    text = metrics.render().decode()
    assert f'holdfast_pass_duration_seconds{{pass="{kind}"}} 2.5' in text
    assert f'holdfast_pass_age_seconds{{pass="{kind}"}}' in text


async def test_findings_are_metrics(scene: Scene) -> None:
    await scene.register()
    await scene.store.delete((await scene.store_own(0)).key)
    await scene.audit()
    metrics = Metrics()
    vitals = Vitals(scene.audit_ledger, metrics, unrecoverable_after_s=3_600)
    await vitals.look()
    text = metrics.render().decode()
    assert 'holdfast_findings_unresolved{kind="missing"} 1.0' in text
    assert "holdfast_chunks_wanted 1.0" in text
    await scene.store_own(0)
    await vitals.look()
    assert 'holdfast_findings_unresolved{kind="missing"} 0.0' in metrics.render().decode()
