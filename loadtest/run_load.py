"""`make load`: the assignment's script on a fresh server, then the audit of every byte, then the result as a table.

Environment: RATE (a second; 5000), DURATION (60s), HOLDFAST_PORT (3000), LOAD_PROFILE (assignment.js).
Status 0 only when every arrival was sent and answered 200, and every byte is accounted for.
"""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from loadtest.check_bytes import Verdict, audit, describe, read_rows
from loadtest.embedded_stores import find_bucket, find_database_url
from loadtest.k6_run import LoadError, Measured, run_k6
from loadtest.machine import describe_machine, read_cpu_s
from loadtest.served import Served, serve
from loadtest.workload import Run

ROOT: Final = Path(__file__).resolve().parent.parent
RESULTS: Final = ROOT / "loadtest" / "results"
# The assignment's own; RATE overrides it.
RATE: Final = 5_000


@dataclass(frozen=True)
class Outcome:
    """One load run with its audit; `cpu_s` is processor time by component during the run."""

    profile: str
    rate: str
    duration: str
    measured: Measured
    verdict: Verdict
    errors: list[str]
    cpu_s: dict[str, float]
    command: str

    @property
    def failures(self) -> list[str]:
        """What keeps this run from counting as held."""
        return list_failures(self.measured, self.verdict, self.errors)


def list_failures(measured: Measured, verdict: Verdict, errors: Sequence[str]) -> list[str]:
    """What keeps a run from counting as held, in words; `errors` are those in the server's log."""
    found = []
    if measured.dropped:
        found.append(f"k6 dropped {measured.dropped:,} arrivals: the rate was not held")
    if others := measured.run.other_statuses:
        kinds = sorted(set(others.values()))
        found.append(f"{len(others):,} answers were not 200: {', '.join(map(str, kinds))} (0: no answer)")
    if not verdict.is_clean:
        found.append("not every byte is accounted for")
    if errors:
        found.append(f"the server logged {len(errors):,} errors, the first of them: {errors[0].splitlines()[0]}")
    return found


def main() -> int:
    """One run; 0 when it was held and is clean."""
    rate, duration = os.environ.get("RATE") or str(RATE), os.environ.get("DURATION") or "60s"
    profile = ROOT / "loadtest" / (os.environ.get("LOAD_PROFILE") or "assignment.js")
    port = int(os.environ.get("HOLDFAST_PORT") or "3000")
    (ROOT / ".build").mkdir(exist_ok=True)
    # Not in /tmp, which may be memory: a bucket that never reaches a disk would flatter.
    folder = Path(tempfile.mkdtemp(prefix="load-", dir=ROOT / ".build"))
    try:
        with serve(folder, port) as served:
            print(
                f"load: a fresh server is ready at {served.url}; {profile.name} at {rate}/s for {duration} ...",
                flush=True,
            )
            outcome = _run(served, profile, rate, duration)
    except LoadError as error:
        print(f"load: {error}\nload: logs are in {folder.relative_to(ROOT)}", file=sys.stderr)
        return 1
    text = format_result(outcome)
    RESULTS.mkdir(exist_ok=True)
    result = RESULTS / f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}-{profile.stem}-{rate}.md"
    result.write_text(text)
    print(text)
    print(f"load: written to {result.relative_to(ROOT)}")
    if outcome.failures:
        print(f"load: FAILED: {'; '.join(outcome.failures)}. Data and logs are kept in {folder.relative_to(ROOT)}")
        return 1
    shutil.rmtree(folder)
    return 0


def _run(served: Served, profile: Path, rate: str, duration: str) -> Outcome:
    cpu_before = read_cpu_s(served.pid)
    settings = {"RATE": rate, "DURATION": duration, "BASE_URL": served.url}
    measured = run_k6(profile, f"run{time.time_ns() // 1_000_000}", settings, served.folder)
    cpu_after = read_cpu_s(served.pid)
    print("load: auditing every byte in bucket and ledger ...", flush=True)
    verdict = audit_bytes(served, measured.run)
    cpu_s = {name: spent - cpu_before.get(name, 0.0) for name, spent in cpu_after.items()}
    command = f"make load RATE={rate} DURATION={duration}"
    spent = {**cpu_s, "k6": measured.cpu_s}
    return Outcome(profile.name, rate, duration, measured, verdict, served.list_errors(), spent, command)


def audit_bytes(served: Served, run: Run) -> Verdict:
    """Every byte of the run in the server's own bucket and ledger."""
    rows = read_rows(find_database_url(served.folder / "data"))
    bucket = find_bucket(served.folder / "data").open_reader()
    try:
        return audit(run, rows, bucket.read_all())
    finally:
        bucket.close()


def format_result(outcome: Outcome) -> str:
    """The result as a page that says how to get it again."""
    measured, verdict = outcome.measured, outcome.verdict
    times_ms = (measured.median_ms, measured.p95_ms, measured.p99_ms, measured.max_ms)
    rows = {
        "asked": f"{outcome.rate}/s for {outcome.duration}",
        "sent": f"{measured.run.sent:,} ({measured.iterations_per_s:,.0f}/s)",
        "dropped by k6": f"{measured.dropped:,}",
        "answered 200": f"{verdict.answered_200:,}",
        "median, p95, p99, longest": f"{', '.join(f'{time_ms:.1f}' for time_ms in times_ms)} ms",
        "virtual users": f"{measured.vus_max:,}",
        "ledger rows": f"{verdict.ledger_rows:,}",
        "chunks in the bucket": f"{verdict.chunks_in_bucket:,}",
        "bytes equal": f"{verdict.bytes_equal:,}",
        "errors in the server's log": f"{len(outcome.errors):,}",
    }
    sent = max(1, measured.run.sent)
    for component, spent in sorted(outcome.cpu_s.items()):
        rows[f"processor time: {component}"] = f"{spent:.1f} s, {spent * 1e6 / sent:,.0f} µs a request"
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    head = "\n".join(f"- {line}" for line in [*describe_machine(), f"again: `{outcome.command}`"])
    verdict_line = (
        "Held, and every byte is accounted for."
        if not outcome.failures
        else f"**FAILED**: {'; '.join(outcome.failures)}."
    )
    harm = "" if verdict.is_clean else f"\n```\n{describe(verdict)}\n```\n"
    return f"# {outcome.profile} at {outcome.rate}/s\n\n{head}\n\n| | |\n|---|---|\n{table}\n\n{verdict_line}\n{harm}"


if __name__ == "__main__":
    sys.exit(main())
