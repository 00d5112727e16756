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
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from loadtest.full_speed import WARM_UP_S, Speed, describe_audit, format_speeds, fresh_server, measure
from loadtest.k6_run import LoadError
from loadtest.large_chunks import LargeChunks, demand, format_large, measure_large
from loadtest.machine import WAKE_UP_DEVICE, cores_awake, describe_machine, may_keep_awake
from loadtest.served import Served
from loadtest.storm import Storm, format_storm, measure_storm

ROOT: Final = Path(__file__).resolve().parent.parent
WARM_UP: Final = 50
ALONE_REQUESTS: Final = 500
SPEED_S: Final = 10
# In turns, because a shared machine may be half as fast in one minute as in the next.
ROUNDS: Final = 3
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


@dataclass(frozen=True)
class Rounds:
    """The same measured several times, in turns with others."""

    name: str
    speeds: list[Speed] = field(default_factory=list)

    @property
    def middle(self) -> Speed:
        """The one with as many faster as slower ones."""
        return sorted(self.speeds, key=lambda speed: speed.acks_per_s)[len(self.speeds) // 2]

    @property
    def is_clean(self) -> bool:
        """Whether no round lost a byte."""
        return all(speed.verdict is None or speed.verdict.is_clean for speed in self.speeds)

    def __str__(self) -> str:
        told = ", ".join(f"{speed.acks_per_s:,.0f}" for speed in self.speeds)
        harm = "".join(f"; {describe_audit(speed)}" for speed in self.speeds if not self.is_clean)
        return f"{self.name}, {self.middle.connections} connections: {told}{harm}"


def format_result(measured: list[Rounds], storm: Storm, alone: dict[str, float], large: LargeChunks) -> str:
    """The result as a page that says how to get it again."""
    head = "\n".join(f"- {line}" for line in [*describe_machine(), "again: `make bench`"])
    rounds = "".join(f"- {each}\n" for each in measured)
    return (
        f"# Benchmarks\n\n{head}\n\n"
        "## Chunks of 1 KB at full speed\n\nwrk sends on each connection as soon as it has the last answer, on the"
        " same cores. Times in ms; processor time in µs an acknowledgement, wrk's own apart. Each line is the middle"
        f" one of {ROUNDS} rounds of {SPEED_S} s, in turns with the others; each round has a fresh server, after"
        f' {WARM_UP_S} s of the same; "cores awake": idle cores were kept from sleeping (docs/OPERATING.md).\n\n'
        f"{format_speeds([(each.name, each.middle) for each in measured])}\n"
        f"Acknowledgements a second, round by round:\n\n{rounds}\n{format_storm(storm)}\n"
        f"## One client alone\n\n{ALONE_REQUESTS} chunks of 1 KB one after another, time to the receipt: "
        + ", ".join(f"{name} {value:.1f} ms" for name, value in alone.items())
        + f".\n\n{format_large(large)}"
    )


def measure_speeds(port: int) -> list[Rounds]:
    """Packed and plain side by side, and packed with cores awake where the machine lets them be kept so."""
    measured: list[Rounds] = []
    for connections in (64, 512):
        ways = [(Rounds("packs"), {}, False), (Rounds("an object a chunk"), _PLAIN, False)]
        if may_keep_awake():
            ways.insert(1, (Rounds("packs, cores awake"), {}, True))
        else:
            print(f"bench: nothing with cores awake: {WAKE_UP_DEVICE} is not ours to write to", flush=True)
        for number in range(1, ROUNDS + 1):
            for rounds, settings, is_awake in ways:
                print(
                    f"bench: full speed, {rounds.name}, {connections} connections, {number} of {ROUNDS} ...", flush=True
                )
                with cores_awake() if is_awake else nullcontext(), fresh_server(port, settings) as served:
                    measure(served, connections, WARM_UP_S, audits=False)
                    rounds.speeds.append(measure(served, connections, SPEED_S))
        measured += [rounds for rounds, *_ in ways]
    return measured


def main() -> int:
    """Run all and write the page; 0 unless something could not be measured or bytes are missing."""
    port = int(os.environ.get("HOLDFAST_PORT") or "3000")
    try:
        measured = measure_speeds(port)
        print("bench: calm, storm, calm ...", flush=True)
        storm = measure_storm(port)
        with fresh_server(port, {}) as served:
            print("bench: one client alone ...", flush=True)
            alone = time_alone(served)
            large = measure_large(served)
    except LoadError as error:
        print(f"bench: {error}\nbench: logs are in .build/bench-*", file=sys.stderr)
        return 1
    text = format_result(measured, storm, alone, large)
    result = ROOT / "loadtest" / "results" / f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}-bench.md"
    result.parent.mkdir(exist_ok=True)
    result.write_text(text)
    print(f"{text}\nbench: written to {result.relative_to(ROOT)}")
    return 0 if all(each.is_clean for each in measured) and storm.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
