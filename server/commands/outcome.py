"""How a word of the command line ends: errors that an operator can act on become one message and exit code 1."""

import sys
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

import msgspec

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_WRONG_USE: Final = 2


def report_outcome(run: Callable[[], int | None]) -> int:
    """Run it; the exit code, EXIT_OK where it answers none."""
    from server.audit.rebuild import RebuildRefusedError
    from server.listening import PortError
    from server.refusal import Refusal
    from server.services.errors import EmbeddedServiceError
    from server.storage.blob_store import BlobStoreError
    from server.storage.ledger import LedgerError
    from server.worker_pool import WorkersFailedError

    try:
        return run() or EXIT_OK
    except (PortError, EmbeddedServiceError, WorkersFailedError, RebuildRefusedError) as error:
        complain(str(error))
    except Refusal as error:
        complain(f"{error.code}: {error.detail}. {error.next_step}")
    except LedgerError as error:
        complain(f"the ledger: {error}. Check HOLDFAST_DATABASE_URL and the database")
    except BlobStoreError as error:
        complain(f"the bucket: {error}. Check HOLDFAST_S3_* and the S3 service")
    return EXIT_FAILED


class Report(Protocol):
    """What a pass or a rebuild ends with."""

    @property
    def is_harmed(self) -> bool:
        """Whether somebody should look at it: exit code 1."""


R = TypeVar("R", bound=Report)


def show_report(make: Callable[[], R], describe: Callable[[R], str], *, is_json: bool) -> int:
    """Print what `make` answers, for a program or in the words of `describe`; the exit code."""

    def run() -> int:
        report = make()
        print(msgspec.json.encode(report).decode() if is_json else describe(report))
        return EXIT_FAILED if report.is_harmed else EXIT_OK

    return report_outcome(run)


def complain(message: str) -> None:
    """One line for a person."""
    print(f"holdfast: {message}", file=sys.stderr)
