"""What a list shows of a finished file: the shape of its sound, and one of its pictures."""

from array import array
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Final

import av
from av.audio.resampler import AudioResampler
from av.error import FFmpegError
from av.video.frame import VideoFrame

from protocol.limits import PEAKS_MAX
from server.media.libav.scanning import open_media

# Sound up to 8 kHz is all that a shape needs, and a third of the samples to look at.
_RATE: Final = 16_000
_PARTS_PER_S: Final = 10
_LOUDEST: Final = 32_767
# The first pictures of a camera are dark, and of a screen often a dialog.
_POSTER_AT_S: Final = 2.0
_POSTER_WIDTH_MAX: Final = 640


def find_peaks(path: Path) -> list[int] | None:
    """The loudest moment (0-255) of at most PEAKS_MAX equal parts; None without sound. Raises `FFmpegError`."""
    fine: list[int] = []
    with open_media(path) as container:
        if not container.streams.audio:
            return None
        stream = container.streams.audio[0]
        resampler = AudioResampler(format="s16", layout="mono", rate=_RATE)
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except FFmpegError:
                continue  # a damaged packet is silence in the picture
            for frame in frames:
                for piece in resampler.resample(frame):
                    samples = array("h", bytes(piece.planes[0])[: piece.samples * 2])
                    if samples and piece.time is not None:
                        _raise_peak(fine, int(piece.time * _PARTS_PER_S), max(max(samples), -min(samples)))
    return _fold(fine)


def find_poster(path: Path) -> bytes | None:
    """A JPEG of an early picture; None where the file has none that can be decoded. Raises `FFmpegError`."""
    with open_media(path) as container:
        if not container.streams.video:
            return None
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        at_s = min(_POSTER_AT_S, (container.duration or 0) / 2_000_000)
        best: VideoFrame | None = None
        for frame in container.decode(stream):
            best = frame
            if frame.time is not None and frame.time >= at_s:
                break
    return None if best is None else _to_jpeg(best)


def _raise_peak(fine: list[int], part: int, peak: int) -> None:
    if part >= len(fine):
        fine.extend([0] * (part + 1 - len(fine)))
    fine[part] = max(fine[part], peak)


def _fold(fine: list[int]) -> list[int]:
    """At most PEAKS_MAX parts of the same length, each as loud as its loudest moment."""
    count = min(PEAKS_MAX, len(fine))
    bounds = [part * len(fine) // count for part in range(count + 1)] if count else [0]
    loudest = (max(fine[first:last]) for first, last in pairwise(bounds))
    return [min(peak, _LOUDEST) * 255 // _LOUDEST for peak in loudest]


def _to_jpeg(frame: VideoFrame) -> bytes:
    width = min(_POSTER_WIDTH_MAX, frame.width) // 2 * 2
    height = max(2, round(frame.height * width / frame.width) // 2 * 2)
    small = frame.reformat(width=width, height=height, format="yuvj420p")
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuvj420p"
    encoder.time_base = Fraction(1, 25)
    small.pts = 0
    return b"".join(bytes(packet) for packet in [*encoder.encode(small), *encoder.encode(None)])
