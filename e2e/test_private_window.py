"""A private window: it records and delivers, and says before Record what becomes of its storage."""

from e2e.machine import Machine
from e2e.recorder_page import RecorderPage
from e2e.service import Service


def test_a_private_window_says_before_recording_what_closing_it_clears(service: Service, machine: Machine) -> None:
    window = machine.browser.new_private_window()
    tab = RecorderPage(window.new_page(), service.url).open()
    assert "a private window clears it when it is closed" in tab.words
    recording_id = tab.record()
    tab.wait_for_count("slices-durable", 10)
    tab.stop()
    tab.wait_for_row(recording_id, "complete")
    assert len(service.stores.read_recording(recording_id)) == int(tab.shown["bytes-captured"])
    window.close()
