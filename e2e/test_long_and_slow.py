"""A line of 64 kbit/s, and twenty minutes without a server: everything arrives, in order, once.

The line is the gate's, not the browser's own throttling: Chromium answers `Network.emulateNetworkConditions` in a
dedicated worker with "Not supported", and what is set for the page does not reach the requests of its workers.
"""

from collections import Counter

import pytest

from e2e.figures import Figures
from e2e.injected import SCRIPT as INJECTED
from e2e.injected import content_of
from e2e.machine import Machine, watch_until_saved
from e2e.network_gate import drop_api
from e2e.service import Service

BYTES_PER_S_OF_A_64_KBIT_LINE = 8_000


def test_a_line_of_64_kbit_per_second_delivers_everything_once(service: Service, machine: Machine) -> None:
    # Given a line that takes half of what the microphone gives
    tab = machine.open_tab()
    tab.wait(lambda: tab.shown["offline-use"] == "ready", "the page to be kept, so that the line is the recording's")
    service.gate.bytes_per_s = BYTES_PER_S_OF_A_64_KBIT_LINE
    recording_id, take = machine.record(tab)
    watch_until_saved(tab, take, 30)
    tab.stop()
    behind = tab.count("chunks-sealed") - tab.count("chunks-acknowledged")
    assert behind >= 1
    # Then what it cannot take yet waits, recording was never held up, and it all arrives without a chunk sent twice
    tab.wait_for_row(recording_id, "complete", limit_s=180)
    tab.wait(lambda: take.is_whole, "the witness to have every slice")
    assert service.stores.read_recording(recording_id) == take.content
    sent = Counter(request.path for request in service.gate.passed if request.is_chunk)
    assert set(sent.values()) == {1}


@pytest.mark.timeout(420)
def test_a_backlog_of_twenty_minutes_is_delivered_in_order_when_the_server_is_back(
    service: Service, machine: Machine, figures: Figures
) -> None:
    # Given twenty minutes of slices of a second (MP4's least) while no API call gets through, as fast as they are saved
    tab = machine.new_tab()
    tab.page.add_init_script(path=INJECTED)
    tab.open(chunk_bytes=32_768, chunk_ms=60_000)
    service.gate.rule = drop_api
    recording_id = tab.record()
    count, size = 20 * 60, 4_000  # speech: 32 kbit/s
    tab.page.evaluate("([count, size]) => window.giveSlices(count, size)", [count, size])
    tab.stop()
    assert tab.count("slices-durable") == tab.count("slices-captured") == count
    sealed = tab.count("chunks-sealed")
    assert tab.count("chunks-acknowledged") == 0 and sealed >= count * size // 32_768

    # When the server is back
    service.gate.passed.clear()
    service.gate.back()
    tab.wait_for_row(recording_id, "complete", limit_s=240)

    # Then it is all there, sent once and, but for those in flight together, in order
    assert service.stores.read_recording(recording_id) == content_of([size] * count)
    indexes = [int(r.path.rsplit("/", 1)[1]) for r in service.gate.passed if r.is_chunk]
    assert sorted(indexes) == list(range(len(indexes)))
    disorder = max(abs(index - place) for place, index in enumerate(indexes))
    assert disorder < 4
    figures.note("a backlog of 20 minutes, compressed in time", f"{len(indexes)} chunks, each sent once, in order")
