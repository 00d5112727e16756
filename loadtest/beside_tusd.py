"""`make bench-tusd`: the same bodies through Holdfast and through tusd, on one bucket, by one client, in turns.

tusd is the reference server of the tus protocol, built from its published source. It runs with its own S3 store on the
bucket of the Holdfast server beside it, which flushes every write; uploads are created and sent in one request, and
the digests of parts and metrics are off, and it has no hooks. Its answer promises what Holdfast's receipt
does: the bytes are in the bucket. It has no ledger to ask and checks no digest of the sender.

Environment: HOLDFAST_PORT (3000).
"""

import hashlib
import json
import os
import subprocess
import sys
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psycopg

from loadtest.embedded_stores import EmbeddedBucket, find_bucket, find_database_url
from loadtest.full_speed import fresh_server, measure
from loadtest.k6_run import LoadError
from loadtest.large_chunks import make_recording_id
from loadtest.machine import describe_machine, read_cpu_s
from loadtest.served import Served, wait_until_answers
from loadtest.wrk_run import run_wrk

ROOT: Final = Path(__file__).resolve().parent.parent
SCRIPT: Final = ROOT / "loadtest" / "raw_chunks.lua"
TUSD: Final = ROOT / ".build" / "bin" / "tusd"
ROUNDS: Final = 2
SECONDS: Final = 12
KIB: Final = 1024
MIB: Final = 1024 * 1024
# (size of a chunk, how many bodies in turn, connections)
WORK: Final = ((KIB, 256, 64), (MIB, 32, 8))
_PREFIX: Final = "tus/"


@dataclass(frozen=True)
class Line:
    """One measurement; times are milliseconds, `cpu_us` is processor time an acknowledgement by component."""

    what: str
    size: int
    connections: int
    acks_per_s: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    failed: int
    cpu_us: dict[str, float]


@contextmanager
def run_tusd(bucket: EmbeddedBucket, port: int, folder: Path) -> Iterator[int]:
    """tusd on this bucket, answering on the port; gives its pid. Raises `LoadError`."""
    options = {
        "host": "127.0.0.1",
        "port": str(port),
        "base-path": "/files/",
        "s3-bucket": bucket.name,
        "s3-endpoint": f"http://{bucket.endpoint}",
        "s3-object-prefix": _PREFIX,
        "s3-disable-content-hashes": "true",
        "expose-metrics": "false",
        "verbose": "false",
    }
    keys = {"AWS_ACCESS_KEY_ID": bucket.access_key, "AWS_SECRET_ACCESS_KEY": bucket.secret_key}
    own = {**os.environ, **keys, "AWS_REGION": "us-east-1", "NO_PROXY": "127.0.0.1"}
    log = folder / "tusd.log"
    command = [str(TUSD), *(f"-{name}={value}" for name, value in options.items())]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=own, stdout=output, stderr=subprocess.STDOUT)
        try:
            wait_until_answers(process, f"http://127.0.0.1:{port}/", log)
            yield process.pid
        finally:
            process.terminate()
            process.wait()


def prepare_bodies(folder: Path, size: int, count: int) -> Path:
    """Random bodies of this size and their digests, as raw_chunks.lua reads them."""
    bodies = folder / f"bodies-{size}"
    bodies.mkdir()
    digests = []
    for n in range(1, count + 1):
        body = os.urandom(size)
        (bodies / f"body-{n}").write_bytes(body)
        digests.append(b64encode(hashlib.sha256(body).digest()).decode())
    (bodies / "digests").write_text("\n".join(digests) + "\n")
    return bodies


def measure_holdfast(served: Served, size: int, connections: int, bodies: Path) -> Line:
    """PUTs of a new recording's chunks; all acknowledged ones are in the ledger. Raises `LoadError`."""
    recording_id = make_recording_id()
    registration = {
        "recording_id": recording_id,
        "mime_type": "video/webm",
        "started_at": f"{datetime.now(UTC):%FT%TZ}",
    }
    request = urllib.request.Request(
        f"http://127.0.0.1:{served.port}/api/recordings",
        json.dumps(registration).encode(),
        {"Content-Type": "application/json"},
    )
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request).close()

    def count() -> int:
        with psycopg.connect(find_database_url(served.folder / "data")) as connection:
            row = connection.execute(
                "select count(*) from chunks where recording_id = %s and size = %s", (recording_id, size)
            ).fetchone()
        assert row is not None
        return int(row[0])

    environment = {"BODIES": str(bodies), "RECORDING_ID": recording_id}
    return _measure(
        "Holdfast, PUT", f"http://127.0.0.1:{served.port}/", size, connections, environment, [served.pid], count
    )


