"""`make bench-audit`: audit, verify, scrub and rebuild at scale: time, memory, and how both grow; then a purge.

Everything is real: an embedded PostgreSQL and SeaweedFS of this run's own, filled through the server's own
storage with minimal chunks, and each word a process of its own, whose time and memory are its own.
Environment: AUDIT_PACKED chunks in packs (1000000) and AUDIT_OWN objects of their own (200000), which are
reached in AUDIT_STEPS equal steps (4), with an audit after each; verify, scrub and rebuild after the first
and after the last. AUDIT_PARTS: which of audit, verify, scrub, rebuild, purge (all).
"""

import asyncio
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import psycopg

from loadtest.filled_stores import PACK_CHUNKS, WRITERS, Filled
from loadtest.machine import describe_machine
from server.embedded import EmbeddedServices
from server.installation import establish_installation
from server.storage.migrations import apply_migrations
from server.storage.minio_blob_store import MinioBlobStore
from server.storage.postgres_ledger import PostgresLedger

ROOT: Final = Path(__file__).resolve().parent.parent
RESULTS: Final = ROOT / "loadtest" / "results"
PURGED_SHARE: Final = 0.01
PARTS: Final = ("audit", "verify", "scrub", "rebuild", "purge")
_PEAK_EVERY_S: Final = 0.05
_HARM: Final = ("missing", "orphans", "mismatched", "wanted", "adopted")


@dataclass(frozen=True)
class Ran:
    """One process: its own work in seconds, all of it in seconds and MiB, its report."""

    duration_s: float
    process_s: float
    peak_mib: float
    report: dict[str, Any]

    @property
    def is_clean(self) -> bool:
        """Whether an audit or a scrub found nothing."""
        return not any(self.report.get(name) for name in _HARM)


@dataclass
class Bench:
    """The stores under measurement, what is measured, and the rows of the table so far."""

    services: EmbeddedServices
    filled: Filled
    parts: tuple[str, ...]
    rows: list[str] = field(default_factory=list)
    is_held: bool = True
    # Ranges of indexes that lie in packs.
    packed: list[tuple[int, int]] = field(default_factory=list)
    packed_count: int = 0
    own_count: int = 0

    async def grow(self, packed: int, own: int) -> None:
        """So many more chunks."""
        self.packed.append((self.filled.count, self.filled.count + packed))
        await self.filled.add(packed, own)
        self.packed_count += packed
        self.own_count += own
        _say(f"{self.filled.count:,} chunks stored")

    async def measure(self, *, is_end: bool) -> None:
        """The parts that are due at this size; verify, scrub and rebuild only at an end of the growth."""
        if "audit" in self.parts:
            self._note("audit", await self.run("audit"), "")
        if not is_end:
            return
        if "verify" in self.parts:
            for word in ("verify, first time", "verify, again"):
                await self._measure_verify(word)
        if "scrub" in self.parts:
            ran = await self.run("scrub", "--rate", "0")
            self._note("scrub", ran, f"{ran.report['objects']:,} objects")
        if "rebuild" in self.parts:
            await self._measure_rebuild()

    async def run(self, *words: str, database_url: str = "") -> Ran:
        """`holdfast WORDS --json`."""
        return await asyncio.to_thread(_run, self._environ(database_url), "server.cli", *words, "--json")

    async def _measure_verify(self, word: str) -> None:
        bounds = [str(bound) for pair in self.packed for bound in pair]
        words = ("loadtest.verify_recording", str(self.filled.recording_id), *bounds)
        ran = await asyncio.to_thread(_run, self._environ(), *words)
        asked = ", ".join(f"{ran.report[name]:,} {name}" for name in ("calls", "gets", "heads"))
        self._note(word, ran, f"chunks in packs alone: {asked}")

    async def _measure_rebuild(self) -> None:
        """Into an empty database, which goes again."""
        name = f"rebuilt_{self.filled.count}"
        with psycopg.connect(self.services.superuser_url, autocommit=True) as connection:
            connection.execute(f'create database "{name}" template template0 owner holdfast'.encode())
        try:
            url = urlunsplit(urlsplit(self.services.database_url)._replace(path=f"/{name}"))
            ran = await self.run("rebuild-ledger", database_url=url)
            is_whole = ran.report["chunks"] == self.filled.count
            self.is_held &= is_whole
            self._note(
                "rebuild-ledger", ran, "every row is back" if is_whole else f"ONLY {ran.report['chunks']:,} rows"
            )
        finally:
            with psycopg.connect(self.services.superuser_url, autocommit=True) as connection:
                connection.execute(f'drop database "{name}" with (force)'.encode())

    def _note(self, word: str, ran: Ran, remark: str) -> None:
        self.is_held &= ran.is_clean
        self.rows.append(
            f"| {word} | {self.packed_count:,} | {self.own_count:,} | {ran.duration_s:.1f} | {ran.process_s:.1f} |"
            f" {ran.peak_mib:.0f} | {remark if ran.is_clean else 'NOT CLEAN'} |"
        )
        _say(self.rows[-1])

    def _environ(self, database_url: str = "") -> dict[str, str]:
        bucket = self.services.bucket
        return {
            **os.environ,
            "HOLDFAST_DATABASE_URL": database_url or self.services.database_url,
            "HOLDFAST_S3_ENDPOINT": f"http://{bucket.endpoint}",
            "HOLDFAST_S3_ACCESS_KEY": bucket.access_key,
            "HOLDFAST_S3_SECRET_KEY": bucket.secret_key,
            "HOLDFAST_S3_BUCKET": bucket.bucket,
        }


