"""As many chunks a second as the server acknowledges, by wrk (full_speed.lua); then the audit of every byte.

For a constant rate see assignment.js. Each measurement has a fresh server, bucket and ledger, unless it says otherwise.
Alone, without the audit, and with what each step of a flush took: `python -m loadtest.full_speed`; to compare two
states of the code, in turns from a folder each.

Environment: CONNECTIONS (64), SECONDS (6), AWAKE (no: 1 keeps idle cores from sleeping), HOLDFAST_PORT (3000), and the
server's own.
"""

import os
import re
import shutil
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

from loadtest.bucket_contents import StrangeObject
from loadtest.check_bytes import LedgerRow, Verdict, audit, read_rows
from loadtest.embedded_stores import find_bucket, find_database_url
from loadtest.k6_run import LoadError
from loadtest.machine import cores_awake, read_cpu_s, watch_resident
from loadtest.served import Served, serve
from loadtest.workload import Run
from loadtest.wrk_run import run_wrk

ROOT: Final = Path(__file__).resolve().parent.parent
SCRIPT: Final = ROOT / "loadtest" / "full_speed.lua"
FIRST_N: Final = 10_000_001  # wrk asks full_speed.lua for one request that it does not send
_SAMPLE_EVERY_S: Final = 0.5
WARM_UP_S: Final = 2
# What `read_steps` calls a step: the ledger's by their name, the bucket's by the call.
_STEP: Final = {
    part: re.compile(
        rf'^holdfast_(?:flush|bucket)_seconds_{part}{{(?:step|call)="(put|look-up|acknowledge)"'
        r'(?:,what="pack")?} (\S+)$',
        re.MULTILINE,
    )
    for part in ("sum", "count")
}


@dataclass(frozen=True)
class Speed:
    """One measurement; times are milliseconds, `cpu_us` is processor time an acknowledgement by component."""

    run: Run
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
    cpu_s: dict[str, float]
    api_rss_mib_max: float
    verdict: Verdict | None


@contextmanager
def fresh_server(port: int, settings: Mapping[str, str]) -> Iterator[Served]:
    """A server with nothing stored, on a disk; its folder goes at the end. Prints where its log tells of errors."""
    (ROOT / ".build").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=ROOT / ".build"))
    with serve(folder, port, settings) as served:
        yield served
        if errors := served.list_errors():
            print(f"bench: the server logged {len(errors):,} errors, the first of them: {errors[0]}", flush=True)
    shutil.rmtree(folder)


def measure(
    served: Served,
    connections: int,
    seconds: int,
    *,
    audits: bool = True,
    notes_receipts: bool = False,
    pause_ms: float = 0.0,
) -> Speed:
    """Load the server with so many connections. Raises `LoadError`.

    `audits`: then count every byte. `notes_receipts`: some answers will be 503, so each receipt is noted, which costs
    wrk a little. `pause_ms`: how long a connection waits before it sends again.
    """
    run_name = f"wrk{time.time_ns() // 1_000_000}"
    noted = served.folder / f"{run_name}.acknowledged"
    environment = {"RUN": run_name, "PAUSE_MS": f"{pause_ms:g}"}
    if notes_receipts:
        environment["ACKNOWLEDGED"] = str(noted)
    before = read_cpu_s(served.pid)
    with watch_resident(served.pid, _SAMPLE_EVERY_S, only="API") as resident:
        told = run_wrk(SCRIPT, f"http://127.0.0.1:{served.port}/api/chunks/upload", connections, seconds, environment)
    after = read_cpu_s(served.pid)
    cpu_s = {name: after[name] - before.get(name, 0.0) for name in sorted(after)}
    run = (
        _read_noted(run_name, noted, told.requests + 2 * connections)
        if notes_receipts
        else Run(run_name, *_sent(told.succeeded, connections), FIRST_N)
    )
    return Speed(
        run=run,
        connections=connections,
        acks_per_s=told.succeeded / told.seconds,
        acknowledged=told.succeeded,
        refused=told.not_2xx,
        strange=told.strange,
        broken=told.broken,
        p50_ms=told.p50_ms,
        p99_ms=told.p99_ms,
        max_ms=told.max_ms,
        cpu_us={name: spent * 1e6 / max(1, told.succeeded) for name, spent in cpu_s.items()},
        cpu_s=cpu_s,
        api_rss_mib_max=max(sample.bytes_of.get("API", 0) for sample in resident) / 2**20,
        verdict=audit_run(served, run) if audits else None,
    )


