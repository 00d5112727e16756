"""1 MiB chunks through the API beside the same bodies straight into its bucket: a part of `make bench`.

Both sides use the same number of threads on the same machine in turns (A B A B …), so that what else the machine does
falls on both. Bodies are random: no store can compress or share them. Alone: `python -m loadtest.large_chunks`.

Environment: HOLDFAST_PORT (3000).
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
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import local
from typing import Final

from loadtest.embedded_stores import find_bucket
from loadtest.full_speed import fresh_server
from loadtest.k6_run import LoadError
from loadtest.machine import read_cpu_s
from loadtest.served import Served

MIB: Final = 1024 * 1024
THREADS: Final = 8
ROUND_MIB: Final = 128
ROUNDS: Final = 3


@dataclass(frozen=True)
class Round:
    """How fast one round of chunks went; `cpu_ms` is processor time a chunk by component."""

    mb_per_s: float
    cpu_ms: dict[str, float]


@dataclass(frozen=True)
class LargeChunks:
    """Rounds in turns: the first of each, the second of each, …"""

    api: list[Round]
    bucket: list[Round]

    @property
    def share(self) -> float:
        """What the API takes of what the bucket takes, median against median."""
        return statistics.median(each.mb_per_s for each in self.api) / statistics.median(
            each.mb_per_s for each in self.bucket
        )


def measure_large(served: Served) -> LargeChunks:
    """Both sides in turns. Raises `LoadError`."""
    api: list[Round] = []
    bucket: list[Round] = []
    for n in range(ROUNDS):
        print(f"bench: 1 MiB chunks, round {n + 1} of {ROUNDS} ...", flush=True)
        bodies = [os.urandom(MIB) for _ in range(ROUND_MIB)]
        api.append(send_round_to_api(served, bodies))
        bucket.append(send_round_to_bucket(served, bodies))
    return LargeChunks(api, bucket)


def send_round_to_api(served: Served, bodies: list[bytes]) -> Round:
    """These bodies as chunks of a new recording, THREADS at a time."""
    recording_id = make_recording_id()
    registration = {
        "recording_id": recording_id,
        "mime_type": "video/webm",
        "started_at": f"{datetime.now(UTC):%FT%TZ}",
    }
    with _connections(served.port) as connection:
        demand(
            connection(), "POST", "/api/recordings", json.dumps(registration).encode(),
            {"Content-Type": "application/json"}, 201,
        )  # fmt: skip

        def put(index: int) -> None:
            digest = b64encode(hashlib.sha256(bodies[index]).digest()).decode()
            headers = {"Content-Digest": f"sha-256=:{digest}:", "Chunk-Run": "0"}
            demand(connection(), "PUT", f"/api/recordings/{recording_id}/chunks/{index}", bodies[index], headers, 201)

        return _run_threads(served, put, len(bodies))


def send_round_to_bucket(served: Served, bodies: list[bytes]) -> Round:
    """The same bodies straight into the same bucket with the minio SDK, THREADS at a time."""
    folder, bucket = f"bench/{uuid.uuid4()}", find_bucket(served.folder / "data")
    with bucket.open_client(THREADS) as client:

        def put(index: int) -> None:
            client.put_object(bucket.name, f"{folder}/{index}", io.BytesIO(bodies[index]), len(bodies[index]))

        return _run_threads(served, put, len(bodies))


def _run_threads(served: Served, put: Callable[[int], None], count: int) -> Round:
    cpu_before, own_before_s = read_cpu_s(served.pid), time.process_time()
    with ThreadPoolExecutor(THREADS) as threads:
        started_s = time.perf_counter()
        list(threads.map(put, range(count)))
        seconds = time.perf_counter() - started_s
    spent = {name: after - cpu_before.get(name, 0.0) for name, after in read_cpu_s(served.pid).items()}
    spent["client"] = time.process_time() - own_before_s
    return Round(count * MIB / 1e6 / seconds, {name: each / count * 1e3 for name, each in spent.items()})


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


def demand(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    said = answer.read()
    if answer.status != status:
        raise LoadError(f"{method} {path} answered {answer.status}, expected {status}: {said[:500]!r}")


def make_recording_id() -> str:
    """A UUIDv7 of now."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    return str(uuid.UUID(int=value & ~(0x3 << 62) | 0x2 << 62))


def format_large(large: LargeChunks) -> str:
    """The rounds as a table, with what each component spends a chunk."""
    parts = ("client", "API", "bucket", "database")
    rows = "".join(
        f"| {n}, {way} | {each.mb_per_s:.0f} | {' | '.join(f'{each.cpu_ms.get(part, 0.0):.1f}' for part in parts)} |"
        f" {sum(each.cpu_ms.get(part, 0.0) for part in parts):.1f} |\n"
        for n, pair in enumerate(zip(large.api, large.bucket, strict=True), 1)
        for way, each in zip(("through the API", "straight into the bucket (minio SDK)"), pair, strict=True)
    )
    return (
        f"## 1 MiB chunks\n\n{THREADS} at a time, {ROUND_MIB} a round, rounds in turns; processor time in ms a chunk,"
        f" the client's hashing included:\n\n| round | MB/s | {' | '.join(parts)} | together |\n|{'---|' * 7}\n{rows}"
        f"\nMedian against median the API takes {large.share:.0%} of what the bucket takes.\n"
    )


def main() -> int:
    """Measure and print; 0 unless something could not be measured."""
    try:
        with fresh_server(int(os.environ.get("HOLDFAST_PORT") or "3000"), {}) as served:
            print(format_large(measure_large(served)))
    except LoadError as error:
        print(f"bench: {error}\nbench: logs are in .build/bench-*", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
