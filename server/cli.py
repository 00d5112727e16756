"""The command line: `holdfast serve | settings | upload | migrate | collect | rebuild-ledger | check-certificate`.

Exit codes: 0 well, 1 it could not be done (the last line says why and what to do), 2 wrong arguments or
settings.
"""

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from server.commands import audit, check_certificate, collect, rebuild_ledger
from server.commands.outcome import EXIT_OK, EXIT_WRONG_USE, complain, report_outcome
from server.setting_kinds import InvalidSettingError
from server.settings import Settings, describe_settings, read_settings
from server.version import SERVER_VERSION

_DESCRIPTION: Final = "Holdfast records in a browser tab and does not lose what the page shows as saved."
_EPILOG: Final = "Settings come from the environment (HOLDFAST_*); `holdfast settings` lists them."
_SERVE: Final = """\
Start the server: the embedded PostgreSQL and S3 where the environment names none, then the API processes.
Runs until SIGTERM or Ctrl-C, which finish what was accepted (a second one ends at once).
SIGUSR1 replaces the API processes, so that they load new code or a new page."""

_UPLOAD: Final = """\
Send a file as a recording, with the same care as the page: saved here first, sent, verified in ledger and bucket,
certified, and only then forgotten here. Killed and started again, it goes on where it was. A file whose contents
changed meanwhile becomes a recording of its own, never a mixture. An unfinished upload is kept in
$XDG_STATE_HOME/holdfast/uploads (~/.local/state/holdfast/uploads) and needs at most about 300 MiB there.
Exit codes: 0 certified, 1 not done (the last line says why and what to do), 2 wrong use, 130 stopped by you."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace, Settings], int] = options.run
    try:
        settings = read_settings()
    except InvalidSettingError as error:
        for line in str(error).splitlines():
            complain(line)
        return EXIT_WRONG_USE
    return run(options, settings)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="holdfast", description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("--version", action="version", version=f"holdfast {SERVER_VERSION}")
    words = parser.add_subparsers(title="words", required=True, metavar="WORD")

    serve = words.add_parser(
        "serve", help="start the server", description=_SERVE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    serve.add_argument(
        "--adopt-bucket",
        action="store_true",
        help="join this bucket and this ledger, of which one holds no installation id, as they are",
    )
    serve.set_defaults(run=_serve)

    settings = words.add_parser("settings", help="list the settings", description="Every setting and its value now.")
    settings.add_argument("--json", action="store_true", help="as JSON")
    settings.set_defaults(run=_list_settings)

    upload = words.add_parser(
        "upload", help="send a file", description=_UPLOAD, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    upload.add_argument("file", type=Path, help="the file; its contents must not change meanwhile")
    upload.add_argument("--server", metavar="URL", help="default: HOLDFAST_PUBLIC_URL")
    upload.add_argument("--type", metavar="MIME", help="its MIME type; default: by its name")
    upload.add_argument("--title", help="what lists call it; default: its name")
    upload.add_argument("--state-dir", type=Path, metavar="DIR", help="where an unfinished upload is kept")
    upload.add_argument("--json", action="store_true", help="the outcome as JSON")
    upload.set_defaults(run=_upload)

    migrate = words.add_parser(
        "migrate",
        help="bring the ledger's schema up to date",
        description="Apply missing migrations to the ledger. `serve` does it at its start as well.",
    )
    migrate.add_argument("--json", action="store_true", help="as JSON")
    migrate.set_defaults(run=_migrate)

    for word in (audit, collect, rebuild_ledger, check_certificate):
        word.add(words)
    return parser


def _serve(options: argparse.Namespace, settings: Settings) -> int:
    from server.logging_setup import set_up_logging
    from server.supervisor import serve

    set_up_logging(settings)
    return report_outcome(lambda: serve(settings, os.environ, adopts_bucket=options.adopt_bucket))


def _list_settings(options: argparse.Namespace, _settings: Settings) -> int:
    # `holdfast settings | head` is no error.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    rows = describe_settings()
    if options.json:
        print(json.dumps(rows, indent=2))
        return EXIT_OK
    widths = [max(len(str(row[name])) for row in rows) for name in ("variable", "value")]
    for row in rows:
        mark = "*" if row["is_given"] else " "
        print(f"{row['variable']:<{widths[0]}} {mark} {row['value']:<{widths[1]}}  {row['help']}".rstrip())
    print("\n* given by the environment")
    return EXIT_OK


def _migrate(options: argparse.Namespace, settings: Settings) -> int:
    from server.logging_setup import set_up_logging
    from server.preparation import embedded_services, migrate, needs_embedded
    from server.storage.migrations import Migration

    def apply() -> list[Migration]:
        if not needs_embedded(settings, wants_bucket=False):
            assert settings.database_url is not None
            return migrate(settings.database_url)
        with embedded_services(settings, wants_bucket=False) as services:
            return migrate(services.database_url)

    def run() -> None:
        applied = apply()
        if options.json:
            print(json.dumps({"applied": [{"version": done.version, "name": done.name} for done in applied]}))
        else:
            print(f"{len(applied)} applied: the schema is up to date" if applied else "the schema is up to date")

    set_up_logging(settings)
    return report_outcome(run)


def _upload(options: argparse.Namespace, settings: Settings) -> int:
    from client_py.local.upload_command import run_upload

    return run_upload(
        options.file,
        server=options.server or settings.public_url,
        state_folder=options.state_dir,
        mime_type=options.type,
        title=options.title,
        is_json=options.json,
    )


if __name__ == "__main__":
    sys.exit(main())
