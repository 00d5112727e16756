"""Reads a run from end to end without decoding: what streams it has, how long it is, and where it is broken."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import av
import av.logging
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream

from protocol.wire import MediaStream

# What a MediaRecorder writes. Others of libav's demuxers open further files and addresses that a file names.
_OPTIONS: Final = {"format_whitelist": "matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,ogg", "protocol_whitelist": "file"}
# A recording's own timestamps are believed up to here; a damaged one says millennia.
_TIME_S_MAX: Final = 30 * 86_400
# A sound's first packet may stand before 0 by what its decoder needs to begin.
_LEAD_S_MAX: Final = 1

# What a recording is whose browser was killed, in words for whoever made it.
_SAID_OF_CUT_OFF: Final = "File ended prematurely"
_CUT_OFF: Final = "it was cut off, and plays up to there"

if TYPE_CHECKING:
    AnyPacket = Packet[Any]
else:  # generic in its stubs only
    AnyPacket = Packet
# libav's complaints are counted here and shown to nobody else: they quote what a stranger sent.
av.logging.set_level(av.logging.ERROR)
logging.getLogger("libav").addHandler(logging.NullHandler())
logging.getLogger("libav").propagate = False

StreamKey = tuple[str, int]  # audio or video, and its place among those


@dataclass(slots=True)
class Track:
    """One stream of a run. `signature`: two streams with the same can follow each other in one file."""

    described: MediaStream
    signature: tuple[object, ...]
    start_s: Fraction = Fraction(_TIME_S_MAX)
    last_s: Fraction = Fraction(-_LEAD_S_MAX)
    end_s: Fraction = Fraction(0)
    packets: int = 0

    def note(self, packet: AnyPacket) -> None:
        """Count a packet; the last one lasts as long as the others where it does not say."""
        at_s = time_of(packet)
        self.packets += 1
        self.start_s = min(self.start_s, at_s)
        self.last_s = max(self.last_s, at_s)
        lasts_s = (packet.duration or 0) * (packet.time_base or Fraction(0))
        self.end_s = max(self.end_s, at_s + lasts_s)

    def finish(self) -> None:
        """After the last packet."""
        if self.packets > 1 and self.end_s <= self.last_s:
            self.end_s = self.last_s + (self.last_s - self.start_s) / (self.packets - 1)


@dataclass(slots=True)
class ScannedRun:
    """A run and its tracks, none where nothing can be played; `losses` say what is wrong with its bytes."""

    run: int
    path: Path
    tracks: dict[StreamKey, Track] = field(default_factory=dict)
    losses: list[str] = field(default_factory=list)

    @property
    def start_s(self) -> Fraction:
        """When its first packet is shown; a lead before 0 stays one."""
        return max(min((track.start_s for track in self.tracks.values()), default=Fraction(0)), Fraction(0))

    @property
    def duration_s(self) -> Fraction:
        end_s = max((track.end_s for track in self.tracks.values()), default=Fraction(0))
        return max(end_s - self.start_s, Fraction(0))


def scan_run(run: int, path: Path) -> ScannedRun:
    """Never raises for what the bytes are."""
    scanned = ScannedRun(run, path)
    errors_before = _count_errors()
    try:
        with open_media(path) as container:
            tracks = {key: Track(describe(stream), _sign(stream)) for key, stream in list_streams(container)}
            for key, packet in read_packets(container, scanned.losses):
                tracks[key].note(packet)
    except FFmpegError as error:
        scanned.losses.append(f"it cannot be opened: {error.strerror}")
        return scanned
    for track in tracks.values():
        track.finish()
    scanned.tracks = {key: track for key, track in tracks.items() if track.packets}
    if not scanned.tracks:
        scanned.losses.append("it holds nothing that can be played")
    if not scanned.losses and _count_errors() > errors_before:
        found = av.logging.get_last_error()[1]
        said = str(found[2]).strip() if found else "libav reports an error"
        scanned.losses.append(_CUT_OFF if said.startswith(_SAID_OF_CUT_OFF) else said)
    return scanned


@contextmanager
def open_media(path: Path) -> Iterator[InputContainer]:
    """The file, as one of the containers that browsers record. Raises `FFmpegError`."""
    with av.open(str(path), "r", options=_OPTIONS) as container:
        yield container


def list_streams(container: InputContainer) -> list[tuple[StreamKey, Stream]]:
    """Sound and pictures that have a known codec, in the file's order."""
    found: list[tuple[StreamKey, Stream]] = []
    for kind in ("audio", "video"):
        known = [stream for stream in container.streams if stream.type == kind and stream.codec_context is not None]
        found.extend(((kind, place), stream) for place, stream in enumerate(known))
    return found


def read_packets(container: InputContainer, losses: list[str]) -> Iterator[tuple[StreamKey, AnyPacket]]:
    """The packets with a believable time, up to the end or to where the bytes are broken, which `losses` then say."""
    keys = {stream.index: key for key, stream in list_streams(container)}
    strange = 0
    try:
        for packet in container.demux():
            if packet.size == 0 or packet.stream.index not in keys:
                continue
            if packet.pts is None or not -_LEAD_S_MAX < time_of(packet) < _TIME_S_MAX:
                strange += 1
                continue
            yield keys[packet.stream.index], packet
    except FFmpegError as error:
        losses.append(f"its bytes are broken: {error.strerror}")
    if strange:
        losses.append(f"{strange} packets have no believable time")


def time_of(packet: AnyPacket) -> Fraction:
    """When the packet is to be shown, in seconds."""
    return (packet.pts or 0) * (packet.time_base or Fraction(0))


def describe(stream: Stream) -> MediaStream:
    """The stream in the words of the wire."""
    context = stream.codec_context
    return MediaStream(
        kind=stream.type,
        codec=context.codec.canonical_name,
        width=getattr(context, "width", 0) or 0,
        height=getattr(context, "height", 0) or 0,
        sample_rate=getattr(context, "sample_rate", 0) or 0,
        channels=getattr(context, "channels", 0) or 0,
    )


def _sign(stream: Stream) -> tuple[object, ...]:
    described = describe(stream)
    if described.codec in ("opus", "vp8", "vp9"):  # each packet, or key frame, says all that a decoder needs
        return (described.codec,)
    return (described, stream.codec_context.extradata)


def _count_errors() -> int:
    return av.logging.get_last_error()[0]
