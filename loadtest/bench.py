"""`make bench`: full speed beside the plain mode, overload, one client alone, and 1 MiB uploads beside the bare bucket.

Both sides of the last comparison use the same number of threads on the same machine in turns (A B A B …), so that what
else the machine does falls on both. Bodies are random: no store can compress or share them.
"""

import hashlib
import http.client
import io
import json
import os
import statistics
import sys
import time
import uuid
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import local
from typing import Final

from loadtest.embedded_stores import EmbeddedBucket, find_bucket
from loadtest.full_speed import Speed, fresh_server, measure
from loadtest.k6_run import LoadError
from loadtest.machine import describe_machine
from loadtest.served import Served

ROOT: Final = Path(__file__).resolve().parent.parent
MIB: Final = 1024 * 1024
THREADS: Final = 8
WARM_UP: Final = 50
ALONE_REQUESTS: Final = 500
ROUND_MIB: Final = 128
ROUNDS: Final = 3
SPEED_S: Final = 15
OVERLOAD_CONNECTIONS: Final = 4_000
OVERLOAD_S: Final = 20
AFTER_STORM_S: Final = 5
_PLAIN: Final = {"HOLDFAST_PACK_CHUNK_MAX_BYTES": "0"}
# So that 4,000 connections, all that wrk keeps up on these cores, are twice of what may wait.
_SMALL_QUEUE: Final = {"HOLDFAST_CHUNKS_WAITING_MAX": "1000"}


def time_alone(served: Served) -> dict[str, float]:
    """Latency in ms of one client that sends 1 KB chunks one after another: p50, p95, p99, longest."""
    times_ms: list[float] = []
    with closing(http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)) as connection:
        for n in range(WARM_UP + ALONE_REQUESTS):
            body = json.dumps({"chunkId": f"alone-{uuid.uuid4()}", "data": os.urandom(512).hex()})
            started_s = time.perf_counter()
            _demand(connection, "POST", "/api/chunks/upload", body.encode(), {"Content-Type": "application/json"}, 200)
            if n >= WARM_UP:
                times_ms.append((time.perf_counter() - started_s) * 1e3)
    cuts = statistics.quantiles(times_ms, n=100)
    return {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98], "longest": max(times_ms)}


def send_round_to_api(served: Served, bodies: list[bytes]) -> float:
    """MB/s of these bodies as chunks of a new recording, THREADS at a time."""
    recording_id = _make_recording_id()
    registration = {
        "recording_id": recording_id,
        "mime_type": "video/webm",
        "started_at": f"{datetime.now(UTC):%FT%TZ}",
    }
    with _connections(served.port) as connection:
        _demand(
            connection(), "POST", "/api/recordings", json.dumps(registration).encode(),
            {"Content-Type": "application/json"}, 201,
        )  # fmt: skip

        def put(index: int) -> None:
            digest = b64encode(hashlib.sha256(bodies[index]).digest()).decode()
            headers = {"Content-Digest": f"sha-256=:{digest}:", "Chunk-Run": "0"}
            _demand(connection(), "PUT", f"/api/recordings/{recording_id}/chunks/{index}", bodies[index], headers, 201)

        return _run_threads(put, len(bodies))


def send_round_to_bucket(bucket: EmbeddedBucket, bodies: list[bytes]) -> float:
    """MB/s of the same bodies straight into the same bucket with the minio SDK, THREADS at a time."""
    folder = f"bench/{uuid.uuid4()}"
    with bucket.open_client(THREADS) as client:

        def put(index: int) -> None:
            client.put_object(bucket.name, f"{folder}/{index}", io.BytesIO(bodies[index]), len(bodies[index]))

        return _run_threads(put, len(bodies))


def _run_threads(put: Callable[[int], None], count: int) -> float:
    with ThreadPoolExecutor(THREADS) as threads:
        started_s = time.perf_counter()
        list(threads.map(put, range(count)))
        return count * MIB / 1e6 / (time.perf_counter() - started_s)


@contextmanager
def _connections(port: int) -> Iterator[Callable[[], http.client.HTTPConnection]]:
    """One kept-open connection for each thread that asks."""
    own = local()
    opened: list[http.client.HTTPConnection] = []

    def connection() -> http.client.HTTPConnection:
        if not hasattr(own, "connection"):
            own.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            opened.append(own.connection)
        held: http.client.HTTPConnection = own.connection
        return held

    try:
        yield connection
    finally:
        for each in opened:
            each.close()


