"""The audit after a load run: sent = answered 200 = rows = chunks in the bucket = bytes equal, none twice or foreign.

Usage: python -m loadtest.check_bytes --run NAME --sent N [--console k6.log] --database-url URL --s3-... (see --help)

It reads the bucket itself and the ledger by its own SQL, knows what was sent from loadtest/workload.py, and shares no
code with the server. Status 0: every byte is accounted for; 1: the harm is named.
"""

import argparse
import hashlib
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

import psycopg

from loadtest.bucket_contents import Bucket, FoundChunk, StrangeObject
from loadtest.workload import Run, expected_body, read_other_statuses, recording_id_of

# Every row and where it says that its bytes lie.
_SELECT_ROWS: Final = """
    select c.recording_id, c.chunk_index, c.run, c.state, c.size, encode(c.sha256, 'hex'), c.chunk_id,
           o.key, c.object_offset, o.state
    from chunks c join objects o using (object_id)
"""
_EXAMPLES_MAX: Final = 5  # of each kind of harm


@dataclass(frozen=True)
class LedgerRow:
    """A chunk's row with its object's."""

    recording_id: UUID
    chunk_index: int
    run: int
    state: str
    size: int
    sha256: str
    chunk_id: str | None
    key: str
    offset: int
    object_state: str


@dataclass
class Verdict:
    """The counts side by side, and what is wrong: for each kind its number and a few examples."""

    sent: int
    answered_200: int
    ledger_rows: int = 0
    chunks_in_bucket: int = 0
    bytes_equal: int = 0
    harm: dict[str, int] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)

    def accuse(self, kind: str, example: str) -> None:
        """One more of this kind of harm."""
        self.harm[kind] = self.harm.get(kind, 0) + 1
        if self.harm[kind] <= _EXAMPLES_MAX:
            self.examples.append(f"{kind}: {example}")

    @property
    def is_clean(self) -> bool:
        """Nothing is wrong."""
        return not self.harm


def audit(run: Run, rows: Iterator[LedgerRow], found: Iterator[FoundChunk | StrangeObject]) -> Verdict:
    """Compare what was sent with a ledger and a bucket that held nothing before the run.

    A chunk answered otherwise than 200 may or may not have been stored; if it is there, it must be right.
    """
    verdict = Verdict(sent=run.sent, answered_200=run.answered_200)
    number_of = {recording_id_of(run.chunk_id(n)): n for n in run.numbers}
    rows_by_id = _read_ledger(verdict, run, number_of, rows)
    held = _read_bucket(verdict, run, number_of, rows_by_id, found)
    for recording_id, n in number_of.items():
        is_acknowledged = n not in run.other_statuses
        row = rows_by_id.get(recording_id)
        if is_acknowledged and row is None:
            verdict.accuse("acknowledged, no row", run.chunk_id(n))
        if is_acknowledged and recording_id not in held:
            verdict.accuse("acknowledged, not in the bucket", run.chunk_id(n))
        if row is not None and (row.key, row.offset) not in held.get(recording_id, ()):
            verdict.accuse("its row points to other bytes", f"{run.chunk_id(n)}: {row.key} at {row.offset}")
    return verdict


def _read_ledger(
    verdict: Verdict, run: Run, number_of: dict[UUID, int], rows: Iterator[LedgerRow]
) -> dict[UUID, LedgerRow]:
    known: dict[UUID, LedgerRow] = {}
    for row in rows:
        verdict.ledger_rows += 1
        n = number_of.get(row.recording_id)
        if n is None or row.chunk_id != run.chunk_id(n) or (row.chunk_index, row.run) != (0, 0):
            verdict.accuse("foreign row", f"{row.recording_id} {row.chunk_index} {row.chunk_id!r}")
            continue
        body = expected_body(run.name, n)
        if (row.size, row.sha256) != (len(body), hashlib.sha256(body).hexdigest()):
            verdict.accuse("row of other bytes", run.chunk_id(n))
        if (row.state, row.object_state) != ("stored", "stored"):
            verdict.accuse("row not stored", f"{run.chunk_id(n)}: {row.state} in an object {row.object_state}")
        known[row.recording_id] = row
    return known


