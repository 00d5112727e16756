"""Recorders at once: each sends small chunks of a recording of its own, the next as soon as it has the last's receipt.

What many recorders cost one another is seen here, which loose chunks do not show: a flush then holds chunks of as many
recordings. Alone: `python -m loadtest.recorders`. It prints a table and writes nothing.

Not by wrk, whose script does not know on which connection its next request goes; and with no more HTTP than that
takes, because the client shares the cores.

Environment: HOLDFAST_PORT (3000).
"""

import asyncio
import hashlib
import json
import os
import re
import statistics
import sys
import time
from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

from loadtest.full_speed import fresh_server
from loadtest.k6_run import LoadError
from loadtest.large_chunks import make_recording_id
from loadtest.machine import describe_machine
from loadtest.served import Served

RECORDERS: Final = (1, 16, 64)
SECONDS: Final = 5.0
WARM_UP_S: Final = 2.0
# A second of speech is about half of that, one of video many times as much.
CHUNK_BYTES: Final = 8_000

_LENGTH: Final = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)


@dataclass(frozen=True)
class Recorders:
    """What so many of them got; times to a receipt in ms."""

    recorders: int
    acks_per_s: float
    p50_ms: float
    p99_ms: float


async def measure_recorders(served: Served, recorders: int, seconds: float, warm_up_s: float = WARM_UP_S) -> Recorders:
    """Let so many record, each on a connection of its own. Raises `LoadError` where one is refused."""
    await asyncio.gather(*(_record(served.port, warm_up_s) for _ in range(recorders)))
    began_s = time.perf_counter()
    each_s = await asyncio.gather(*(_record(served.port, seconds) for _ in range(recorders)))
    spent_s = time.perf_counter() - began_s
    times_s = [time_s for times_s in each_s for time_s in times_s]
    percentiles = statistics.quantiles(times_s, n=100)
    return Recorders(recorders, len(times_s) / spent_s, percentiles[49] * 1e3, percentiles[98] * 1e3)


async def _record(port: int, seconds: float) -> list[float]:
    """One recorder's times to a receipt, in seconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    recording_id = make_recording_id()
    started_at = f"{datetime.now(UTC):%FT%TZ}"
    registration = {"recording_id": recording_id, "mime_type": "audio/webm", "started_at": started_at}
    await _demand(reader, writer, "POST /api/recordings", json.dumps(registration).encode(), "application/json")
    times_s: list[float] = []
    ends_s = time.perf_counter() + seconds
    while (sent_s := time.perf_counter()) < ends_s:
        call = f"PUT /api/recordings/{recording_id}/chunks/{len(times_s)}"
        await _demand(reader, writer, call, os.urandom(CHUNK_BYTES), "application/octet-stream")
        times_s.append(time.perf_counter() - sent_s)
    writer.close()
    return times_s


async def _demand(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, call: str, body: bytes, media_type: str
) -> None:
    digest = b64encode(hashlib.sha256(body).digest()).decode()
    head = (
        f"{call} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {media_type}\r\nChunk-Run: 0\r\n"
        f"Content-Digest: sha-256=:{digest}:\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    answer = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(answer)
    told = await reader.readexactly(int(length[1])) if length else b""
    if int(answer.split(maxsplit=2)[1]) != HTTPStatus.CREATED:
        raise LoadError(f"{call} was answered {answer.splitlines()[0]!r}: {told[:300]!r}")


def main() -> int:
    """Measure on a fresh server, and print."""
    try:
        with fresh_server(int(os.environ.get("HOLDFAST_PORT") or "3000"), {}) as served:
            found = [asyncio.run(measure_recorders(served, each, SECONDS)) for each in RECORDERS]
    except LoadError as error:
        print(f"recorders: {error}", file=sys.stderr)
        return 1
    print("\n".join(f"- {line}" for line in describe_machine()))
    print(f"\n| recorders, {CHUNK_BYTES:,} bytes a chunk | chunks/s | p50 / p99 ms |\n|---|---|---|")
    for each in found:
        print(f"| {each.recorders} | {each.acks_per_s:,.0f} | {each.p50_ms:.1f} / {each.p99_ms:.1f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
