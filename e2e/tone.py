"""The known sound: a WAV for Chromium's fake microphone, and what a decoded recording holds of it.

Plain Python on purpose: the check of a recording must not share code with what made it. Samples are
signed 16-bit, mono, 48 kHz throughout.
"""

import io
import math
import wave
from array import array
from dataclasses import dataclass
from pathlib import Path

import av

SAMPLE_RATE = 48_000
AMPLITUDE = 12_000
WINDOW = SAMPLE_RATE // 50  # 20 ms: fine enough to time a tone of seconds within 1 %


@dataclass(frozen=True)
class Heard:
    """What a recording holds: its whole length, and how long the tone sounds in it, in seconds."""

    duration_s: float
    tone_s: float
    loudest_other: float  # the greatest share of another sound among the windows full of tone, 0..1


def write_tone(path: Path, *, frequency_hz: int, lead_s: float, tone_s: float, tail_s: float) -> None:
    """Silence, the tone, silence. Chromium begins the file when the fake microphone is opened."""
    tone = (
        round(AMPLITUDE * math.sin(2 * math.pi * frequency_hz * n / SAMPLE_RATE))
        for n in range(round(tone_s * SAMPLE_RATE))
    )
    samples = array("h", bytes(2 * round(lead_s * SAMPLE_RATE)))
    samples.extend(tone)
    samples.extend(array("h", bytes(2 * round(tail_s * SAMPLE_RATE))))
    with wave.open(str(path), "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(SAMPLE_RATE)
        wav.writeframes(samples.tobytes())


def decode(recording: bytes) -> "array[int]":
    """The samples of the first audio track of a recorded file, whatever its container."""
    samples = array("h")
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
    with av.open(io.BytesIO(recording), "r") as container:
        for frame in container.decode(audio=0):
            for piece in resampler.resample(frame):
                samples.frombytes(bytes(piece.planes[0])[: 2 * piece.samples])
    return samples


def listen(recording: bytes, frequency_hz: int) -> Heard:
    """Time the tone by windows of 20 ms: its power by Goertzel's algorithm against the window's whole power."""
    samples = decode(recording)
    full_windows = 0
    other = 0.0
    for start in range(0, len(samples) - WINDOW + 1, WINDOW):
        window = samples[start : start + WINDOW]
        power = sum(s * s for s in window) / WINDOW
        if power < (AMPLITUDE / 10) ** 2 / 2:  # 20 dB under the tone counts as silence
            continue
        share = _power_at(window, frequency_hz) / power
        if share > 0.5:
            full_windows += 1
        if share > 0.9:  # not the window in which the tone begins or ends
            other = max(other, 1 - share)
    return Heard(len(samples) / SAMPLE_RATE, full_windows * WINDOW / SAMPLE_RATE, other)


def _power_at(window: "array[int]", frequency_hz: int) -> float:
    """Mean power of the window's component at the frequency."""
    coefficient = 2 * math.cos(2 * math.pi * frequency_hz / SAMPLE_RATE)
    last = before = 0.0
    for sample in window:
        last, before = sample + coefficient * last - before, last
    return 2 * (last * last + before * before - coefficient * last * before) / len(window) ** 2