def _demand(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    said = answer.read()
    if answer.status != status:
        raise LoadError(f"{method} {path} answered {answer.status}, expected {status}: {said[:500]!r}")


def _make_recording_id() -> str:
    """A UUIDv7 of now."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    return str(uuid.UUID(int=value & ~(0x3 << 62) | 0x2 << 62))


def format_result(speeds: dict[str, Speed], alone: dict[str, float], api: list[float], bucket: list[float]) -> str:
    """The result as a page that says how to get it again."""
    head = "\n".join(f"- {line}" for line in [*describe_machine(), "again: `make bench`"])
    components = sorted({name for speed in speeds.values() for name in speed.cpu_us})
    rows = "".join(
        f"| {name} | {speed.connections:,} | {speed.acks_per_s:,.0f} | {speed.p50_ms:.0f} / {speed.p99_ms:.0f} /"
        f" {speed.max_ms:.0f} | {speed.refused:,} / {speed.strange:,} / {speed.broken:,} |"
        f" {speed.api_rss_mib_max:.0f} | {' | '.join(f'{speed.cpu_us.get(part, 0.0):.0f}' for part in components)} |"
        f" {describe_audit(speed)} |\n"
        for name, speed in speeds.items()
    )
    share = statistics.median(api) / statistics.median(bucket)
    return (
        f"# Benchmarks\n\n{head}\n\n"
        "## Chunks of 1 KB at full speed\n\nwrk sends on each connection as soon as it has the last answer, on the"
        " same cores. Times in ms; processor time in µs an acknowledgement, wrk's own apart. Each line has a fresh"
        " server.\n\n"
        "| what | connections | acks/s | p50 / p99 / longest | not 2xx / neither 200 nor 503 / broken | API MiB |"
        f" {' | '.join(components)} | every byte counted afterwards |\n|{'---|' * (7 + len(components))}\n{rows}\n"
        f"## One client alone\n\n{ALONE_REQUESTS} chunks of 1 KB one after another, time to the receipt: "
        + ", ".join(f"{name} {value:.1f} ms" for name, value in alone.items())
        + f".\n\n## 1 MiB chunks\n\n{THREADS} at a time, {ROUND_MIB} a round, rounds in turns:\n\n"
        "| round | through the API, MB/s | straight into the bucket (minio SDK), MB/s |\n|---|---|---|\n"
        + "".join(f"| {n} | {a:.0f} | {b:.0f} |\n" for n, (a, b) in enumerate(zip(api, bucket, strict=True), 1))
        + f"\nMedian against median the API takes {share:.0%} of what the bucket takes.\n"
    )


def describe_audit(speed: Speed) -> str:
    """What the audit of this measurement says."""
    if speed.verdict is None:
        return "not audited"
    if speed.verdict.is_clean:
        return f"{speed.verdict.bytes_equal:,} right"
    return f"**HARM** {speed.verdict.harm}"


def measure_speeds(port: int) -> dict[str, Speed]:
    """Packed and plain side by side, then overload: many more connections than may wait."""
    speeds: dict[str, Speed] = {}
    for name, settings, connections in (
        ("packs", {}, 64),
        ("an object a chunk", _PLAIN, 64),
        ("packs ", {}, 512),
        ("an object a chunk ", _PLAIN, 512),
    ):
        print(f"bench: full speed, {name.strip()}, {connections} connections ...", flush=True)
        with fresh_server(port, settings) as served:
            speeds[name] = measure(served, connections, SPEED_S)
    print(f"bench: overload, {OVERLOAD_CONNECTIONS:,} connections ...", flush=True)
    with fresh_server(port, _SMALL_QUEUE) as served:
        speeds["overload"] = measure(served, OVERLOAD_CONNECTIONS, OVERLOAD_S, audits=False)
        time.sleep(AFTER_STORM_S)
        speeds[f"{AFTER_STORM_S} s after the overload"] = measure(served, 512, SPEED_S, audits=False)
    return speeds


def main() -> int:
    """Run all and write the page; 0 unless something could not be measured or bytes are missing."""
    port = int(os.environ.get("HOLDFAST_PORT") or "3000")
    try:
        speeds = measure_speeds(port)
        with fresh_server(port, {}) as served:
            bare = find_bucket(served.folder / "data")
            print("bench: one client alone ...", flush=True)
            alone = time_alone(served)
            api: list[float] = []
            bucket: list[float] = []
            for n in range(ROUNDS):
                print(f"bench: 1 MiB chunks, round {n + 1} of {ROUNDS} ...", flush=True)
                bodies = [os.urandom(MIB) for _ in range(ROUND_MIB)]
                api.append(send_round_to_api(served, bodies))
                bucket.append(send_round_to_bucket(bare, bodies))
    except LoadError as error:
        print(f"bench: {error}\nbench: logs are in .build/bench-*", file=sys.stderr)
        return 1
    text = format_result(speeds, alone, api, bucket)
    result = ROOT / "loadtest" / "results" / f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}-bench.md"
    result.parent.mkdir(exist_ok=True)
    result.write_text(text)
    print(f"{text}\nbench: written to {result.relative_to(ROOT)}")
    return 0 if all(speed.verdict is None or speed.verdict.is_clean for speed in speeds.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
