"""`make bench-audit`: how long a clean audit takes, how much memory, and how both grow; then a purge and its repair.

Everything is real: an embedded PostgreSQL and SeaweedFS of this run's own, filled through the server's own
storage with minimal chunks, and `holdfast audit` as a process of its own, whose time and memory are its
own. Environment: AUDIT_PACKED chunks in packs (1000000) and AUDIT_OWN objects of their own (200000), which
are reached in AUDIT_STEPS equal steps (4), with an audit after each.
"""

import asyncio
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Final
from uuid import UUID

import psycopg

from loadtest.machine import describe_machine
from server.embedded import EmbeddedServices
from server.installation import establish_installation
from server.storage.keys import ChunkKey, PackKey, new_uuid7
from server.storage.ledger import NewChunk, NewObject
from server.storage.migrations import apply_migrations
from server.storage.minio_blob_store import MinioBlobStore
from server.storage.pack_format import PackChunk, build_pack
from server.storage.postgres_ledger import PostgresLedger

ROOT: Final = Path(__file__).resolve().parent.parent
RESULTS: Final = ROOT / "loadtest" / "results"
PACK_CHUNKS: Final = 512
WRITERS: Final = 16
PURGED_SHARE: Final = 0.01


@dataclass(frozen=True)
class Audited:
    """One audit: what it went over, its own work in seconds, the whole process in seconds and MiB, its report."""

    duration_s: float
    process_s: float
    peak_mib: float
    report: dict[str, object]


@dataclass
class Filled:
    """What was stored, so that it can be sent again."""

    ledger: PostgresLedger
    store: MinioBlobStore
    recording_id: UUID = field(default_factory=new_uuid7)
    count: int = 0

    async def register(self) -> None:
        await self.ledger.register_recording(
            recording_id=self.recording_id,
            mime_type="audio/webm",
            title="bench",
            started_at=datetime.now(UTC),
            document=b"{}",
        )

    async def add(self, packed: int, own: int) -> None:
        """So many more chunks."""
        first, middle, last = self.count, self.count + packed, self.count + packed + own
        self.count = last
        jobs: Iterator[tuple[int, int, bool]] = iter(
            [(start, min(start + PACK_CHUNKS, middle), True) for start in range(first, middle, PACK_CHUNKS)]
            + [(start, min(start + PACK_CHUNKS, last), False) for start in range(middle, last, PACK_CHUNKS)]
        )

        async def work() -> None:
            for start, end, is_pack in jobs:
                await (self.store_pack(range(start, end)) if is_pack else self.store_own(range(start, end)))

        await asyncio.gather(*(work() for _ in range(WRITERS)))

    async def store_pack(self, indexes: Sequence[int]) -> None:
        object_id = new_uuid7()
        chunks = [PackChunk(self.recording_id, i, 0, sha256(body_of(i)).digest(), body_of(i)) for i in indexes]
        pack, offsets = build_pack(chunks)
        key = PackKey(object_id).text
        stored = NewObject(object_id, key, len(pack), await self.store.put(key, pack))
        rows = [
            NewChunk(self.recording_id, c.chunk_index, 0, object_id, offset, len(c.body), c.sha256)
            for c, offset in zip(chunks, offsets, strict=True)
        ]
        await self.ledger.acknowledge([stored], rows)

    async def store_own(self, indexes: Sequence[int]) -> None:
        objects, rows = [], []
        for index in indexes:
            body, object_id = body_of(index), new_uuid7()
            digest = sha256(body).digest()
            key = ChunkKey(self.recording_id, index, 0, digest, object_id).text
            objects.append(NewObject(object_id, key, len(body), await self.store.put(key, body)))
            rows.append(NewChunk(self.recording_id, index, 0, object_id, 0, len(body), digest))
        await self.ledger.acknowledge(objects, rows)


def body_of(index: int) -> bytes:
    """A minimal chunk; every index has its own."""
    return b"%d" % index


def main() -> int:
    """0 when every audit was clean where it should be, and everything purged came back."""
    packed, own = int(os.environ.get("AUDIT_PACKED") or 1_000_000), int(os.environ.get("AUDIT_OWN") or 200_000)
    steps = int(os.environ.get("AUDIT_STEPS") or 4)
    (ROOT / ".build").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="audit-", dir=ROOT / ".build"))
    try:
        with EmbeddedServices(folder, on_progress=_say) as services:
            apply_migrations(services.database_url)
            text, is_held = asyncio.run(_measure(services, _environ_over(services), packed, own, steps))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    RESULTS.mkdir(exist_ok=True)
    result = RESULTS / f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}-audit.md"
    result.write_text(text)
    print(text)
    print(f"bench-audit: written to {result.relative_to(ROOT)}")
    return 0 if is_held else 1


