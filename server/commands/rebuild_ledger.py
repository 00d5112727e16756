"""`holdfast rebuild-ledger`: its arguments. What it does is loaded when it runs."""

import argparse

from server.settings import Settings

_DESCRIPTION = """\
Fill an empty ledger from the bucket: recordings, titles, certificates, tombstones, objects, chunks. Every
object is read back whole. It goes on where it stood when it was killed, and writes the installation id at
its end; a running server takes no chunks until then. A ledger that holds something is refused.
Exit code 1: it could not be done, or something in the bucket should be looked at."""


def add(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the word to the parser."""
    word = words.add_parser(
        "rebuild-ledger",
        help="fill an empty ledger from the bucket",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    word.add_argument(
        "--merge", action="store_true", help="add what a ledger that holds something lacks; what it holds stands"
    )
    word.add_argument("--json", action="store_true", help="as JSON")
    word.set_defaults(run=_run)


def _run(options: argparse.Namespace, settings: Settings) -> int:
    from server.commands.rebuild_words import run_rebuild

    return run_rebuild(options, settings)
