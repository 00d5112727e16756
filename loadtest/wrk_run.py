"""Runs wrk with one of the scripts here and reads what it measured.

wrk waits for each answer before it sends on the same connection, so this is throughput, and latency at that throughput.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from loadtest.k6_run import LoadError
from scripts import debian


@dataclass(frozen=True)
class Told:
    """What wrk says of one run; times are milliseconds."""

    requests: int  # answered
    seconds: float
    not_2xx: int
    broken: int  # connections that failed
    strange: int  # answers that the script calls strange, where it looks
    p50_ms: float
    p99_ms: float
    max_ms: float

    @property
    def succeeded(self) -> int:
        """Answers of the 200s."""
        return self.requests - self.not_2xx


def run_wrk(
    script: Path, url: str, connections: int, seconds: int, environment: Mapping[str, str], threads: int = 1
) -> Told:
    """Run the script for so many seconds; `environment` is what it reads by os.getenv. Raises `LoadError`."""
    command = [find_wrk(), f"-t{threads}", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(script)]
    own = {**os.environ, **environment}
    ran = subprocess.run([*command, url], env=own, capture_output=True, text=True, check=False)
    line = next((line for line in ran.stdout.splitlines() if line.startswith("{")), None)
    if line is None:
        raise LoadError(f"wrk said nothing that can be read:\n{ran.stdout[-2_000:]}{ran.stderr[-2_000:]}")
    told = json.loads(line)
    return Told(
        requests=told["requests"],
        seconds=told["duration_us"] / 1e6,
        not_2xx=told["not_2xx"],
        broken=told["broken"],
        strange=told["strange"],
        p50_ms=told["p50_us"] / 1e3,
        p99_ms=told["p99_us"] / 1e3,
        max_ms=told["max_us"] / 1e3,
    )


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
