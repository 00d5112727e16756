"""`make bench-growth`: how acks/s and latency change with the ledger's size and with the number of connections.

The ledger is filled by SQL with rows as loose chunks leave them (random keys, 512 to a pack), so that its indexes are
as wide and deep as they would be; only the packs themselves are not in the bucket. Every acknowledgement of a
measurement is looked up among the rows afterwards. plot_growth.py draws the result for docs/.

Environment: HOLDFAST_PORT (3000), GROWTH_PART (ledger, connections; both without it).
"""

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psycopg

from loadtest.embedded_stores import find_database_url
from loadtest.full_speed import WARM_UP_S, Speed, fresh_server, measure
from loadtest.k6_run import LoadError
from loadtest.machine import describe_machine
from loadtest.plot_growth import draw_all
from loadtest.served import Served

ROOT: Final = Path(__file__).resolve().parent.parent
RESULTS: Final = ROOT / "loadtest" / "results"
LEDGER_ROWS: Final = (0, 1_000_000, 5_000_000)
LEDGER_CONNECTIONS: Final = (1, 64, 512)
CONNECTIONS: Final = (1, 2, 4, 16, 64, 256, 512, 1_000, 2_000)
_LEDGER_S: Final = 10
_CONNECTIONS_S: Final = 6
# Nothing else at work beside the measurement, and the audit would find that the filled packs are nowhere.
_CALM: Final = {"HOLDFAST_AUDIT_EVERY_S": "0", "HOLDFAST_SCRUB_EVERY_S": "0", "HOLDFAST_COLLECT_EVERY_S": "0"}

# One pack for every 512 rows, on one day, with ids as the server makes them.
_FILL_OBJECTS: Final = """
    insert into objects (object_id, key, size, etag, entry_count)
    select id, 'packs/2026/01/01/' || id || '.pack', 512 * 1024, 'filled', 512
    from (
        select (lpad(to_hex(1767225600000 + n), 12, '0') || '70008' || lpad(to_hex(n), 15, '0'))::uuid as id
        from generate_series(%(first)s / 512, (%(last)s - 1) / 512) as n
    ) as ids
    on conflict do nothing
"""
# Loose chunks as docs/FORMATS.md describes them: the recording is the UUIDv8 of SHA-256("holdfast-chunk:" + chunkId).
# In order of the key, because building an index row by row in its own order takes a quarter of the time.
_FILL_CHUNKS: Final = """
    insert into chunks
        (recording_id, chunk_index, run, size, object_id, object_offset, sha256, chunk_id)
    select
        encode(
            set_byte(set_byte(head, 6, get_byte(head, 6) & 15 | 128), 8, get_byte(head, 8) & 63 | 128), 'hex'
        )::uuid as recording_id,
        0, 0, 1024,
        (lpad(to_hex(1767225600000 + n / 512), 12, '0') || '70008' || lpad(to_hex(n / 512), 15, '0'))::uuid,
        (n %% 512) * 1024, sha256(head), chunk_id
    from (
        select n, chunk_id, substring(sha256(('holdfast-chunk:' || chunk_id)::bytea) from 1 for 16) as head
        from (select n, 'filled-' || n as chunk_id from generate_series(%(first)s, %(last)s - 1) as n) as numbers
    ) as ids
    order by 1
"""
_COUNT_ACKNOWLEDGED: Final = "select count(*) from chunks where chunk_id like %(prefix)s"


@dataclass(frozen=True)
class Point:
    """One measurement and where it stands."""

    ledger_rows: int
    speed: Speed