def _sent(acknowledged: int, connections: int) -> tuple[int, dict[int, int]]:
    """(sent, not known to be acknowledged): wrk stops with one request in the air on each connection.

    Those are among the last that it sent; four a connection allow for answers that took several rounds.
    """
    sent = acknowledged + connections
    open_from = max(0, sent - 4 * connections)
    return sent, {FIRST_N + n: 0 for n in range(open_from, sent)}


def _read_noted(run_name: str, noted: Path, sent: int) -> Run:
    """The run in which exactly the noted chunks were acknowledged, of at most `sent`."""
    acknowledged = {int(line) for line in noted.read_text().split()}
    numbers = range(FIRST_N, FIRST_N + sent)
    return Run(run_name, sent, {n: 503 for n in numbers if n not in acknowledged}, FIRST_N)


def audit_run(served: Served, run: Run) -> Verdict:
    """Every byte of the run in the server's own bucket and ledger; what other runs of wrk left there is let be."""
    other_run = re.compile(rf"wrk(?!{re.escape(run.name.removeprefix('wrk'))}-)\d+-")
    others: set[UUID] = set()

    def own_rows() -> Iterator[LedgerRow]:
        for row in read_rows(find_database_url(served.folder / "data")):
            if row.chunk_id is not None and other_run.match(row.chunk_id):
                others.add(row.recording_id)
            else:
                yield row

    bucket = find_bucket(served.folder / "data").open_reader()
    try:
        # The audit reads the whole ledger before the bucket.
        found = (
            each for each in bucket.read_all() if isinstance(each, StrangeObject) or each.recording_id not in others
        )
        return audit(run, own_rows(), found)
    finally:
        bucket.close()


def format_speeds(speeds: Sequence[tuple[str, Speed]]) -> str:
    """A table, a measurement a line, each with what it is."""
    components = sorted({name for _, speed in speeds for name in speed.cpu_us})
    rows = "".join(
        f"| {name} | {speed.connections:,} | {speed.acks_per_s:,.0f} | {speed.p50_ms:.0f} / {speed.p99_ms:.0f} /"
        f" {speed.max_ms:.0f} | {speed.refused:,} / {speed.strange:,} / {speed.broken:,} |"
        f" {speed.api_rss_mib_max:.0f} | {' | '.join(f'{speed.cpu_us.get(part, 0.0):.0f}' for part in components)} |"
        f" {describe_audit(speed)} |\n"
        for name, speed in speeds
    )
    return (
        "| what | connections | acks/s | p50 / p99 / longest | not 2xx / neither 200 nor 503 / broken | API MiB |"
        f" {' | '.join(components)} | every byte counted afterwards |\n|{'---|' * (7 + len(components))}\n{rows}"
    )


def describe_audit(speed: Speed) -> str:
    """What the audit of this measurement says."""
    if speed.verdict is None:
        return "not audited"
    if speed.verdict.is_clean:
        return f"{speed.verdict.bytes_equal:,} right"
    return f"**HARM** {speed.verdict.harm}"


def read_steps(url: str) -> dict[str, tuple[float, int]]:
    """By step of a flush: seconds spent in it so far, and how often, as the server's /metrics count them."""
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{url}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    sums, counts = ({step: float(value) for step, value in _STEP[part].findall(text)} for part in ("sum", "count"))
    return {step: (seconds, int(counts[step])) for step, seconds in sums.items()}


def main() -> int:
    """One measurement on a fresh server that was warmed up, printed."""
    connections, seconds = int(os.environ.get("CONNECTIONS") or "64"), int(os.environ.get("SECONDS") or "6")
    is_awake = os.environ.get("AWAKE") == "1"
    port = int(os.environ.get("HOLDFAST_PORT") or "3000")
    try:
        with cores_awake() if is_awake else nullcontext(), fresh_server(port, {}) as served:
            measure(served, connections, WARM_UP_S, audits=False)
            before = read_steps(served.url)
            speed = measure(served, connections, seconds, audits=False)
            after = read_steps(served.url)
    except LoadError as error:
        print(f"full speed: {error}", file=sys.stderr)
        return 1
    costs = ", ".join(f"{name} {spent:.0f}" for name, spent in speed.cpu_us.items())
    awake = ", cores awake" if is_awake else ""
    print(
        f"{connections} connections{awake}: {speed.acks_per_s:,.0f}/s, p50 {speed.p50_ms:.1f} ms,"
        f" p99 {speed.p99_ms:.1f} ms; µs of processor time each: {costs}"
    )
    for step, (spent_s, count) in after.items():
        earlier_s, earlier = before.get(step, (0.0, 0))
        if flushes := count - earlier:
            print(f"  {step}: {(spent_s - earlier_s) / flushes * 1e3:.2f} ms, {flushes:,} times")
    return 0


if __name__ == "__main__":
    sys.exit(main())
