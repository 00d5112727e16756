"""`make bench`: full speed beside the plain mode, overload, one client alone, and 1 MiB uploads beside the bare bucket.

Environment: HOLDFAST_PORT (3000).
"""

import http.client
import json
import os
import statistics
import sys
import time
import uuid
from contextlib import closing, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from loadtest.full_speed import WARM_UP_S, Speed, format_speeds, fresh_server, measure
from loadtest.k6_run import LoadError
from loadtest.large_chunks import LargeChunks, demand, format_large, measure_large
from loadtest.machine import WAKE_UP_DEVICE, cores_awake, describe_machine, may_keep_awake
from loadtest.served import Served
from loadtest.storm import Storm, format_storm, measure_storm

ROOT: Final = Path(__file__).resolve().parent.parent
WARM_UP: Final = 50
ALONE_REQUESTS: Final = 500
SPEED_S: Final = 15
_PLAIN: Final = {"HOLDFAST_PACK_CHUNK_MAX_BYTES": "0"}


def time_alone(served: Served) -> dict[str, float]:
    """Latency in ms of one client that sends 1 KB chunks one after another: p50, p95, p99, longest."""
    times_ms: list[float] = []
    with closing(http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)) as connection:
        for n in range(WARM_UP + ALONE_REQUESTS):
            body = json.dumps({"chunkId": f"alone-{uuid.uuid4()}", "data": os.urandom(512).hex()})
            started_s = time.perf_counter()
            demand(connection, "POST", "/api/chunks/upload", body.encode(), {"Content-Type": "application/json"}, 200)
            if n >= WARM_UP:
                times_ms.append((time.perf_counter() - started_s) * 1e3)
    cuts = statistics.quantiles(times_ms, n=100)
    return {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98], "longest": max(times_ms)}


def format_result(speeds: list[tuple[str, Speed]], storm: Storm, alone: dict[str, float], large: LargeChunks) -> str:
    """The result as a page that says how to get it again."""
    head = "\n".join(f"- {line}" for line in [*describe_machine(), "again: `make bench`"])
    return (
        f"# Benchmarks\n\n{head}\n\n"
        "## Chunks of 1 KB at full speed\n\nwrk sends on each connection as soon as it has the last answer, on the"
        " same cores. Times in ms; processor time in µs an acknowledgement, wrk's own apart. Each line has a fresh"
        f' server, after {WARM_UP_S} s of the same; "cores awake": idle cores were kept from sleeping'
        f" (docs/OPERATING.md).\n\n{format_speeds(speeds)}\n{format_storm(storm)}\n"
        f"## One client alone\n\n{ALONE_REQUESTS} chunks of 1 KB one after another, time to the receipt: "
        + ", ".join(f"{name} {value:.1f} ms" for name, value in alone.items())
        + f".\n\n{format_large(large)}"
    )


def measure_speeds(port: int) -> list[tuple[str, Speed]]:
    """Packed and plain side by side, and packed with cores awake where the machine lets them be kept so."""
    speeds: list[tuple[str, Speed]] = []
    for connections in (64, 512):
        for name, settings, is_awake in (
            ("packs", {}, False),
            ("packs, cores awake", {}, True),
            ("an object a chunk", _PLAIN, False),
        ):
            if is_awake and not may_keep_awake():
                print(f"bench: nothing with cores awake: {WAKE_UP_DEVICE} is not ours to write to", flush=True)
                continue
            print(f"bench: full speed, {name}, {connections} connections ...", flush=True)
            with cores_awake() if is_awake else nullcontext(), fresh_server(port, settings) as served:
                measure(served, connections, WARM_UP_S, audits=False)
                speeds.append((name, measure(served, connections, SPEED_S)))
    return speeds


def main() -> int:
    """Run all and write the page; 0 unless something could not be measured or bytes are missing."""
    port = int(os.environ.get("HOLDFAST_PORT") or "3000")
    try:
        speeds = measure_speeds(port)
        print("bench: calm, storm, calm ...", flush=True)
        storm = measure_storm(port)
        with fresh_server(port, {}) as served:
            print("bench: one client alone ...", flush=True)
            alone = time_alone(served)
            large = measure_large(served)
    except LoadError as error:
        print(f"bench: {error}\nbench: logs are in .build/bench-*", file=sys.stderr)
        return 1
    text = format_result(speeds, storm, alone, large)
    result = ROOT / "loadtest" / "results" / f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}-bench.md"
    result.parent.mkdir(exist_ok=True)
    result.write_text(text)
    print(f"{text}\nbench: written to {result.relative_to(ROOT)}")
    are_clean = all(speed.verdict is None or speed.verdict.is_clean for _, speed in speeds)
    return 0 if are_clean and storm.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
