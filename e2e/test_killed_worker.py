"""The worker with all of the client's logic dies while the window lives on and captures."""

from e2e.machine import Machine, watch_until_saved
from e2e.service import Service


def test_no_slice_is_lost_when_the_worker_dies_in_the_middle_of_a_recording(service: Service, machine: Machine) -> None:
    # Given a recording whose worker ends without a word
    tab = machine.open_tab()
    recording_id, take = machine.record(tab)
    watch_until_saved(tab, take, 10)
    for worker in tab.page.workers:
        worker.evaluate("self.close()")
    at_death = tab.count("slices-durable")

    # Then the window goes on capturing, another worker takes over, and what was held meanwhile becomes durable
    tab.wait_for_count("slices-captured", at_death + 20)
    watch_until_saved(tab, take, at_death + 20)
    assert tab.state == "recording"
    assert tab.recording_id == recording_id
    assert len(machine.witness.takes) == 1, "the recorder itself was never interrupted"

    tab.stop()
    tab.wait_for_row(recording_id, "complete")
    assert take.is_whole
    assert service.stores.read_recording(recording_id) == take.content
