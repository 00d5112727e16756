"""What recorders and devices really do: they go, permissions go, slices are huge; what was recorded stays whole."""

from pathlib import Path
from typing import Any

from e2e.injected import SCRIPT as INJECTED
from e2e.injected import content_of
from e2e.machine import Machine, watch_until_saved
from e2e.plain_browser import plain_recorder
from e2e.service import Service
from e2e.unplug import UNPLUG, open_keeping_the_stream

REVOKE = """() => { navigator.mediaDevices.getUserMedia = () =>
    Promise.reject(new DOMException("permission was taken back", "NotAllowedError")); }"""


def test_an_unplugged_device_starts_a_new_run_and_no_byte_of_either_is_lost(service: Service, machine: Machine) -> None:
    tab = open_keeping_the_stream(machine)
    recording_id, first = machine.record(tab)
    watch_until_saved(tab, first, 10)
    tab.page.evaluate(UNPLUG)
    tab.wait(lambda: len(machine.witness.takes) == 2, "the next run's recorder")
    second = machine.witness.takes[1]
    saved = tab.count("slices-durable")
    tab.wait_for_count("slices-durable", saved + 10)
    assert tab.recording_id == recording_id
    tab.stop()
    tab.wait(lambda: first.is_whole and second.is_whole, "the witness to have every slice")
    tab.wait_for_row(recording_id, "complete")
    # Bytes of two runs are never joined: each is what its recorder gave.
    assert service.stores.read_runs(recording_id) == {0: first.content, 1: second.content}


def test_a_permission_that_is_taken_back_ends_the_recording_whole_and_says_why(
    service: Service, machine: Machine
) -> None:
    tab = open_keeping_the_stream(machine)
    recording_id, take = machine.record(tab)
    watch_until_saved(tab, take, 10)
    tab.page.evaluate(REVOKE)
    tab.page.evaluate(UNPLUG)
    tab.wait_for_state("idle")
    tab.wait_for_row(recording_id, "complete")
    tab.wait(lambda: take.is_whole, "the witness to have every slice")
    assert service.stores.read_recording(recording_id) == take.content
    tab.wait(tab.page.get_by_test_id("record").is_enabled, "Record to be enabled")


def test_a_slice_of_50_mb_is_split_into_chunks_and_reaches_the_bucket(
    service: Service, chromium_path: str, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"chunk_bytes": 8 << 20, "keep_verified_s": 3_600}
    sizes = [1_000, 50_000_000, 1_000]
    with plain_recorder(chromium_path, tmp_path / "profile", service.url, INJECTED, **settings) as page:
        recording_id = page.record()
        for size in sizes:
            page.evaluate(f"window.giveSlices(1, {size})")
        page.stop()
        page.wait_for_row(recording_id, "complete", limit_s=120)
    held = service.stores.chunks(recording_id)
    assert max(chunk.size for chunk in held) <= 8 << 20
    assert service.stores.read_recording(recording_id) == content_of(sizes)
