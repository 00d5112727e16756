"""`holdfast audit | scrub | findings`: their arguments. What they do is loaded when one of them runs."""

import argparse
from typing import Final

from protocol.states import FindingKind
from server.settings import Settings

_AUDIT: Final = """\
Compare bucket and ledger, both ways, and repair: lost chunks are asked for again, chunks without a row are
adopted, lost documents are written again. Nothing is deleted. Exit code 1: bytes are lost, damaged or disputed."""
_SCRUB: Final = """\
Read every object back and check every digest; go on where the last scrub stopped. Damaged chunks are asked
for again. Exit code 1: bytes are lost or damaged."""


def add(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the words to the parser."""
    raw = argparse.RawDescriptionHelpFormatter
    audit = words.add_parser("audit", help="compare bucket and ledger", description=_AUDIT, formatter_class=raw)
    audit.set_defaults(run=_audit)
    scrub = words.add_parser("scrub", help="read everything back", description=_SCRUB, formatter_class=raw)
    scrub.add_argument("--rate", type=int, default=0, metavar="BYTES", help="bytes a second; 0: as fast as it goes")
    scrub.set_defaults(run=_scrub)
    findings = words.add_parser("findings", help="list what was found", description="Differences, newest first.")
    findings.add_argument("--kind", choices=[str(kind) for kind in FindingKind])
    findings.add_argument("--all", action="store_true", help="resolved ones too")
    findings.set_defaults(run=_list_findings)
    for word in (audit, scrub, findings):
        word.add_argument("--json", action="store_true", help="as JSON")


def _audit(options: argparse.Namespace, settings: Settings) -> int:
    from server.commands.audit_words import run_audit

    return run_audit(options, settings)


def _scrub(options: argparse.Namespace, settings: Settings) -> int:
    from server.commands.audit_words import run_scrub

    return run_scrub(options, settings)


def _list_findings(options: argparse.Namespace, settings: Settings) -> int:
    from server.commands.audit_words import list_findings

    return list_findings(options, settings)
