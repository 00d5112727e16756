"""`holdfast collect`: its arguments. What it does is loaded when it runs."""

import argparse

from server.settings import Settings

_DESCRIPTION = """\
One pass of collect now: objects that nothing needs any more leave the bucket, packs with waste are rewritten,
small packs of days that are over become large ones. The server does it every HOLDFAST_COLLECT_EVERY_S; where
one is running, this waits for its end first. What a pass unlinks is deleted by a pass at least HOLDFAST_GRACE_S later.
Exit code 1: it could not be done, or objects were left alone that somebody should look at."""


def add(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the word to the parser."""
    word = words.add_parser(
        "collect",
        help="remove what the bucket holds in vain",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    word.add_argument("--rate", type=int, default=0, metavar="BYTES", help="bytes a second; 0: as fast as it goes")
    word.add_argument("--json", action="store_true", help="as JSON")
    word.set_defaults(run=_run)


def _run(options: argparse.Namespace, settings: Settings) -> int:
    from server.commands.collect_words import run_collect

    return run_collect(options, settings)