async def _measure(
    services: EmbeddedServices, environ: dict[str, str], packed: int, own: int, steps: int
) -> tuple[str, bool]:
    ledger = await PostgresLedger.open(services.database_url)
    store = MinioBlobStore(services.bucket, threads=WRITERS)
    try:
        await establish_installation(ledger, store)
        filled = Filled(ledger, store)
        await filled.register()
        lines = [
            "# A clean audit, and one after a purge",
            "",
            *describe_machine(),
            "",
            f"`AUDIT_PACKED={packed} AUDIT_OWN={own} AUDIT_STEPS={steps} make bench-audit`",
            "",
            "| chunks in packs | own objects | audit s | process s | peak MiB | clean |",
            "|---:|---:|---:|---:|---:|---|",
        ]
        is_held = True
        for step in range(1, steps + 1):
            await filled.add(packed // steps, own // steps)
            _say(f"{filled.count:,} chunks stored")
            audited = await asyncio.to_thread(_audit, environ)
            is_clean = _is_clean(audited)
            is_held &= is_clean
            lines.append(
                f"| {packed // steps * step:,} | {own // steps * step:,} | {audited.duration_s:.1f} |"
                f" {audited.process_s:.1f} | {audited.peak_mib:.0f} | {'yes' if is_clean else 'NO'} |"
            )
            _say(lines[-1])
        purged, came_back = await _purge_and_repair(services, environ, filled)
        return "\n".join([*lines, "", *purged, ""]), is_held and came_back
    finally:
        await store.close()
        await ledger.close()


async def _purge_and_repair(
    services: EmbeddedServices, environ: dict[str, str], filled: Filled
) -> tuple[list[str], bool]:
    """Lose 1 % of the objects and 1 % of the rows, audit, send again what is asked for, audit again."""
    draw = random.Random(1)
    with psycopg.connect(services.database_url, autocommit=True) as connection:
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
    first = await asyncio.to_thread(_audit, environ)
    with psycopg.connect(services.database_url, autocommit=True) as connection:
        query = "select i from generate_series(0, %s - 1) as i where not exists"
        query += " (select from chunks where recording_id = %s and chunk_index = i and state = 'stored')"
        wanted = [row[0] for row in connection.execute(query.encode(), (filled.count, filled.recording_id)).fetchall()]
    for start in range(0, len(wanted), PACK_CHUNKS):
        await filled.store_pack(wanted[start : start + PACK_CHUNKS])
    second = await asyncio.to_thread(_audit, environ)
    third = await asyncio.to_thread(_audit, environ)
    lines = [
        f"Purged: {len(lost):,} objects and {rows:,} rows.",
        "",
        "| audit | s | missing | orphans | adopted | asked again | still wanted |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    names = ("missing", "orphans", "adopted", "rerequested", "wanted")
    for word, audited in (("after the purge", first), ("after sending again", second), ("once more", third)):
        figures = " | ".join(f"{audited.report[name]:,}" for name in names)
        lines.append(f"| {word} | {audited.duration_s:.1f} | {figures} |")
    lines.append("")
    lines.append(
        f"{len(wanted):,} chunks were sent again, {third.report['chunks']:,} of {filled.count:,} have their row."
    )
    return lines, _is_clean(second) and _is_clean(third) and third.report["chunks"] == filled.count


def _audit(environ: dict[str, str]) -> Audited:
    """`holdfast audit` as a process; GNU time is not needed, the kernel tells what a child used."""
    started_s = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "server.cli", "audit", "--json"], env=environ, stdout=subprocess.PIPE, cwd=ROOT
    )
    assert process.stdout is not None
    output = process.stdout.read()
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    report = json.loads(output)
    return Audited(report["duration_s"], time.perf_counter() - started_s, usage.ru_maxrss / 1024, report)


def _is_clean(audited: Audited) -> bool:
    return not any(audited.report[name] for name in ("missing", "orphans", "mismatched", "wanted", "adopted"))


def _environ_over(services: EmbeddedServices) -> dict[str, str]:
    bucket = services.bucket
    return {
        **os.environ,
        "HOLDFAST_DATABASE_URL": services.database_url,
        "HOLDFAST_S3_ENDPOINT": f"http://{bucket.endpoint}",
        "HOLDFAST_S3_ACCESS_KEY": bucket.access_key,
        "HOLDFAST_S3_SECRET_KEY": bucket.secret_key,
        "HOLDFAST_S3_BUCKET": bucket.bucket,
    }


def _say(line: str) -> None:
    print(f"bench-audit: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
