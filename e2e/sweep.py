"""A sound from which its own position can be read: a tone that rises steadily, again and again.

What a fake microphone plays is compared with what a recording holds of it, so that a loss is measured
from the source and not from anybody's counts. The page's script (sweep.js) reads it the same way.
"""

import math
import wave
from array import array
from pathlib import Path

from e2e.tone import AMPLITUDE, SAMPLE_RATE, decode

PERIOD_S = 8.0  # much longer than any loss that is measured
LOWEST_HZ = 500.0
RISE_HZ_PER_S = 1_000.0
WINDOW = 2_048  # samples that are read at a time: 43 ms
APART_S_MAX = 0.05  # how far the readings of a window's halves may lie apart; where the tone begins anew it is seconds

SCRIPT = Path(__file__).with_name("sweep.js")


def write_sweep(path: Path) -> None:
    """One period; Chromium plays the file again and again."""
    samples = array("h")
    for n in range(round(PERIOD_S * SAMPLE_RATE)):
        t = n / SAMPLE_RATE
        samples.append(round(AMPLITUDE * math.sin(2 * math.pi * (LOWEST_HZ * t + RISE_HZ_PER_S * t * t / 2))))
    with wave.open(str(path), "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(SAMPLE_RATE)
        wav.writeframes(samples.tobytes())


def end_of(recording: bytes) -> float:
    """The source's position, in seconds into its period, at the end of the recording."""
    samples = decode(recording)
    end = len(samples)
    while end and abs(samples[end - 1]) < AMPLITUDE / 10:  # the encoder's own silence behind the last packet
        end -= 1
    return position_after(samples[:end])


def position_after(samples: "array[int]") -> float:
    """The position at the end of some samples, at least two windows: the tone's frequency says when it was.

    Where the tone begins anew within the last window, that one has two frequencies and says nothing:
    then the one before it is read. Raises `AssertionError` where neither holds the sweep.
    """
    for behind in (0, WINDOW):
        window = samples[len(samples) - behind - WINDOW : len(samples) - behind]
        halves = window[: WINDOW // 2], window[WINDOW // 2 :]
        apart = _position_after(halves[1]) - _position_after(halves[0]) - WINDOW / 2 / SAMPLE_RATE
        if abs(apart) < APART_S_MAX:
            return (_position_after(window) + behind / SAMPLE_RATE) % PERIOD_S
    raise AssertionError("the end of the sound does not rise as the sweep does")


def _position_after(window: "array[int]") -> float:
    """By the window's crossings of zero."""
    crossings = []
    for n in range(1, len(window)):
        before, after = window[n - 1], window[n]
        if (before < 0) != (after < 0):
            crossings.append(n - 1 + before / (before - after))
    assert len(crossings) > 2, "there is no sound"
    middle = (crossings[0] + crossings[-1]) / 2
    frequency = (len(crossings) - 1) / 2 * SAMPLE_RATE / (crossings[-1] - crossings[0])
    return (frequency - LOWEST_HZ) / RISE_HZ_PER_S + (len(window) - middle) / SAMPLE_RATE


def loss_ms(at_death: float, witnessed: float, kept: float) -> float:
    """What was lost, in milliseconds: from what is kept to the source's position at the last look before the death.

    The source goes on between look and death; so what the recorder gave after the look (`witnessed`)
    counts where it lies behind it. Below zero only where more is kept than anybody saw.
    """
    return max(_ms_between(kept, at_death), _ms_between(kept, witnessed))


def _ms_between(earlier: float, later: float) -> float:
    return ((later - earlier + PERIOD_S / 2) % PERIOD_S - PERIOD_S / 2) * 1000
