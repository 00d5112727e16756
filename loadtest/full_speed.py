"""As many chunks a second as the server acknowledges, by wrk (full_speed.lua); then the audit of every byte.

wrk waits for each answer before it sends on the same connection, so this is throughput, and latency at that throughput;
for a constant rate see assignment.js. Each measurement has a fresh server, bucket and ledger.
"""

import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from loadtest.check_bytes import Verdict, audit, read_rows
from loadtest.embedded_stores import find_bucket, find_database_url
from loadtest.k6_run import LoadError
from loadtest.machine import read_cpu_s
from loadtest.served import Served, serve
from loadtest.workload import Run
from scripts import debian

ROOT: Final = Path(__file__).resolve().parent.parent
SCRIPT: Final = ROOT / "loadtest" / "full_speed.lua"
FIRST_N: Final = 10_000_001  # wrk asks full_speed.lua for one request that it does not send
_SAMPLE_EVERY_S: Final = 0.2


@dataclass(frozen=True)
class Speed:
    """One measurement; times are milliseconds, `cpu_us` is processor time an acknowledgement by component."""

    connections: int
    acks_per_s: float
    acknowledged: int
    refused: int  # answered otherwise than 2xx
    strange: int  # answered otherwise than 200 or 503, where that was counted
    broken: int  # connections that failed
    p50_ms: float
    p99_ms: float
    max_ms: float
    cpu_us: dict[str, float]
    api_rss_mib_max: float
    verdict: Verdict | None


def find_wrk() -> str:
    """wrk of this machine, from Debian's package where that may be installed. Raises `LoadError`."""
    if shutil.which("wrk") is None and debian.may_install():
        debian.install_packages("wrk", next_step="install wrk by hand, then run the same again")
    found = shutil.which("wrk")
    if found is None:
        raise LoadError(
            "there is no wrk on PATH: install it (Debian, Ubuntu: apt-get install wrk; macOS: brew install wrk)"
        )
    return found


@contextmanager
def fresh_server(port: int, settings: Mapping[str, str]) -> Iterator[Served]:
    """A server with nothing stored, on a disk; its folder goes at the end."""
    (ROOT / ".build").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=ROOT / ".build"))
    with serve(folder, port, settings) as served:
        yield served
    shutil.rmtree(folder)


def measure(served: Served, connections: int, seconds: int, *, audits: bool = True) -> Speed:
    """Load the fresh server with so many connections; `audits`: then count every byte. Raises `LoadError`."""
    run_name = f"wrk{time.time_ns() // 1_000_000}"
    command = [find_wrk(), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(SCRIPT)]
    command.append(f"http://127.0.0.1:{served.port}/api/chunks/upload")
    environment = {**os.environ, "RUN": run_name} | ({} if audits else {"COUNT_STATUSES": "1"})
    before = read_cpu_s(served.pid)
    with _watch_rss(served.pid) as highest:
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    after = read_cpu_s(served.pid)
    line = next((line for line in ran.stdout.splitlines() if line.startswith("{")), None)
    if line is None:
        raise LoadError(f"wrk said nothing that can be read:\n{ran.stdout[-2_000:]}{ran.stderr[-2_000:]}")
    told = json.loads(line)
    acknowledged = told["requests"] - told["not_2xx"]
    verdict = _audit(served, Run(run_name, *_sent(acknowledged, connections), FIRST_N)) if audits else None
    return Speed(
        connections=connections,
        acks_per_s=acknowledged / (told["duration_us"] / 1e6),
        acknowledged=acknowledged,
        refused=told["not_2xx"],
        strange=told["strange"],
        broken=told["broken"],
        p50_ms=told["p50_us"] / 1e3,
        p99_ms=told["p99_us"] / 1e3,
        max_ms=told["max_us"] / 1e3,
        cpu_us={name: (after[name] - before.get(name, 0.0)) * 1e6 / max(1, acknowledged) for name in sorted(after)},
        api_rss_mib_max=highest[0] / 2**20,
        verdict=verdict,
    )


def _sent(acknowledged: int, connections: int) -> tuple[int, dict[int, int]]:
    """(sent, not known to be acknowledged): wrk stops with one request in the air on each connection.

    Those are among the last that it sent; four a connection allow for answers that took several rounds.
    """
    sent = acknowledged + connections
    open_from = max(0, sent - 4 * connections)
    return sent, {FIRST_N + n: 0 for n in range(open_from, sent)}


def _audit(served: Served, run: Run) -> Verdict:
    bucket = find_bucket(served.folder / "data").open_reader()
    try:
        return audit(run, read_rows(find_database_url(served.folder / "data")), bucket.read_all())
    finally:
        bucket.close()


@contextmanager
def _watch_rss(root_pid: int) -> Iterator[list[int]]:
    """The highest resident memory of all API processes together so far, in bytes."""
    highest, is_over = [0], threading.Event()

    def watch() -> None:
        while not is_over.wait(_SAMPLE_EVERY_S):
            together = 0
            for process in psutil.Process(root_pid).children(recursive=True):
                try:
                    if "server.worker_process" in process.cmdline():
                        together += process.memory_info().rss
                except psutil.Error:
                    continue
            highest[0] = max(highest[0], together)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield highest
    finally:
        is_over.set()
        watcher.join()
