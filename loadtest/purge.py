"""`make load-purge`: the load test, then a purge of 1 % of its objects and rows, an audit, the same chunks sent again.

    1 load     k6 on a fresh server; every byte is accounted for
    2 purge    objects vanish from the bucket and rows from the ledger, behind the server's back
    3 audit    chunks without a row are adopted, chunks without an object asked for again
    4 repair   the same run again and a little more: what is held is answered as before, the rest is stored
    5 audit    finds nothing, and every byte is accounted for again

Environment: RATE (a second; 5000), DURATION (60s), HOLDFAST_PORT (3000). Status 0 only when all of it is so.
"""

import json
import math
import os
import random
import shutil
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import psycopg

from loadtest.check_bytes import Verdict, describe
from loadtest.embedded_stores import find_bucket, find_database_url
from loadtest.k6_run import LoadError, run_k6
from loadtest.machine import describe_machine
from loadtest.run_load import RATE, RESULTS, ROOT, audit_bytes
from loadtest.served import Served, serve

_SHARE: Final = 0.01
# k6 sends a chunk more or less each time; what comes on top is new.
_AGAIN_FASTER: Final = 1.05
_CHUNK_OBJECTS: Final = ("packs/", "chunks/")
# Nothing of its own accord: each audit is the one that this asks for.
CALM: Final = {"HOLDFAST_AUDIT_EVERY_S": "0", "HOLDFAST_SCRUB_EVERY_S": "0", "HOLDFAST_COLLECT_EVERY_S": "0"}
_FOUND: Final = ("missing", "orphans", "mismatched", "adopted", "rerequested", "wanted")
_DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_ASKED_EVERY_S: Final = 0.5
_AUDIT_S_MAX: Final = 600


@dataclass(frozen=True)
class Purged:
    """What was lost, what each audit said, and both counts of every byte."""

    objects: int
    rows: int
    before: Verdict
    first: dict[str, Any]
    resent: int
    refused: int
    second: dict[str, Any]
    after: Verdict

    @property
    def failures(self) -> list[str]:
        """What keeps it from being well."""
        found = []
        if not self.before.is_clean or not self.after.is_clean:
            found.append("not every byte is accounted for")
        if self.first["missing"] != self.objects or self.first["rerequested"] != self.first["wanted"]:
            found.append("the first audit did not find exactly what was lost")
        if self.refused:
            found.append(f"{self.refused:,} chunks were refused when they were sent again")
        if any(self.second[name] for name in _FOUND):
            found.append("the second audit found something")
        return found


def load_purge_repair(served: Served, rate: str, duration: str) -> Purged:
    """The whole of it. Raises `LoadError` where it says nothing."""
    settings = {"RATE": rate, "DURATION": duration, "BASE_URL": served.url}
    name = f"purge{time.time_ns() // 1_000_000}"
    profile = ROOT / "loadtest" / "assignment.js"
    # 1 load
    sent = run_k6(profile, name, settings, served.folder).run
    before = audit_bytes(served, sent)
    # 2 purge
    objects, rows = _purge(served)
    # 3 audit
    first = audit_now(served.url)
    # 4 repair
    faster = str(math.ceil(int(rate) * _AGAIN_FASTER))
    again = run_k6(profile, name, {**settings, "RATE": faster}, served.folder).run
    if again.sent < sent.sent:
        raise LoadError(f"k6 sent {again.sent:,} chunks the second time, {sent.sent:,} the first; lower the RATE")
    # 5 audit
    second = audit_now(served.url)
    return Purged(
        objects, rows, before, first, again.sent, len(again.other_statuses), second, audit_bytes(served, again)
    )


def audit_now(base_url: str) -> dict[str, Any]:
    """The report of an audit that begins now. Raises `LoadError`."""
    report = _ask(urllib.request.Request(f"{base_url}/api/audit", method="POST"))
    deadline_s = time.monotonic() + _AUDIT_S_MAX
    while report["standing"] != "finished":
        if time.monotonic() > deadline_s:
            raise LoadError(f"the audit did not end within {_AUDIT_S_MAX} s")
        time.sleep(_ASKED_EVERY_S)
        report = _ask(urllib.request.Request(f"{base_url}/api/audit"))
    return report


