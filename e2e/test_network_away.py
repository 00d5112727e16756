"""The network is away, or pretends to be there; recording goes on and everything arrives when it is back."""

from e2e.machine import Machine, watch_until_saved
from e2e.network_gate import Bend
from e2e.service import Service


def test_a_recording_made_wholly_without_a_network_arrives_by_itself_when_it_is_back(
    service: Service, machine: Machine
) -> None:
    tab = machine.open_tab()
    service.gate.away()
    machine.browser.context.set_offline(True)
    tab.wait(lambda: tab.shown["online"] == "false", "the page to notice")

    recording_id, take = machine.record(tab)
    watch_until_saved(tab, take, 25)
    tab.stop()
    tab.wait(lambda: take.is_whole, "the witness to have every slice")
    tab.wait_for_row(recording_id, "saved", "uploading")
    assert tab.count("chunks-acknowledged") == tab.count("chunks-cleared") == 0
    assert service.stores.chunks(recording_id) == []

    service.gate.back()
    machine.browser.context.set_offline(False)
    tab.wait_for_row(recording_id, "complete", limit_s=120)
    assert service.stores.read_recording(recording_id) == take.content


def test_a_captive_portal_that_answers_200_to_everything_costs_no_byte(service: Service, machine: Machine) -> None:
    tab = machine.open_tab()
    service.gate.rule = lambda _request: Bend.PORTAL
    recording_id, take = machine.record(tab)
    watch_until_saved(tab, take, 15)
    tab.stop()
    tab.wait(lambda: take.is_whole, "the witness to have every slice")
    tab.wait(lambda: len(service.gate.bent) >= 3, "the portal to have answered some calls")
    assert tab.count("chunks-acknowledged") == tab.count("chunks-verified") == tab.count("chunks-cleared") == 0

    service.gate.back()
    tab.wait_for_row(recording_id, "complete", limit_s=120)
    assert service.stores.read_recording(recording_id) == take.content
