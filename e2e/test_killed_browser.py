"""The whole browser dies by SIGKILL; the next start on the same profile brings everything to the bucket."""

from e2e.machine import Machine, assert_kept, watch_until_saved
from e2e.network_gate import drop_api
from e2e.service import Service


def test_every_slice_shown_as_saved_is_in_the_bucket_after_the_browser_is_killed_while_recording(
    service: Service, machine: Machine
) -> None:
    tab = machine.open_tab()
    recording_id, take = machine.record(tab)
    tab.wait_for_count("chunks-acknowledged", 1)
    promised = watch_until_saved(tab, take, 20)

    machine.kill_browser()
    machine.start_browser()
    tab = machine.open_tab()

    tab.wait_for_row(recording_id, "complete")
    assert_kept(service.stores, recording_id, take, promised)


def test_a_recording_that_the_server_never_heard_of_survives_three_dead_browsers(
    service: Service, machine: Machine
) -> None:
    # Given a server out of reach before Record
    tab = machine.open_tab()
    service.gate.rule = drop_api
    recording_id, take = machine.record(tab)
    promised = watch_until_saved(tab, take, 20)

    # When the browser is killed, and again after the page has recovered, still without the server
    machine.kill_browser()
    for _ in range(2):
        machine.start_browser()
        tab = machine.open_tab()
        tab.wait_for_row(recording_id, "saved", "uploading")
        machine.kill_browser()
    assert service.stores.recording_state(recording_id) == ""
    service.gate.back()
    machine.start_browser()
    tab = machine.open_tab()

    # Then what was shown as saved arrives
    tab.wait_for_row(recording_id, "complete")
    assert_kept(service.stores, recording_id, take, promised)
