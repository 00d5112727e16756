"""What `make soak` and `make bench-growth` say is what was measured; a filled ledger is one as the server writes it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from loadtest.check_bytes import read_rows
from loadtest.growth import fill_ledger
from loadtest.machine import Resident
from loadtest.plot_growth import draw_connections, draw_ledger, read_table
from loadtest.soak import read_minutes, slope_mb_per_min
from loadtest.workload import expected_body, recording_id_of
from tests.loadtest.conftest import Witness

ROOT = Path(__file__).resolve().parent.parent.parent
TABLE = """# Speed

- machine: one | with a bar

| rows before | connections | acks/s | p50 | p99 | longest | API |
|---|---|---|---|---|---|---|
| 0 | 1 | 150 | 6.0 | 9.0 | 12.0 | 900 |
| 0 | 64 | 4000 | 12.0 | 40.0 | 52.0 | 80 |
| 1000000 | 1 | 140 | 6.5 | 9.9 | 13.0 | 910 |
| 1000000 | 64 | 3900 | 12.5 | 44.0 | 55.0 | 81 |
"""


def test_the_slope_is_that_of_the_memory_after_the_first_minute() -> None:
    grows = [
        Resident(at_s, {"API": 10_000_000 if at_s < 60 else 50_000_000 + at_s * 50_000}) for at_s in range(0, 600, 5)
    ]
    assert slope_mb_per_min(grows, "API") == pytest.approx(3.0)
    assert slope_mb_per_min([Resident(each.at_s, {"API": 7}) for each in grows], "API") == pytest.approx(0.0)


def test_a_filled_ledger_holds_rows_as_loose_chunks_leave_them(module_database_url: str) -> None:
    fill_ledger(module_database_url, 0, 700)
    fill_ledger(module_database_url, 700, 1_500)
    rows = list(read_rows(module_database_url))
    assert {row.chunk_id for row in rows} == {f"filled-{n}" for n in range(1_500)}
    assert all(row.recording_id == recording_id_of(row.chunk_id or "") for row in rows)
    assert len({row.key for row in rows}) == 3, "512 to a pack"
    assert len({(row.key, row.offset) for row in rows}) == 1_500
    with psycopg.connect(module_database_url) as connection:
        lost = "select count(*) from chunks where object_id not in (select object_id from objects)"
        assert connection.execute(lost).fetchone() == (0,)


def test_every_measured_point_is_in_the_plot() -> None:
    rows = read_table(TABLE)
    assert rows[3] == {
        "rows before": 1e6, "connections": 64, "acks/s": 3900, "p50": 12.5, "p99": 44, "longest": 55, "API": 81,
    }  # fmt: skip
    assert draw_ledger(TABLE).count("<circle") == 2 * len(rows), "throughput and p99"
    assert draw_connections(TABLE).count("<circle") == 3 * len(rows), "throughput, p50 and p99"


def test_soak_sends_the_assignments_chunks_and_sums_up_by_the_minute(witness: Witness, tmp_path: Path) -> None:
    k6 = shutil.which("k6", path=str(Path(sys.executable).parent))
    assert k6, "k6 is one of requirements/test.txt"
    summary = tmp_path / "summary.json"
    settings = {
        "RUN": "r",
        "RATE": "5",
        "DURATION": "1s",
        "MINUTES": "2",
        "BASE_URL": f"http://127.0.0.1:{witness.server_port}",
    }
    environment = [argument for name, value in settings.items() for argument in ("-e", f"{name}={value}")]
    files = ["--console-output", str(tmp_path / "k6.log"), "--summary-export", str(summary)]
    trends = ["--summary-trend-stats", "med,p(95),p(99),max"]
    script = str(ROOT / "loadtest" / "soak.js")
    command = [k6, "run", "--no-usage-report", "-q", *trends, *environment, *files, script]
    subprocess.run(command, check=True, timeout=120, capture_output=True)
    first, second = read_minutes(summary, 2)
    sent = json.loads(summary.read_text())["metrics"]["iterations"]["count"]
    received = {body["chunkId"]: body["data"] for body in map(json.loads, (body for _, body in witness.bodies))}
    assert received == {f"r-{n}": expected_body("r", n).decode() for n in range(sent)}
    assert (first.max_ms > 0, second.max_ms) == (True, 0), "nothing was sent in the second minute"
