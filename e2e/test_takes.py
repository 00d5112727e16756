"""Every source, one take after the other, paused, and deleted."""

import io

import av
import pytest

from e2e.machine import Machine, watch_until_saved
from e2e.service import Service


def test_record_twice_in_a_row_gives_two_recordings(service: Service, machine: Machine) -> None:
    tab = machine.open_tab()
    recording_ids, takes = [], []
    for _ in range(2):
        recording_id, take = machine.record(tab)
        watch_until_saved(tab, take, 8)
        tab.stop()
        recording_ids.append(recording_id)
        takes.append(take)

    assert len(set(recording_ids)) == 2
    for recording_id, take in zip(recording_ids, takes, strict=True):
        tab.wait_for_row(recording_id, "complete")
        assert take.is_whole
        assert service.stores.read_recording(recording_id) == take.content


def test_a_paused_recording_is_saved_up_to_the_pause_and_goes_on_as_one(service: Service, machine: Machine) -> None:
    tab = machine.open_tab()
    recording_id, take = machine.record(tab)
    watch_until_saved(tab, take, 8)
    tab.pause()
    tab.wait(lambda: tab.shown.get("paused") == "true", "the pause")
    # Everything before the pause is saved and sealed, so it reaches the server while the pause lasts.
    tab.wait(lambda: tab.count("slices-durable") == tab.count("slices-captured"), "all of it to be saved")
    tab.wait(
        lambda: sum(c.size for c in service.stores.chunks(recording_id)) == tab.count("bytes-captured"),
        "all of it to be acknowledged",
    )
    at_pause = tab.count("slices-captured")
    tab.pause()
    watch_until_saved(tab, take, at_pause + 8)
    tab.stop()

    tab.wait_for_row(recording_id, "complete")
    assert take.is_whole
    held = service.stores.read_recording(recording_id)
    assert held == take.content
    with av.open(io.BytesIO(held), "r") as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) > 0


@pytest.mark.parametrize(("source", "kinds"), [("camera", {"audio", "video"}), ("screen", {"video"})])
def test_camera_and_screen_reach_the_bucket_byte_for_byte(
    service: Service, machine: Machine, source: str, kinds: set[str]
) -> None:
    tab = machine.open_tab(slice_ms=250, chunk_bytes=262_144)
    recording_id, take = machine.record(tab, source)
    watch_until_saved(tab, take, 8)
    tab.stop()

    tab.wait_for_row(recording_id, "complete")
    tab.wait(lambda: take.is_whole, "the witness to have every slice")
    held = service.stores.read_recording(recording_id)
    assert held == take.content
    with av.open(io.BytesIO(held), "r") as container:
        assert {stream.type for stream in container.streams} >= kinds
        assert next(container.decode(video=0)).width > 0


@pytest.mark.parametrize("keep_verified_s", [3_600, 0], ids=["bytes-kept-here", "bytes-cleared-here"])
def test_a_deleted_recording_is_gone_here_and_on_the_server_and_stays_gone(
    service: Service, machine: Machine, keep_verified_s: int
) -> None:
    tab = machine.open_tab(keep_verified_s=keep_verified_s)
    recording_id, take = machine.record(tab)
    watch_until_saved(tab, take, 5)
    tab.stop()
    tab.wait_for_row(recording_id, "complete")
    if keep_verified_s == 0:
        tab.wait(lambda: tab.count("chunks-cleared") == tab.count("chunks-sealed"), "the bytes here to be cleared")

    tab.delete(recording_id)
    tab.wait(lambda: recording_id not in tab.rows, "the row to go")
    tab.wait(lambda: service.stores.recording_state(recording_id) == "deleted", "the ledger to hold the tombstone")
    assert service.stores.chunks(recording_id) == []
    assert f"recordings/{recording_id}/deleted.json" in service.stores.keys(f"recordings/{recording_id}/")

    tab.page.reload()
    tab.wait_for_state("ready", "idle", limit_s=90)
    assert recording_id not in tab.rows


def test_a_recording_deleted_without_a_network_is_deleted_on_the_server_when_it_is_back(
    service: Service, machine: Machine
) -> None:
    tab = machine.open_tab(keep_verified_s=3_600)
    recording_id, take = machine.record(tab)
    watch_until_saved(tab, take, 5)
    tab.stop()
    tab.wait_for_row(recording_id, "complete")

    # Given Delete pressed while the network is away, and the tab killed before it is back
    service.gate.away()
    tab.delete(recording_id)
    tab.wait(lambda: tab.rows.get(recording_id) in (None, "deleting"), "the row to say so")
    machine.kill_tabs()
    service.gate.back()

    # Then the wish is kept
    tab = machine.open_tab()
    tab.wait(lambda: service.stores.recording_state(recording_id) == "deleted", "the ledger to hold the tombstone")
    tab.wait(lambda: recording_id not in tab.rows, "the row to go")
