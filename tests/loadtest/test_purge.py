"""k6, a purge of objects and rows, an audit, the same chunks again: the small form of `make load-purge`."""

from pathlib import Path

from loadtest.purge import CALM, format_result, load_purge_repair
from loadtest.served import serve
from tests.integration.server_process import find_free_port


def test_a_purge_after_a_load_is_repaired_by_sending_again_and_the_second_audit_is_empty(tmp_path: Path) -> None:
    with serve(tmp_path, find_free_port(), {**CALM, "HOLDFAST_WORKERS": "1"}) as served:
        purged = load_purge_repair(served, rate="150", duration="2s")
    assert purged.failures == [], format_result(purged, "make load-purge")
    assert purged.objects >= 1 and purged.rows >= 2
    assert purged.first["adopted"] + purged.first["rerequested"] >= purged.rows
    assert purged.after.bytes_equal == purged.resent