def measure_tusd(served: Served, pid: int, port: int, size: int, connections: int, bodies: Path) -> Line:
    """Uploads by creation-with-upload; all acknowledged ones are in the bucket. Raises `LoadError`."""
    bucket = find_bucket(served.folder / "data")

    def count() -> int:
        with bucket.open_client(1) as client:
            listed = client.list_objects(bucket.name, prefix=_PREFIX, recursive=True)
            return sum(each.size == size and not str(each.object_name).endswith(".info") for each in listed)

    environment = {"BODIES": str(bodies)}
    return _measure("tusd", f"http://127.0.0.1:{port}/", size, connections, environment, [served.pid, pid], count)


def _measure(
    what: str,
    url: str,
    size: int,
    connections: int,
    environment: dict[str, str],
    pids: list[int],
    count: Callable[[], int],
) -> Line:
    def spent() -> dict[str, float]:
        return {name: value for pid in pids for name, value in read_cpu_s(pid).items()}

    held, before = count(), spent()
    told = run_wrk(SCRIPT, url, connections, SECONDS, environment)
    after = spent()
    if count() - held < told.succeeded:
        raise LoadError(f"{what} acknowledged {told.succeeded:,} of {size} bytes, and {count() - held:,} are there")
    return Line(
        what=what,
        size=size,
        connections=connections,
        acks_per_s=told.succeeded / told.seconds,
        p50_ms=told.p50_ms,
        p99_ms=told.p99_ms,
        max_ms=told.max_ms,
        failed=told.not_2xx + told.broken,
        cpu_us={name: (after[name] - before.get(name, 0.0)) * 1e6 / max(1, told.succeeded) for name in after},
    )


def measure_json(served: Served, connections: int) -> Line:
    """The JSON way in, for the small ones: what `make load` uses."""
    speed = measure(served, connections, SECONDS, audits=False)
    return Line(
        what="Holdfast, JSON",
        size=KIB,
        connections=connections,
        acks_per_s=speed.acks_per_s,
        p50_ms=speed.p50_ms,
        p99_ms=speed.p99_ms,
        max_ms=speed.max_ms,
        failed=speed.refused + speed.broken,
        cpu_us=speed.cpu_us,
    )


def measure_all(port: int) -> list[Line]:
    """Every size in turns, on one fresh server with tusd beside it."""
    lines: list[Line] = []
    calm = {"HOLDFAST_AUDIT_EVERY_S": "0", "HOLDFAST_COLLECT_EVERY_S": "0"}
    with (
        fresh_server(port, calm) as served,
        run_tusd(find_bucket(served.folder / "data"), port + 1, served.folder) as pid,
    ):
        for size, body_count, connections in WORK:
            bodies = prepare_bodies(served.folder, size, body_count)
            for n in range(ROUNDS):
                print(f"tusd: {size} bytes, round {n + 1} of {ROUNDS} ...", flush=True)
                lines.append(measure_holdfast(served, size, connections, bodies))
                if size == KIB:
                    lines.append(measure_json(served, connections))
                lines.append(measure_tusd(served, pid, port + 1, size, connections, bodies))
    return lines


def format_result(lines: list[Line]) -> str:
    """The result as a page that says how to get it again."""
    version = (ROOT / ".build" / "bin" / "tusd.version").read_text()
    head = "\n".join(f"- {line}" for line in [*describe_machine(), f"tusd {version}", "again: `make bench-tusd`"])
    components = [name for name in ("API", "tusd", "bucket", "database") if any(name in line.cpu_us for line in lines)]
    text = (
        f"# Beside tusd\n\n{head}\n\n{(__doc__ or '').partition(chr(10) * 2)[2].partition('Environment')[0].strip()}\n"
    )
    for size, _, _ in WORK:
        chosen = [line for line in lines if line.size == size]
        rows = "".join(
            f"| {line.what} | {line.acks_per_s:,.0f} | {line.acks_per_s * size / 1e6:.1f} | {line.p50_ms:.0f} /"
            f" {line.p99_ms:.0f} / {line.max_ms:.0f} | {line.failed} |"
            f" {' | '.join(f'{line.cpu_us.get(name, 0.0):,.0f}' for name in components)} |\n"
            for line in chosen
        )
        text += (
            f"\n## {'1 KB' if size == KIB else '1 MiB'}, {chosen[0].connections} connections\n\n"
            f"{SECONDS} s each, in this order. Times in ms; processor time in µs an acknowledgement.\n\n"
            f"| what | acks/s | MB/s | p50 / p99 / longest | failed | {' | '.join(components)} |\n"
            f"|{'---|' * (5 + len(components))}\n{rows}"
        )
    return text


def main() -> int:
    """Measure and write the page; 0 unless something could not be measured."""
    port = int(os.environ.get("HOLDFAST_PORT") or "3000")
    try:
        lines = measure_all(port)
    except LoadError as error:
        print(f"tusd: {error}\ntusd: logs are in .build/bench-*", file=sys.stderr)
        return 1
    text = format_result(lines)
    result = ROOT / "loadtest" / "results" / f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}-tusd.md"
    result.parent.mkdir(exist_ok=True)
    result.write_text(text)
    print(f"{text}\ntusd: written to {result.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
