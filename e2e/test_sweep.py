"""The position that is read from the sweep is right everywhere, also where the tone begins anew."""

import json
import subprocess
from array import array

import pytest

from e2e.sweep import PERIOD_S, SCRIPT, WINDOW, loss_ms, position_after, write_sweep
from e2e.tone import SAMPLE_RATE
from web_build.node_tool import find_node

# Around the moment at which the tone begins anew, and some others; in seconds since the sound began.
MOMENTS = [PERIOD_S + ms / 1000 for ms in range(-60, 90, 3)] + [0.2, 1.0, 4.0, 7.9, 15.0]
ERROR_S_MAX = 0.003

# Gives the page's script what an analyser would hear, and prints what it reads.
_LISTENER = r"""
import { readFileSync } from "node:fs";
const { script, heard } = JSON.parse(readFileSync(0, "utf8"));
globalThis.window = globalThis;
Object.defineProperty(globalThis, "navigator", { value: { mediaDevices: { getUserMedia: async () => ({}) } } });
globalThis.AudioContext = class { createMediaStreamSource = () => ({ connect() {} }); };
let samples;
globalThis.AnalyserNode = class { getFloatTimeDomainData = (target) => target.set(samples); };
(0, eval)(readFileSync(script, "utf8"));
await navigator.mediaDevices.getUserMedia({});
console.log(JSON.stringify(heard.map((each) => ((samples = each), window.sweepPosition()))));
"""


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> "list[array[int]]":
    """The last two windows of the sound at each of the moments."""
    path = tmp_path_factory.mktemp("sweep") / "sweep.wav"
    write_sweep(path)
    period = array("h", path.read_bytes()[-round(PERIOD_S * SAMPLE_RATE) * 2 :])
    endless = period + period
    ends = [round(moment * SAMPLE_RATE) for moment in MOMENTS]
    return [endless[end - 2 * WINDOW : end] for end in ends]


def assert_right(read: list[float]) -> None:
    off = [
        (position - moment + PERIOD_S / 2) % PERIOD_S - PERIOD_S / 2
        for position, moment in zip(read, MOMENTS, strict=True)
    ]
    wrong = {
        f"{moment:.3f} s": f"{each * 1000:.0f} ms off"
        for moment, each in zip(MOMENTS, off, strict=True)
        if abs(each) > ERROR_S_MAX
    }
    assert not wrong


def test_the_end_of_a_recording_is_read_wherever_in_the_sweep_it_lies(heard: "list[array[int]]") -> None:
    assert_right([position_after(samples) for samples in heard])


def test_the_page_reads_the_sources_position_wherever_in_the_sweep_it_is(heard: "list[array[int]]") -> None:
    request = {"script": str(SCRIPT), "heard": [[sample / 32_768 for sample in samples] for samples in heard]}
    command = [str(find_node()), "--input-type=module", "-e", _LISTENER]
    said = subprocess.run(command, input=json.dumps(request), capture_output=True, text=True, check=True)
    assert_right(json.loads(said.stdout))


def test_what_the_recorder_gave_after_the_last_look_counts_as_lost_where_it_is_not_kept() -> None:
    # Given a death that came 0.4 s after the look, of which the recorder gave 0.3 s and the first 0.1 s are kept
    assert loss_ms(at_death=7.9, witnessed=0.2, kept=0.0) == pytest.approx(200)
    assert loss_ms(at_death=7.9, witnessed=7.8, kept=7.8) == pytest.approx(100)
