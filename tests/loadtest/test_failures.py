"""What keeps a load run from counting as held."""

import json

from loadtest.check_bytes import Verdict
from loadtest.k6_run import Measured
from loadtest.run_load import list_failures
from loadtest.served import list_errors
from loadtest.workload import Run

LOG = "\n".join(
    [
        json.dumps({"level": "info", "message": "ready"}),
        "weed: something of its own",
        json.dumps({"level": "error", "message": "Exception in callback\nhandle: <Handle>"}),
        "[1, 2]",
        json.dumps({"level": "warning", "message": "slow"}),
        json.dumps({"level": "critical", "message": "a flush failed by a bug"}),
    ]
)


def measured(dropped: int = 0, others: dict[int, int] | None = None) -> Measured:
    return Measured(Run("r", 10, others or {}), 10.0, dropped, 5, 1.0, 2.0, 3.0, 4.0, 0.1)


def verdict(*, is_clean: bool = True) -> Verdict:
    """Of ten chunks."""
    told = Verdict(sent=10, answered_200=10, ledger_rows=10, chunks_in_bucket=10, bytes_equal=10)
    if not is_clean:
        told.accuse("lost", "r-3")
    return told


def test_errors_are_found_in_a_log_of_many_programs() -> None:
    assert list_errors(LOG) == ["Exception in callback\nhandle: <Handle>", "a flush failed by a bug"]
    assert list_errors("") == []


def test_a_run_is_held_when_nothing_was_dropped_refused_lost_or_logged() -> None:
    assert list_failures(measured(), verdict(), []) == []
    (dropped,) = list_failures(measured(dropped=3), verdict(), [])
    assert "dropped 3" in dropped
    (refused,) = list_failures(measured(others={4: 503}), verdict(), [])
    assert "503" in refused
    (lost,) = list_failures(measured(), verdict(is_clean=False), [])
    assert "byte" in lost
    (logged,) = list_failures(measured(), verdict(), list_errors(LOG))
    assert logged == "the server logged 2 errors, the first of them: Exception in callback"
