"""What is played into the microphone is what lies in the bucket."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from e2e.chromium import playing
from e2e.machine import Machine
from e2e.service import Service
from e2e.tone import listen, write_tone

FREQUENCY_HZ = 1_000
LEAD_S, TONE_S, TAIL_S = 1.0, 4.0, 120.0


def test_the_bucket_holds_byte_for_byte_what_the_browser_recorded_and_it_sounds_as_it_was_played(
    service: Service, start_machine: Callable[..., Machine], tmp_path: Path
) -> None:
    wav = tmp_path / "tone.wav"
    write_tone(wav, frequency_hz=FREQUENCY_HZ, lead_s=LEAD_S, tone_s=TONE_S, tail_s=TAIL_S)
    machine = start_machine(flags=playing(wav))
    tab = machine.open_tab()

    recording_id, take = machine.record(tab)
    # The fake microphone runs on the machine's clock: past the tone and some silence after it.
    tab.wait(lambda: tab.page.evaluate("performance.now()") - (take.started_at_ms or 0) > 6_500, "the tone to end")
    tab.stop()
    tab.wait_for_row(recording_id, "complete")

    assert take.is_whole
    held = service.stores.read_recording(recording_id)
    assert hashlib.sha256(held).hexdigest() == hashlib.sha256(take.content).hexdigest()
    heard = listen(held, FREQUENCY_HZ)
    assert abs(heard.tone_s - TONE_S) <= 0.05 * TONE_S
    assert abs(heard.duration_s - take.elapsed_s) <= 0.05 * take.elapsed_s
    assert service.stores.recording_state(recording_id) == "complete"
    assert service.stores.is_certified(recording_id)
    # Counts of the page agree with the ledger's rows, and a complete recording costs no space here (keep_verified_s=0).
    rows = len(service.stores.chunks(recording_id))
    tab.wait_for_count("chunks-cleared", rows)
    assert tab.count("chunks-sealed") == tab.count("chunks-acknowledged") == tab.count("chunks-verified") == rows
    assert tab.count("slices-captured") == tab.count("slices-durable") == take.slice_count
    assert tab.count("bytes-captured") == len(take.content)