def fill_ledger(database_url: str, first: int, last: int) -> None:
    """Rows number `first` to `last` - 1 of the filling, vacuumed and analysed."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("set work_mem = '512MB'")
        for statement in (_FILL_OBJECTS, _FILL_CHUNKS):
            connection.execute(statement, {"first": first, "last": last})
        connection.execute("vacuum analyze objects, chunks")


def measure_counted(served: Served, connections: int, seconds: int) -> Speed:
    """One measurement whose acknowledgements are all in the ledger. Raises `LoadError` where one is not."""
    speed = measure(served, connections, seconds, audits=False)
    with psycopg.connect(find_database_url(served.folder / "data")) as connection:
        found = connection.execute(_COUNT_ACKNOWLEDGED, {"prefix": f"{speed.run.name}-%"}).fetchone()
    assert found is not None
    if found[0] < speed.acknowledged or speed.refused or speed.broken:
        raise LoadError(
            f"{speed.acknowledged:,} acknowledged and {found[0]:,} rows; {speed.refused:,} refused,"
            f" {speed.broken:,} connections failed"
        )
    return speed


def measure_ledger(port: int) -> Iterator[Point]:
    """One server, whose ledger grows between the measurements."""
    with fresh_server(port, _CALM) as served:
        database_url = find_database_url(served.folder / "data")
        held = 0
        for rows in LEDGER_ROWS:
            if rows > held:
                began_s = time.monotonic()
                fill_ledger(database_url, held, rows)
                held = rows
                print(f"growth: filled to {rows:,} rows in {time.monotonic() - began_s:.0f} s", flush=True)
            measure_counted(served, 64, WARM_UP_S)
            for connections in LEDGER_CONNECTIONS:
                print(f"growth: {rows:,} rows, {connections} connections ...", flush=True)
                yield Point(rows, measure_counted(served, connections, _LEDGER_S))


def measure_connections(port: int) -> Iterator[Point]:
    """A fresh server for each number of connections."""
    for connections in CONNECTIONS:
        print(f"growth: {connections:,} connections ...", flush=True)
        with fresh_server(port, _CALM) as served:
            measure_counted(served, min(connections, 64), WARM_UP_S)
            yield Point(0, measure_counted(served, connections, _CONNECTIONS_S))


def format_result(heading: str, what: str, points: list[Point]) -> str:
    """The result as a page that says how to get it again; plot_growth.py reads its table."""
    head = "\n".join(f"- {line}" for line in [*describe_machine(), "again: `make bench-growth`"])
    components = sorted({name for point in points for name in point.speed.cpu_us})
    rows = "".join(
        f"| {point.ledger_rows} | {point.speed.connections} | {point.speed.acks_per_s:.0f} | {point.speed.p50_ms:.1f} |"
        f" {point.speed.p99_ms:.1f} | {point.speed.max_ms:.1f} |"
        f" {' | '.join(f'{point.speed.cpu_us.get(name, 0.0):.0f}' for name in components)} |\n"
        for point in points
    )
    return (
        f"# {heading}\n\n{head}\n\n{what} Chunks of 1 KB by wrk, on the same cores, each connection sending as soon"
        " as it has the last answer; times in ms, processor time in µs an acknowledgement. Every acknowledgement was"
        " found among the rows afterwards.\n\n"
        f"| rows before | connections | acks/s | p50 | p99 | longest | {' | '.join(components)} |\n"
        f"|{'---|' * (6 + len(components))}\n{rows}"
    )


def main() -> int:
    """Measure, write the results, draw them; 0 unless something could not be measured."""
    port = int(os.environ.get("HOLDFAST_PORT") or "3000")
    part = os.environ.get("GROWTH_PART")
    try:
        if part != "connections":
            points = list(measure_ledger(port))
            what = f"{_LEDGER_S} s each, one server whose ledger is filled between the measurements."
            _write("growth-ledger", format_result("Speed against the ledger's size", what, points))
        if part != "ledger":
            points = list(measure_connections(port))
            what = f"{_CONNECTIONS_S} s each, each with a fresh server."
            _write("growth-connections", format_result("Speed against the number of connections", what, points))
    except LoadError as error:
        print(f"growth: {error}\ngrowth: logs are in .build/bench-*", file=sys.stderr)
        return 1
    draw_all()
    return 0


def _write(name: str, text: str) -> None:
    RESULTS.mkdir(exist_ok=True)
    result = RESULTS / f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}-{name}.md"
    result.write_text(text)
    print(f"{text}\ngrowth: written to {result.relative_to(ROOT)}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
