"""Twice the rate that the server holds, for a minute: a part of `make bench`, and alone `python -m loadtest.storm`.

Only 200 and 503 may be answered, nothing acknowledged may be lost, and afterwards the server is as fast as before.

Environment: HOLDFAST_PORT (3000).
"""

import http.client
import json
import os
import statistics
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from threading import Event, Thread
from typing import Final

from loadtest.full_speed import Speed, audit_run, format_speeds, fresh_server, measure
from loadtest.k6_run import LoadError
from loadtest.served import Served

STORM_CONNECTIONS: Final = 4_000
STORM_S: Final = 60
AFTER_STORM_S: Final = 5
CALM_CONNECTIONS: Final = 512
CALM_S: Final = 10
# So that 4,000 connections, all that wrk keeps up on these cores, are more than may wait.
_SMALL_QUEUE: Final = {"HOLDFAST_CHUNKS_WAITING_MAX": "1000"}


@dataclass
class Polite:
    """What one client heard that sends one chunk after another and waits as long as Retry-After says."""

    accepted_ms: list[float] = field(default_factory=list)
    refused: int = 0


@dataclass(frozen=True)
class Storm:
    """Before, in and after the storm, and what a polite client heard in it."""

    asked_per_s: float
    pause_ms: float
    speeds: dict[str, Speed]
    polite: Polite

    @property
    def is_clean(self) -> bool:
        """Nothing acknowledged is lost, and nothing but 200 and 503 was answered."""
        verdicts = [speed.verdict for speed in self.speeds.values()]
        return all(verdict is not None and verdict.is_clean for verdict in verdicts) and not any(
            speed.strange or speed.broken for speed in self.speeds.values()
        )


def measure_storm(port: int) -> Storm:
    """Calm, twice the rate of that for a minute, calm again, on one server. Raises `LoadError`."""
    with fresh_server(port, _SMALL_QUEUE) as served:
        before = measure(served, CALM_CONNECTIONS, CALM_S)
        asked_per_s = 2 * before.acks_per_s
        pause_ms = STORM_CONNECTIONS / asked_per_s * 1e3
        print(f"storm: {asked_per_s:,.0f}/s for {STORM_S} s on {STORM_CONNECTIONS:,} connections ...", flush=True)
        with _send_politely(served) as polite:
            storm = measure(served, STORM_CONNECTIONS, STORM_S, audits=False, notes_receipts=True, pause_ms=pause_ms)
        time.sleep(AFTER_STORM_S)
        after = measure(served, CALM_CONNECTIONS, CALM_S)
        audited = replace(storm, verdict=audit_run(served, storm.run))
    return Storm(asked_per_s, pause_ms, {"before": before, "storm": audited, "after": after}, polite)


@contextmanager
def _send_politely(served: Served) -> Iterator[Polite]:
    polite, is_over = Polite(), Event()

    def send() -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)) as connection:
            while not is_over.is_set():
                body = json.dumps({"chunkId": f"wrk0-{uuid.uuid4().int}", "data": os.urandom(512).hex()})
                started_s = time.perf_counter()
                connection.request("POST", "/api/chunks/upload", body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                answer.read()
                if answer.status == 200:
                    polite.accepted_ms.append((time.perf_counter() - started_s) * 1e3)
                    is_over.wait(0.1)
                else:
                    polite.refused += 1
                    is_over.wait(float(answer.headers["Retry-After"]))

    sender = Thread(target=send)
    sender.start()
    try:
        yield polite
    finally:
        is_over.set()
        sender.join()


def format_storm(storm: Storm) -> str:
    """The storm, and what went before and after it on the same server."""
    polite = storm.polite
    heard = (
        f"p50 {statistics.median(polite.accepted_ms):.0f} ms, longest {max(polite.accepted_ms):.0f} ms"
        if polite.accepted_ms
        else "none"
    )
    return (
        f"## Twice what it holds\n\n{STORM_CONNECTIONS:,} connections, each sending {storm.pause_ms:.0f} ms after its"
        f" last answer, whatever that was: {storm.asked_per_s:,.0f}/s are asked for. At most"
        f" {_SMALL_QUEUE['HOLDFAST_CHUNKS_WAITING_MAX']} may wait. One server for the three; the last begins"
        f" {AFTER_STORM_S} s after the storm.\n\n{format_speeds(list(storm.speeds.items()))}\n"
        f"Meanwhile a client that obeys Retry-After got {len(polite.accepted_ms)} receipts ({heard}) and"
        f" {polite.refused} refusals.\n"
    )


def main() -> int:
    """Measure and print; 0 when nothing was lost and nothing but 200 and 503 answered."""
    try:
        storm = measure_storm(int(os.environ.get("HOLDFAST_PORT") or "3000"))
    except LoadError as error:
        print(f"storm: {error}\nstorm: logs are in .build/bench-*", file=sys.stderr)
        return 1
    print(format_storm(storm))
    return 0 if storm.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