def _read_bucket(
    verdict: Verdict,
    run: Run,
    number_of: dict[UUID, int],
    rows: dict[UUID, LedgerRow],
    found: Iterator[FoundChunk | StrangeObject],
) -> dict[UUID, set[tuple[str, int]]]:
    """Where each chunk of the run lies: (key, offset)."""
    held: dict[UUID, set[tuple[str, int]]] = {}
    for item in found:
        if isinstance(item, StrangeObject):
            verdict.accuse("strange object", f"{item.key}: {item.reason}")
            continue
        verdict.chunks_in_bucket += 1
        n = number_of.get(item.recording_id)
        if n is None or (item.chunk_index, item.run) != (0, 0):
            verdict.accuse("foreign chunk", f"{item.recording_id} {item.chunk_index} in {item.key}")
            continue
        if item.body == expected_body(run.name, n):
            verdict.bytes_equal += 1
        else:
            verdict.accuse("bytes differ", f"{run.chunk_id(n)} in {item.key} at {item.offset}")
        if item.sha256 != hashlib.sha256(item.body).hexdigest():
            verdict.accuse("digest differs", f"{run.chunk_id(n)} in {item.key} at {item.offset}")
        places = held.setdefault(item.recording_id, set())
        places.add((item.key, item.offset))
        if len(places) > 1:
            verdict.accuse("twice in the bucket", f"{run.chunk_id(n)}, the second time in {item.key}")
        if n not in run.other_statuses and item.recording_id not in rows:
            verdict.accuse("in the bucket without a row", f"{run.chunk_id(n)} in {item.key}")
    return held


def read_rows(database_url: str) -> Iterator[LedgerRow]:
    """Every row of the ledger."""
    with psycopg.connect(database_url, connect_timeout=10) as connection, connection.cursor(name="rows") as cursor:
        cursor.itersize = 10_000
        for values in cursor.execute(_SELECT_ROWS):
            yield LedgerRow(*values)


def describe(verdict: Verdict) -> str:
    """The counts as a table, then what is wrong."""
    counts = {name: count for name, count in asdict(verdict).items() if isinstance(count, int)}
    lines = [f"  {name.replace('_', ' '):<18}{count:>10,}" for name, count in counts.items()]
    lines += [f"  HARM {kind}: {count:,}" for kind, count in verdict.harm.items()]
    lines += [f"    {example}" for example in verdict.examples]
    lines.append("  every byte is accounted for" if verdict.is_clean else "  NOT every byte is accounted for")
    return "\n".join(lines)


def main() -> int:
    """Audit one run; 0 when every byte is accounted for."""
    options = _parse_options()
    other_statuses = read_other_statuses(options.console) if options.console else {}
    run = Run(options.run, options.sent, other_statuses)
    split = urlsplit(options.s3_endpoint)
    bucket = Bucket(
        endpoint=split.netloc,
        access_key=options.s3_access_key,
        secret_key=options.s3_secret_key,
        bucket=options.s3_bucket,
        is_secure=split.scheme == "https",
    )
    try:
        verdict = audit(run, read_rows(options.database_url), bucket.read_all())
    finally:
        bucket.close()
    print(describe(verdict))
    return 0 if verdict.is_clean else 1


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--run", required=True, help="the run's name, before the hyphen of its chunkIds")
    parser.add_argument("--sent", type=int, required=True, help="iterations that k6 began")
    parser.add_argument("--console", type=Path, help="k6's console output, where answers other than 200 are logged")
    for name in ("database-url", "s3-endpoint", "s3-access-key", "s3-secret-key", "s3-bucket"):
        variable = f"HOLDFAST_{name.upper().replace('-', '_')}"
        default = os.environ.get(variable, "holdfast" if name == "s3-bucket" else None)
        parser.add_argument(f"--{name}", default=default, required=default is None, help=f"or {variable}")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
