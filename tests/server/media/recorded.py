"""WebM as a browser's MediaRecorder writes it: live, without duration or index, so that nothing in it can be sought."""

import hashlib
import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from typing import Any

import av
from av.audio.frame import AudioFrame
from av.packet import Packet
from av.video.frame import VideoFrame

RATE = 48_000
_FRAME_SAMPLES = 960  # 20 ms, as browsers encode
_FRAMES_PER_S = 10
# Encoded once; longer recordings repeat its packets.
_ENCODED_S = 2


@dataclass
class LiveSink:
    """Takes bytes and cannot seek, like the callback of a MediaRecorder."""

    parts: list[bytes] = field(default_factory=list)

    def write(self, data: bytes) -> int:
        self.parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        """What was written since the last look."""
        taken = b"".join(self.parts)
        self.parts.clear()
        return taken


@cache
def record(seconds: float = 3.0, *, video: str = "", audio: str = "libopus", size: int = 64) -> bytes:
    """A whole recording; `video` and `audio` are encoders of libav, "" for none; `size` pixels a side."""
    return b"".join(record_in_pieces(seconds, video=video, audio=audio, size=size))


def record_in_pieces(
    seconds: float, *, video: str = "", audio: str = "libopus", size: int = 64, bits_per_s: int = 0
) -> Iterator[bytes]:
    """The same bytes, as they come: about a second each. With `bits_per_s` the pictures are noise."""
    sink = LiveSink()
    with av.open(sink, "w", format="webm", options={"live": "1", "cluster_time_limit": "1000"}) as output:
        streams: list[tuple[Any, list[tuple[bytes, bool]], int, int]] = []
        if audio:
            stream = output.add_stream(audio, rate=RATE, layout="mono")
            streams.append((stream, encode_tone(audio), _FRAME_SAMPLES, RATE))
        if video:
            pictures: Any = output.add_stream(video, rate=_FRAMES_PER_S)
            pictures.width, pictures.height, pictures.pix_fmt = size, size, "yuv420p"
            streams.append((pictures, encode_pictures(video, size, bits_per_s), 1, _FRAMES_PER_S))
        for second in range(math.ceil(seconds)):
            for stream, packets, step, rate in streams:
                count = round(min(1.0, seconds - second) * rate / step)
                for number in range(count):
                    place = second * rate // step + number
                    body, is_keyframe = packets[place % len(packets)]
                    packet = Packet(body)
                    packet.stream = stream
                    packet.time_base = Fraction(1, rate)
                    packet.pts = packet.dts = place * step
                    packet.duration = step
                    packet.is_keyframe = is_keyframe
                    output.mux(packet)
            yield sink.take()
    yield sink.take()


@cache
def encode_tone(encoder: str) -> list[tuple[bytes, bool]]:
    """Packets of a tone."""
    context: Any = av.CodecContext.create(encoder, "w")
    context.sample_rate, context.layout, context.format = RATE, "mono", "s16"
    context.time_base = Fraction(1, RATE)
    samples = array("h", (int(12_000 * math.sin(math.tau * 440 * n / RATE)) for n in range(_FRAME_SAMPLES)))
    packets = []
    for number in range(_ENCODED_S * RATE // _FRAME_SAMPLES):
        frame = AudioFrame(format="s16", layout="mono", samples=_FRAME_SAMPLES)
        frame.planes[0].update(samples.tobytes())
        frame.sample_rate, frame.pts, frame.time_base = RATE, number * _FRAME_SAMPLES, Fraction(1, RATE)
        packets.extend(context.encode(frame))
    return [(bytes(packet), True) for packet in packets]


@cache
def encode_pictures(encoder: str, size: int, bits_per_s: int = 0) -> list[tuple[bytes, bool]]:
    """Packets of plain pictures that get brighter, or of noise; the first is a key frame."""
    context: Any = av.CodecContext.create(encoder, "w")
    context.width = context.height = size
    context.pix_fmt, context.time_base = "yuv420p", Fraction(1, _FRAMES_PER_S)
    context.framerate = Fraction(_FRAMES_PER_S)
    context.thread_count = 1
    if bits_per_s:
        context.bit_rate = bits_per_s
    context.options = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
    packets = []
    for number in range(_ENCODED_S * _FRAMES_PER_S):
        frame = VideoFrame(size, size, "yuv420p")
        for plane in frame.planes:
            grey = bytes([40 + 8 * number]) * plane.buffer_size
            noise = hashlib.shake_128(grey[:1]).digest(plane.buffer_size) if bits_per_s else grey
            plane.update(noise)
        frame.pts, frame.time_base = number, Fraction(1, _FRAMES_PER_S)
        packets.extend(context.encode(frame))
    return [(bytes(packet), packet.is_keyframe) for packet in packets]
