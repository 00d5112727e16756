"""The server dies by SIGKILL and comes back; recording never notices, nothing acknowledged is missing."""

from e2e.machine import Machine, watch_until_saved
from e2e.network_gate import Bend, Request
from e2e.service import Service


def test_nothing_acknowledged_is_missing_after_the_server_is_killed_in_the_middle_of_an_upload(
    service: Service, machine: Machine
) -> None:
    # Given a recording in progress, a few chunks acknowledged and the next half-way
    tab = machine.open_tab()
    recording_id, take = machine.record(tab)
    tab.wait_for_count("chunks-acknowledged", 3)
    service.gate.rule = lambda request: Bend.HOLD if request.is_chunk else Bend.PASS
    tab.wait(lambda: service.gate.bent, "an upload to be half-way")
    acknowledged = tab.count("chunks-acknowledged")

    # When the server and everything it started are killed, recording goes on (I7)
    service.kill()
    saved = tab.count("slices-durable")
    watch_until_saved(tab, take, saved + 10)
    assert tab.state == "recording"

    # Then, after it came back, what was acknowledged is there, and the rest follows by itself
    service.start()
    service.gate.back()
    held = {chunk.chunk_index: service.stores.read(chunk) for chunk in service.stores.chunks(recording_id)}
    assert len(held) >= acknowledged
    tab.stop()
    tab.wait_for_row(recording_id, "complete", limit_s=120)
    tab.wait(lambda: take.is_whole, "the witness to have every slice")
    assert service.stores.read_recording(recording_id) == take.content


def test_nothing_is_missing_and_nothing_twice_when_the_api_is_killed_again_and_again_while_recording(
    service: Service, machine: Machine
) -> None:
    tab = machine.open_tab()
    recording_id, take = machine.record(tab)
    for _ in range(3):
        tab.wait_for_count("chunks-acknowledged", tab.count("chunks-acknowledged") + 1)
        service.kill_api()
    assert tab.state == "recording"
    tab.stop()

    tab.wait_for_row(recording_id, "complete", limit_s=120)
    tab.wait(lambda: take.is_whole, "the witness to have every slice")
    assert service.stores.read_recording(recording_id) == take.content


def test_a_receipt_lost_on_the_way_stores_nothing_twice(service: Service, machine: Machine) -> None:
    # Given a network that takes every chunk to the server and loses the first answer for each
    heard: set[str] = set()

    def lose_first_answer(request: Request) -> Bend:
        if not request.is_chunk or request.path in heard:
            return Bend.PASS
        heard.add(request.path)
        return Bend.LOSE_ANSWER

    service.gate.rule = lose_first_answer
    tab = machine.open_tab()
    recording_id, take = machine.record(tab)
    watch_until_saved(tab, take, 15)
    tab.stop()

    # Then all arrives, and each chunk stands once in the bucket
    tab.wait_for_row(recording_id, "complete", limit_s=120)
    assert any(bend is Bend.LOSE_ANSWER for bend, _ in service.gate.bent)
    tab.wait(lambda: take.is_whole, "the witness to have every slice")
    assert service.stores.read_recording(recording_id) == take.content
    held = {chunk.key for chunk in service.stores.chunks(recording_id)}
    assert set(service.stores.keys(f"chunks/{recording_id}/")) <= held, "a chunk's bytes lie there twice"
