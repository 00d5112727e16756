"""`holdfast collect`: one pass that takes what the bucket holds in vain (server/audit/collect.py)."""

import argparse

import msgspec

from server.audit.collect import Collector, CollectReport
from server.audit.waste import HeldBack
from server.commands.outcome import EXIT_FAILED, EXIT_OK, report_outcome
from server.commands.progress import ProgressLine, in_units
from server.commands.stores import with_stores
from server.installation_watch import InstallationWatch
from server.settings import Settings
from server.storage.minio_blob_store import MinioBlobStore
from server.storage.postgres_collect_ledger import PostgresCollectLedger
from server.storage.postgres_ledger import PostgresLedger

_DESCRIPTION = """\
One pass of collect: objects that nothing needs any more leave the bucket, packs with waste are rewritten,
small packs of days that are over become large ones. No server does it by itself: run it daily. Two at once do
no harm. What a pass unlinks is deleted by a pass at least HOLDFAST_GRACE_S later.
Exit code 1: it could not be done, or objects were left alone that somebody should look at."""

# Left alone for a reason that heals by itself, or that the audit repairs.
_EXPECTED = frozenset({HeldBack.PINNED, HeldBack.LOST})


def add(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the word to the parser."""
    word = words.add_parser(
        "collect",
        help="remove what the bucket holds in vain",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    word.add_argument("--json", action="store_true", help="as JSON")
    word.set_defaults(run=_run)


def _run(options: argparse.Namespace, settings: Settings) -> int:
    line = ProgressLine()

    async def act(ledger: PostgresLedger, store: MinioBlobStore) -> CollectReport:
        watch = InstallationWatch(ledger, store)
        return await Collector(
            ledger,
            PostgresCollectLedger(ledger.connections),
            store,
            watch.confirm,
            grace_s=settings.grace_s,
            on_progress=lambda so_far: line.show(
                f"collect: {so_far.deleted} deleted, {so_far.examined} looked at, {so_far.rewritten} rewritten"
            ),
        ).collect()

    def run() -> int:
        done = with_stores(settings, act)
        line.clear()
        print(msgspec.json.encode(done).decode() if options.json else describe(done))
        return EXIT_FAILED if set(done.held_back) - _EXPECTED else EXIT_OK

    return report_outcome(run)


def describe(done: CollectReport) -> str:
    """The report for a person."""
    lines = [
        f"deleted        {done.deleted} objects, {in_units(done.bytes_deleted)}; {done.documents_deleted} documents",
        f"unlinked       {done.unlinked} objects; {done.late_objects} that came late",
        f"rewritten      {done.rewritten} objects into {done.packs_written} packs, {done.chunks_moved} chunks moved",
        f"erased wholly  {done.erased} recordings",
    ]
    lines += [f"left alone     {count} {why}" for why, count in sorted(done.held_back.items())]
    return "\n".join([*lines, f"took           {done.duration_s:.1f} s"])
