"""Two and ten tabs: one list, nothing sent twice, a live recording left alone, and an heir when its owner dies."""

import json
import time
from collections import Counter

import pytest

from e2e.figures import Figures
from e2e.machine import Machine, assert_kept, watch_until_saved
from e2e.network_gate import drop_api
from e2e.recorder_page import READY_LIMIT_S, RecorderPage
from e2e.service import Service


def sent_chunks(service: Service, recording_id: str) -> Counter[str]:
    """How often each chunk of the recording was sent, by its address."""
    return Counter(r.path for r in service.gate.passed if r.is_chunk and recording_id in r.path)


def holds_files(tab: RecorderPage, recording_id: str) -> str:
    """The browser's name for the worker that holds the recording's files; empty while nobody does."""
    holder: str = tab.page.evaluate(
        """async (name) => (await navigator.locks.query()).held.find((lock) => lock.name === name)?.clientId ?? "" """,
        f"files:{recording_id}",
    )
    return holder


def ending_of(service: Service, recording_id: str) -> str:
    """How the certified manifest says that the recording ended."""
    key = f"recordings/{recording_id}/certificate.json"
    ended: str = json.loads(service.stores.read_key(key))["manifest"]["ended"]
    return ended


@pytest.mark.timeout(420)
def test_ten_tabs_show_one_list_send_nothing_twice_and_inherit_from_an_owner_that_dies(
    service: Service, machine: Machine, figures: Figures
) -> None:
    # Given a finished recording of a first tab that could not be sent, and nine more tabs
    tabs = [machine.open_tab()]
    tabs[0].wait(
        lambda: tabs[0].shown["offline-use"] == "ready", "the page to be kept: the others start in a third of the time"
    )
    service.gate.rule = drop_api
    finished, finished_take = machine.record(tabs[0])
    watch_until_saved(tabs[0], finished_take, 15)
    tabs[0].stop()
    tabs += [machine.new_tab() for _ in range(9)]
    for tab in tabs[1:]:
        tab.visit()
    for tab in tabs[1:]:
        tab.wait_for_state("ready", "idle", limit_s=READY_LIMIT_S)
    for tab in tabs:
        tab.wait_for_row(finished, "saved", "uploading", limit_s=READY_LIMIT_S)

    # When the server is reached, one of them sends it, and all show it
    service.gate.back()
    for tab in tabs:
        tab.wait_for_row(finished, "complete", limit_s=READY_LIMIT_S)
    assert service.stores.read_recording(finished) == finished_take.content
    assert set(sent_chunks(service, finished).values()) == {1}

    # And a live recording's owner dies
    owner, heirs = tabs[0], tabs[1:]
    live, take = machine.record(owner)
    owner.wait_for_count("chunks-acknowledged", 2)
    holder = holds_files(heirs[0], live)
    promised = watch_until_saved(owner, take, 20)
    acknowledged = {f"/api/recordings/{live}/chunks/{c.chunk_index}" for c in service.stores.chunks(live)}
    owner.page.close()
    free_at_s = heirs[0].wait(
        lambda: time.monotonic() if holds_files(heirs[0], live) != holder else 0.0, "the lock to fall free"
    )
    heirs[0].wait(lambda: holds_files(heirs[0], live) not in ("", holder), "an heir to hold the files")
    figures.note("an heir holds a dead tab's files after", f"{time.monotonic() - free_at_s:.2f} s", goal="5 s")

    # Then one heir finishes it; what was acknowledged is not sent again
    for tab in heirs:
        tab.wait_for_row(live, "complete", limit_s=READY_LIMIT_S)
    assert_kept(service.stores, live, take, promised)
    assert {path: n for path, n in sent_chunks(service, live).items() if path in acknowledged and n > 1} == {}
    assert ending_of(service, live) == "recovered"


def test_no_slice_is_lost_when_the_worker_dies_and_another_tab_leaves_the_live_recording_alone(
    service: Service, machine: Machine
) -> None:
    # Given two tabs, one of which records
    first, second = machine.open_tab(), machine.open_tab()
    recording_id, take = machine.record(first)
    watch_until_saved(first, take, 5)
    second.wait(lambda: recording_id in second.rows, "the live recording in the other tab's list")

    # When the worker that owns its files ends, so that they are nobody's until the next one runs
    first.page.workers[0].evaluate("self.close()")
    second.wait(lambda: holds_files(second, recording_id) == "", "the files to be nobody's")
    at_death = first.count("slices-durable")
    first.wait_for_count("slices-captured", at_death + 20)
    watch_until_saved(first, take, at_death + 20)

    # Then the window went on capturing, its next worker has what was held meanwhile, and it ends as it was stopped
    assert (first.state, first.recording_id) == ("recording", recording_id)
    assert len(machine.witness.takes) == 1, "the recorder itself was never interrupted"
    first.stop()
    first.wait_for_row(recording_id, "complete")
    second.wait_for_row(recording_id, "complete")
    assert take.is_whole
    assert service.stores.read_recording(recording_id) == take.content
    assert ending_of(service, recording_id) == "stopped"
