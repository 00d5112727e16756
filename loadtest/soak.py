"""`make soak`: ten minutes at a rate that the machine holds easily; memory with its slope, latency by the minute.

Memory of the API processes, the bucket and the database is sampled all the time, and the line through the samples by
least squares is what "flat" means here. The first minute is left out of it: connections open, caches fill. After the
run every byte is counted (check_bytes.py).

Environment: RATE (a second; 2000), MINUTES (10), HOLDFAST_PORT (3000). Status 0 only when every arrival was sent and
answered 200, and every byte is accounted for; the slopes are for the reader to judge.
"""

import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from loadtest.check_bytes import Verdict, describe
from loadtest.k6_run import LoadError, Measured, run_k6
from loadtest.machine import Resident, describe_machine, read_cpu_s, watch_resident
from loadtest.run_load import RESULTS, audit_bytes, list_failures
from loadtest.served import Served, serve

ROOT: Final = Path(__file__).resolve().parent.parent
PROFILE: Final = ROOT / "loadtest" / "soak.js"
RATE: Final = 2_000
MINUTES: Final = 10
COMPONENTS: Final = ("API", "bucket", "database")
_SAMPLE_EVERY_S: Final = 5.0
_WARM_UP_S: Final = 60.0
_MIB: Final = 2**20


@dataclass(frozen=True)
class Minute:
    """What the requests sent in one minute took, in ms."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True)
class Soak:
    """One run; `resident` are the samples of memory, `cpu_s` is processor time by component."""

    rate: int
    minutes: list[Minute]
    measured: Measured
    verdict: Verdict
    errors: list[str]
    resident: list[Resident]
    cpu_s: dict[str, float]

    @property
    def failures(self) -> list[str]:
        """What keeps this run from counting as held."""
        return list_failures(self.measured, self.verdict, self.errors)


def slope_mb_per_min(samples: list[Resident], component: str, from_s: float = _WARM_UP_S) -> float:
    """The slope of the line through a component's samples from `from_s` on, by least squares; needs two samples."""
    chosen = [sample for sample in samples if sample.at_s >= from_s]
    at_min = [sample.at_s / 60 for sample in chosen]
    megabytes = [sample.bytes_of.get(component, 0) / 1e6 for sample in chosen]
    return statistics.linear_regression(at_min, megabytes).slope


def read_minutes(summary: Path, count: int) -> list[Minute]:
    """Latency by the minute, from k6's summary of soak.js."""
    metrics = json.loads(summary.read_text())["metrics"]
    times = [metrics[f"http_req_duration{{minute:{minute}}}"] for minute in range(count)]
    return [Minute(each["med"], each["p(95)"], each["p(99)"], each["max"]) for each in times]


def run_soak(served: Served, rate: int, minutes: int) -> Soak:
    """Load the fresh server and audit it. Raises `LoadError`."""
    settings = {"RATE": str(rate), "DURATION": f"{minutes}m", "MINUTES": str(minutes), "BASE_URL": served.url}
    before = read_cpu_s(served.pid)
    with watch_resident(served.pid, _SAMPLE_EVERY_S) as resident:
        measured = run_k6(PROFILE, f"soak{time.time_ns() // 1_000_000}", settings, served.folder)
    spent = {name: after - before.get(name, 0.0) for name, after in read_cpu_s(served.pid).items()}
    latency = read_minutes(served.folder / "k6-summary.json", minutes)
    print("soak: auditing every byte in bucket and ledger ...", flush=True)
    verdict = audit_bytes(served, measured.run)
    return Soak(rate, latency, measured, verdict, served.list_errors(), resident, spent | {"k6": measured.cpu_s})