def _ask(request: urllib.request.Request) -> dict[str, Any]:
    with _DIRECT.open(request, timeout=60) as answer:
        return dict(json.loads(answer.read()))


def _purge(served: Served) -> tuple[int, int]:
    """How many objects and rows are gone now.

    No chunk loses both: the stores would hold nothing of it that an audit could find.
    """
    draw = random.Random(1)
    bucket = find_bucket(served.folder / "data")
    with bucket.open_client(connections=1) as client:
        keys = sorted(
            str(found.object_name)
            for prefix in _CHUNK_OBJECTS
            for found in client.list_objects(bucket.name, prefix=prefix, recursive=True)
        )
        lost = draw.sample(keys, max(1, round(len(keys) * _SHARE)))
        for key in lost:
            client.remove_object(bucket.name, key)
    with psycopg.connect(find_database_url(served.folder / "data"), autocommit=True) as connection:
        gone = connection.execute(
            "with dropped as (select recording_id, chunk_index from chunks join objects using (object_id)"
            " where key <> all(%s) order by sha256 limit (select greatest(1, count(*) / 100) from chunks))"
            " delete from chunks using dropped where (chunks.recording_id, chunks.chunk_index)"
            " = (dropped.recording_id, dropped.chunk_index)",
            (lost,),
        ).rowcount
    return len(lost), gone


def main() -> int:
    """0 when nothing was lost and the second audit found nothing."""
    rate, duration = os.environ.get("RATE") or str(RATE), os.environ.get("DURATION") or "60s"
    port = int(os.environ.get("HOLDFAST_PORT") or "3000")
    (ROOT / ".build").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="purge-", dir=ROOT / ".build"))
    try:
        with serve(folder, port, CALM) as served:
            purged = load_purge_repair(served, rate, duration)
    except LoadError as error:
        print(f"load-purge: {error}\nload-purge: logs are in {folder.relative_to(ROOT)}", file=sys.stderr)
        return 1
    text = format_result(purged, f"make load-purge RATE={rate} DURATION={duration}")
    RESULTS.mkdir(exist_ok=True)
    result = RESULTS / f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}-purge-{rate}.md"
    result.write_text(text)
    print(text)
    print(f"load-purge: written to {result.relative_to(ROOT)}")
    if purged.failures:
        print(f"load-purge: FAILED. Data and logs are kept in {folder.relative_to(ROOT)}")
        return 1
    shutil.rmtree(folder)
    return 0


def format_result(purged: Purged, command: str) -> str:
    """The result as a page that says how to get it again."""
    head = "\n".join(f"- {line}" for line in [*describe_machine(), f"again: `{command}`"])
    figures = [
        f"| {word} | {report['duration_s']:.1f} | " + " | ".join(f"{report[name]:,}" for name in _FOUND) + " |"
        for word, report in (("after the purge", purged.first), ("after sending again", purged.second))
    ]
    counts = [
        f"| {word} | {verdict.answered_200:,} | {verdict.ledger_rows:,} | {verdict.chunks_in_bucket:,} |"
        f" {verdict.bytes_equal:,} |"
        for word, verdict in (("before the purge", purged.before), ("after the repair", purged.after))
    ]
    harm = [f"\n```\n{describe(verdict)}\n```" for verdict in (purged.before, purged.after) if not verdict.is_clean]
    verdict = "; ".join(purged.failures) or "nothing is lost, and the second audit found nothing"
    return "\n".join(
        [
            "# A purge after the load test, and its repair by sending again",
            "",
            head,
            "",
            f"Purged: {purged.objects:,} objects and {purged.rows:,} rows; {purged.resent:,} chunks were sent again.",
            "",
            f"| audit | s | {' | '.join(_FOUND)} |",
            "|---|" + "---:|" * (len(_FOUND) + 1),
            *figures,
            "",
            "| | answered 200 | ledger rows | chunks in the bucket | bytes equal |",
            "|---|---:|---:|---:|---:|",
            *counts,
            "",
            f"{verdict[0].upper()}{verdict[1:]}.",
            *harm,
            "",
        ]
    )


if __name__ == "__main__":
    raise SystemExit(main())
