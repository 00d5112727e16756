"""Recorders at once, as `python -m loadtest.recorders` lets them record: each receipt is of a chunk that stands."""

from pathlib import Path

import psycopg

from loadtest.embedded_stores import find_database_url
from loadtest.recorders import measure_recorders
from loadtest.served import Served
from tests.integration.server_process import ServerProcess


async def test_as_many_chunks_stand_as_were_measured(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server:
        server.wait_until_ready()
        served = Served(server.pid, server.port, server.base_url, tmp_path)
        found = await measure_recorders(served, 3, seconds=0.5, warm_up_s=0.0)
        with psycopg.connect(find_database_url(tmp_path / "data")) as connection:
            rows = connection.execute("select count(*), count(distinct recording_id) from chunks").fetchone()
    assert rows is not None
    assert (found.recorders, rows[1]) == (3, 3)
    assert rows[0] >= 6 and 0 < found.p50_ms <= found.p99_ms
    assert found.acks_per_s > 0