def format_result(soak: Soak) -> str:
    """The result as a page that says how to get it again."""
    again = f"again: `make soak RATE={soak.rate} MINUTES={len(soak.minutes)}`"
    head = "\n".join(f"- {line}" for line in [*describe_machine(), again])
    slopes = "".join(
        f"| {name} | {_mean_mib(soak.resident, name, 60, 120):.0f} | {_mean_mib(soak.resident, name, -60):.0f} |"
        f" {max(sample.bytes_of.get(name, 0) for sample in soak.resident) / _MIB:.0f} |"
        f" {slope_mb_per_min(soak.resident, name):+.2f} |"
        f" {slope_mb_per_min(soak.resident, name, soak.resident[-1].at_s / 2):+.2f} |\n"
        for name in COMPONENTS
    )
    rows = "".join(
        f"| {n + 1} | {minute.p50_ms:.1f} | {minute.p95_ms:.1f} | {minute.p99_ms:.1f} | {minute.max_ms:.1f} | "
        + " | ".join(f"{_mean_mib(soak.resident, name, n * 60, n * 60 + 60):.0f}" for name in COMPONENTS)
        + " |\n"
        for n, minute in enumerate(soak.minutes)
    )
    sent = max(1, soak.measured.run.sent)
    costs = ", ".join(f"{name} {spent * 1e6 / sent:,.0f} µs" for name, spent in sorted(soak.cpu_s.items()))
    verdict, measured = soak.verdict, soak.measured
    ending = f"**FAILED**: {'; '.join(soak.failures)}." if soak.failures else "Held, and every byte is accounted for."
    harm = "" if verdict.is_clean else f"\n```\n{describe(verdict)}\n```\n"
    return (
        f"# {soak.rate:,}/s for {len(soak.minutes)} minutes\n\n{head}\n\n"
        f"{measured.run.sent:,} sent ({measured.iterations_per_s:,.0f}/s), {measured.dropped:,} dropped by k6,"
        f" {verdict.answered_200:,} answered 200; {verdict.ledger_rows:,} ledger rows,"
        f" {verdict.chunks_in_bucket:,} chunks in the bucket, {verdict.bytes_equal:,} equal byte for byte. Processor"
        f" time a request: {costs}.\n\n{ending}\n{harm}\n"
        f"## Memory\n\nResident, sampled every {_SAMPLE_EVERY_S:.0f} s; pages that PostgreSQL's processes share are"
        " counted once. The slope is that of the line through the samples by least squares, without the first"
        " minute.\n\n"
        "| part | MiB in the second minute | in the last | most | MB/min | MB/min in the second half |\n"
        f"|---|---|---|---|---|---|\n{slopes}\n"
        "## By the minute\n\nLatency in ms of the requests sent in that minute; mean memory in MiB.\n\n"
        f"| minute | p50 | p95 | p99 | longest | {' | '.join(COMPONENTS)} |\n|---|---|---|---|---|---|---|---|\n{rows}"
    )


def _mean_mib(samples: list[Resident], component: str, from_s: float, to_s: float = float("inf")) -> float:
    """Mean memory between these times; a negative `from_s` counts from the last sample."""
    begin_s = from_s if from_s >= 0 else samples[-1].at_s + from_s
    chosen = [sample.bytes_of.get(component, 0) for sample in samples if begin_s <= sample.at_s < to_s]
    return statistics.mean(chosen or [0]) / _MIB


def main() -> int:
    """One run; 0 when it was held and is clean."""
    rate, minutes = int(os.environ.get("RATE") or RATE), int(os.environ.get("MINUTES") or MINUTES)
    port = int(os.environ.get("HOLDFAST_PORT") or "3000")
    (ROOT / ".build").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="soak-", dir=ROOT / ".build"))
    try:
        with serve(folder, port) as served:
            print(f"soak: a fresh server is ready at {served.url}; {rate}/s for {minutes} minutes ...", flush=True)
            soak = run_soak(served, rate, minutes)
    except LoadError as error:
        print(f"soak: {error}\nsoak: logs are in {folder.relative_to(ROOT)}", file=sys.stderr)
        return 1
    text = format_result(soak)
    result = RESULTS / f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}-soak-{rate}.md"
    RESULTS.mkdir(exist_ok=True)
    result.write_text(text)
    print(f"{text}\nsoak: written to {result.relative_to(ROOT)}")
    if soak.failures:
        print(f"soak: FAILED: {'; '.join(soak.failures)}. Data and logs are kept in {folder.relative_to(ROOT)}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
