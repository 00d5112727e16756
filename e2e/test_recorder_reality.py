"""What recorders and devices really do: they go, permissions go, slices are huge; what was recorded stays whole."""

from pathlib import Path
from typing import Any

import pytest

from e2e.chromium import ASKING
from e2e.injected import SCRIPT as INJECTED
from e2e.injected import content_of
from e2e.machine import Machine, MachineRoom, watch_until_saved
from e2e.plain_browser import plain_recorder
from e2e.service import Service


@pytest.fixture(scope="module")
def asking(machine_room: MachineRoom) -> Machine:
    """One machine for all stories, on which a page may use what its permissions say."""
    return machine_room.start(ASKING)


@pytest.fixture
def machine(asking: Machine, service: Service) -> Machine:
    """Its desk cleared, the devices allowed."""
    asking.clear_desk()
    asking.browser.context.grant_permissions(["microphone", "camera"], origin=service.url)
    return asking


def test_an_unplugged_device_starts_a_new_run_and_no_byte_of_either_is_lost(service: Service, machine: Machine) -> None:
    tab = machine.open_tab()
    recording_id, first = machine.record(tab)
    watch_until_saved(tab, first, 10)
    # The process that owns the sound devices dies: the track ends as it does when the plug is pulled.
    machine.browser.kill_service("audio.mojom.AudioService")
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


def test_an_unplugged_camera_is_said_while_the_sound_goes_on(machine: Machine) -> None:
    tab = machine.open_tab()
    _, take = machine.record(tab, "camera")
    watch_until_saved(tab, take, 10)
    machine.browser.kill_service("video_capture.mojom.VideoCaptureService")
    tab.wait(lambda: "One of the devices has stopped" in tab.words, "the alarm")
    watch_until_saved(tab, take, tab.count("slices-durable") + 10)
    tab.stop()
    assert len(machine.witness.takes) == 1


def test_a_permission_that_is_taken_back_ends_the_recording_whole_and_says_why(
    service: Service, machine: Machine
) -> None:
    tab = machine.open_tab()
    recording_id, take = machine.record(tab)
    watch_until_saved(tab, take, 10)
    machine.browser.take_permission_back("microphone", service.url)
    tab.wait_for_state("idle")
    tab.wait_for_row(recording_id, "complete")
    tab.wait(lambda: take.is_whole, "the witness to have every slice")
    assert service.stores.read_recording(recording_id) == take.content
    tab.wait(tab.page.get_by_test_id("record").is_enabled, "Record to be enabled")
    tab.page.get_by_test_id("record").click()
    tab.wait(lambda: "not allowed to record" in tab.words, "the reason")


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
