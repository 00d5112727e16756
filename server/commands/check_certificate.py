"""`holdfast check-certificate`: a certificate and downloaded bytes; asks no server, bucket or ledger."""

import argparse
import json
from pathlib import Path

from server import certificate_proof
from server.settings import Settings

_DESCRIPTION = """\
Prove a certificate from bytes alone: that it agrees with itself, and that the bytes are exactly those it
states. BYTES are files whose contents, one after another, are the recording's chunks in order of their
indexes; a folder stands for its files in order of their names. Exit code 0: proven; 1: not, and why."""


def add(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the word to the parser."""
    word = words.add_parser(
        "check-certificate",
        help="prove a certificate from downloaded bytes",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    word.add_argument("certificate", type=Path, metavar="CERTIFICATE", help="as GET …/certificate answered it")
    word.add_argument("bytes", type=Path, nargs="*", metavar="BYTES", help="files or folders")
    word.add_argument("--root", help="the root as it was noted elsewhere, 64 hexadecimal digits")
    word.add_argument("--json", action="store_true", help="as JSON")
    word.set_defaults(run=_run)


def _run(options: argparse.Namespace, _settings: Settings) -> int:
    report = certificate_proof.check(options.certificate, options.bytes, options.root)
    print(json.dumps(report) if options.json else certificate_proof.describe(report))
    return 0 if report["is_proven"] else 1
