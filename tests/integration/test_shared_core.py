"""On a real server: which threads and which of the database's processes keep to the worker's core."""

import os
from pathlib import Path

import psycopg
import pytest

from tests.integration.processes import wait_until
from tests.integration.server_process import ServerProcess

pytestmark = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is one core")

FLUSH_CONNECTIONS = 3


def backends_of(server: ServerProcess) -> list[int]:
    """The database's processes that serve the worker."""
    with psycopg.connect(server.database_url) as connection:
        rows = connection.execute(
            "select pid from pg_stat_activity where application_name = 'holdfast' and pid <> pg_backend_pid()"
        ).fetchall()
    return [pid for (pid,) in rows]


@pytest.mark.parametrize("word", ["yes", "no"])
def test_the_event_loop_and_its_flushes_share_a_core_and_nothing_else_does(tmp_path: Path, word: str) -> None:
    with ServerProcess(tmp_path / "data", environ={"HOLDFAST_SHARE_CORE": word}) as server:
        server.wait_until_ready()
        (worker,) = server.worker_pids()
        everywhere = os.sched_getaffinity(server.pid)
        core = os.sched_getaffinity(worker)
        assert (len(core) == 1) is (word == "yes")

        def on_its_core() -> list[int]:
            return [pid for pid in backends_of(server) if os.sched_getaffinity(pid) == core != everywhere]

        if word == "yes":
            wait_until(lambda: len(on_its_core()) == FLUSH_CONNECTIONS, "the flushes' backends to come")
        else:
            assert on_its_core() == []
        assert len(backends_of(server)) > FLUSH_CONNECTIONS
        beside = {int(task.name) for task in Path(f"/proc/{worker}/task").iterdir()} - {worker}
        assert beside
        assert [os.sched_getaffinity(thread) for thread in beside] == [everywhere] * len(beside)