def main() -> int:
    """0 when everything was clean where it should be, and everything purged came back."""
    packed, own = int(os.environ.get("AUDIT_PACKED") or 1_000_000), int(os.environ.get("AUDIT_OWN") or 200_000)
    steps = int(os.environ.get("AUDIT_STEPS") or 4)
    parts = tuple((os.environ.get("AUDIT_PARTS") or ",".join(PARTS)).split(","))
    if unknown := set(parts) - set(PARTS):
        raise SystemExit(f"AUDIT_PARTS has {', '.join(sorted(unknown))}; expected some of {', '.join(PARTS)}")
    (ROOT / ".build").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="audit-", dir=ROOT / ".build"))
    try:
        with EmbeddedServices(folder, on_progress=_say) as services:
            apply_migrations(services.database_url)
            text, is_held = asyncio.run(_measure(services, packed, own, steps, parts))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    RESULTS.mkdir(exist_ok=True)
    result = RESULTS / f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}-audit.md"
    result.write_text(text)
    print(text)
    print(f"bench-audit: written to {result.relative_to(ROOT)}")
    return 0 if is_held else 1


async def _measure(
    services: EmbeddedServices, packed: int, own: int, steps: int, parts: tuple[str, ...]
) -> tuple[str, bool]:
    ledger = await PostgresLedger.open(services.database_url)
    store = MinioBlobStore(services.bucket, threads=WRITERS)
    try:
        await establish_installation(ledger, store)
        filled = Filled(ledger, store)
        await filled.register()
        asked = "" if parts == PARTS else f" AUDIT_PARTS={','.join(parts)}"
        lines = [
            "# Audit, verify, scrub and rebuild at scale",
            "",
            *describe_machine(),
            "",
            f"`AUDIT_PACKED={packed} AUDIT_OWN={own} AUDIT_STEPS={steps}{asked} make bench-audit`",
            "",
            "| word | chunks in packs | own objects | work s | process s | peak MiB | |",
            "|---|---:|---:|---:|---:|---:|---|",
        ]
        bench = Bench(services, filled, parts)
        for step in range(1, steps + 1):
            await bench.grow(packed // steps, own // steps)
            await bench.measure(is_end=step in (1, steps))
        purged, came_back = await _purge_and_repair(bench) if "purge" in parts else ([], True)
        return "\n".join([*lines, *bench.rows, "", *purged, ""]).rstrip() + "\n", bench.is_held and came_back
    finally:
        await store.close()
        await ledger.close()


async def _purge_and_repair(bench: Bench) -> tuple[list[str], bool]:
    """Lose 1 % of the objects and 1 % of the rows, audit, send again what is asked for, audit again."""
    draw = random.Random(1)
    filled, database_url = bench.filled, bench.services.database_url
    with psycopg.connect(database_url, autocommit=True) as connection:
        keys = [row[0] for row in connection.execute("select key from objects order by key").fetchall()]
        lost = draw.sample(keys, max(1, int(len(keys) * PURGED_SHARE)))
        rows = max(1, int(filled.count * PURGED_SHARE))
        connection.execute(
            "delete from chunks where (recording_id, chunk_index) in"
            " (select recording_id, chunk_index from chunks order by sha256 limit %s)",
            (rows,),
        )
    for key in lost:
        await filled.store.delete(key)
    first = await bench.run("audit")
    with psycopg.connect(database_url, autocommit=True) as connection:
        query = "select i from generate_series(0, %s - 1) as i where not exists"
        query += " (select from chunks where recording_id = %s and chunk_index = i and state = 'stored')"
        wanted = [row[0] for row in connection.execute(query.encode(), (filled.count, filled.recording_id)).fetchall()]
    for start in range(0, len(wanted), PACK_CHUNKS):
        await filled.store_pack(wanted[start : start + PACK_CHUNKS])
    second, third = await bench.run("audit"), await bench.run("audit")
    lines = [
        f"Purged: {len(lost):,} objects and {rows:,} rows.",
        "",
        "| audit | s | missing | orphans | adopted | asked again | still wanted |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    names = ("missing", "orphans", "adopted", "rerequested", "wanted")
    for word, ran in (("after the purge", first), ("after sending again", second), ("once more", third)):
        figures = " | ".join(f"{ran.report[name]:,}" for name in names)
        lines.append(f"| {word} | {ran.duration_s:.1f} | {figures} |")
    lines.append("")
    lines.append(
        f"{len(wanted):,} chunks were sent again, {third.report['chunks']:,} of {filled.count:,} have their row."
    )
    return lines, second.is_clean and third.is_clean and third.report["chunks"] == filled.count


def _run(environ: dict[str, str], module: str, *words: str) -> Ran:
    """A module as a process. Its peak is read while it runs: what wait4 tells of a child begins with its parent's."""
    started_s, peak_mib = time.perf_counter(), 0.0
    process = subprocess.Popen([sys.executable, "-m", module, *words], env=environ, stdout=subprocess.PIPE, cwd=ROOT)
    while True:
        try:
            output, _ = process.communicate(timeout=_PEAK_EVERY_S)
            break
        except subprocess.TimeoutExpired:
            peak_mib = max(peak_mib, _read_peak_mib(process.pid))
    if not output:
        raise SystemExit(f"{module} {' '.join(words)} told nothing and ended with {process.returncode}")
    report = json.loads(output)
    return Ran(report["duration_s"], time.perf_counter() - started_s, peak_mib, report)


def _read_peak_mib(pid: int) -> float:
    """The most that the process has had in memory so far; 0 where it has just ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


def _say(line: str) -> None:
    print(f"bench-audit: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
