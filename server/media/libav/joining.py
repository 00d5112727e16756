"""Writes the runs of a recording into one seekable file, one after the other, without encoding anything anew.

A run's own times are kept and moved to where the run before it ends. Runs whose codecs do not fit the
longest one are left out and named: they can still be had as they were recorded.
"""

import errno
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
from av.container import OutputContainer
from av.error import FFmpegError
from av.stream import Stream

from protocol.wire import MediaStream
from server.media.containers import choose_containers
from server.media.libav.scanning import (
    AnyPacket,
    ScannedRun,
    StreamKey,
    describe,
    list_streams,
    open_media,
    read_packets,
    scan_run,
)
from server.media.orders import Joined, JoinedRun, LeftOutRun, run_path

_FORMATS: Final = {"webm": "webm", "mp4": "mp4", "mkv": "matroska"}
# So far a packet may stand behind the one before it, and still be what was recorded next.
_BEHIND_S_MAX: Final = 1
# The index stands before the media, so that a player seeks after its first request.
_OPTIONS: Final = {
    "webm": {"cues_to_front": "1"},
    "mkv": {"cues_to_front": "1"},
    "mp4": {"movflags": "+faststart"},
}


def join(folder: Path, runs: Sequence[int]) -> Joined:
    """The file of these runs in `folder`. Raises nothing for what their bytes are."""
    scanned = [scan_run(run, run_path(folder, run)) for run in runs]
    chosen, left_out = _choose_runs(scanned)
    losses = [_say(run.run, loss, runs) for run in scanned for loss in run.losses]
    if not chosen:
        return Joined(name=None, duration_s=0.0, streams=[], runs=[], left_out=left_out, losses=losses)
    codecs = {track.described.codec for run in chosen for track in run.tracks.values()}
    for container in choose_containers(codecs):
        path = folder / f"media.{container}"
        try:
            placed, dropped = _write(path, container, chosen)
            duration_s, streams = _measure(path)
        except (FFmpegError, ValueError) as error:  # this container does not take them after all
            if getattr(error, "errno", None) == errno.ENOSPC:
                raise  # nobody's fault; it may pass
            losses.append(f"no {container}: {error}")
            path.unlink(missing_ok=True)
            continue
        losses.extend(_say(run, f"{count} packets out of order", runs) for run, count in dropped.items())
        # That another container was tried before is nobody's loss.
        losses = [loss for loss in losses if not loss.startswith("no ")]
        return Joined(
            name=path.name, duration_s=duration_s, streams=streams, runs=placed, left_out=left_out, losses=losses
        )
    return Joined(name=None, duration_s=0.0, streams=[], runs=[], left_out=left_out, losses=losses)


def _say(run: int, loss: str, runs: Sequence[int]) -> str:
    """Which run it is about is said where there are several."""
    return f"run {run}: {loss}" if len(runs) > 1 else loss


def copy_to_mp4(source: Path, target: Path) -> None:
    """The same streams as an MP4. Raises `FFmpegError` where it does not take them."""
    _write(target, "mp4", [scan_run(0, source)])


def _choose_runs(scanned: Sequence[ScannedRun]) -> tuple[list[ScannedRun], list[LeftOutRun]]:
    """Those that fit into one file together with the longest, in their order, and why the others do not."""
    playable = [run for run in scanned if run.tracks]
    signatures: dict[StreamKey, tuple[object, ...]] = {}
    reasons = {run.run: run.losses[-1] for run in scanned if not run.tracks}
    for run in sorted(playable, key=lambda run: -run.duration_s):
        other = [key for key, track in run.tracks.items() if signatures.get(key, track.signature) != track.signature]
        if other:
            reasons[run.run] = f"its {' and '.join(key[0] for key in other)} cannot follow that of the longest run"
        else:
            signatures |= {key: track.signature for key, track in run.tracks.items()}
    left_out = [LeftOutRun(run=run.run, reason=reasons[run.run]) for run in scanned if run.run in reasons]
    return [run for run in playable if run.run not in reasons], left_out


def _write(path: Path, container: str, runs: Sequence[ScannedRun]) -> tuple[list[JoinedRun], Counter[int]]:
    """Where each run came to stand, and how many of its packets had to be dropped. Raises `FFmpegError`."""
    placed: list[JoinedRun] = []
    dropped: Counter[int] = Counter()
    with av.open(str(path), "w", format=_FORMATS[container], options=_OPTIONS[container]) as output:
        writer = _Writer(output, runs)
        begins_at_s = Fraction(0)
        for run in runs:
            dropped[run.run] = writer.append(run, begins_at_s)
            placed.append(JoinedRun(run=run.run, begins_at_s=float(begins_at_s), duration_s=float(run.duration_s)))
            begins_at_s += run.duration_s
    return placed, +dropped


class _Writer:
    """One output, with a stream for each stream that any of the runs has."""

    def __init__(self, output: OutputContainer, runs: Sequence[ScannedRun]) -> None:
        self._output = output
        self._streams: dict[StreamKey, Stream] = {}
        self._last_dts: dict[StreamKey, Fraction] = {}
        for run in runs:
            missing = [key for key in run.tracks if key not in self._streams]
            if missing:
                with open_media(run.path) as source:
                    templates = dict(list_streams(source))
                    for key in sorted(missing, key=lambda key: templates[key].index):
                        self._streams[key] = output.add_stream_from_template(templates[key])

    def append(self, run: ScannedRun, begins_at_s: Fraction) -> int:
        """Write the run's packets; how many were not in order and had to be dropped."""
        dropped = 0
        shift_s = begins_at_s - run.start_s
        with open_media(run.path) as source:
            for key, packet in read_packets(source, []):
                if key not in run.tracks or not self._place(key, packet, shift_s):
                    dropped += 1
                    continue
                packet.stream = self._streams[key]
                self._output.mux(packet)
        return dropped

    def _place(self, key: StreamKey, packet: AnyPacket, shift_s: Fraction) -> bool:
        """Move the packet's times. False where it would stand far before one that is written."""
        base = packet.time_base
        if not base or packet.pts is None:
            return False
        shift = round(shift_s / base)
        dts = packet.pts if packet.dts is None else packet.dts
        packet.pts += shift
        packet.dts = dts + shift
        last_s = self._last_dts.get(key)
        if last_s is not None and packet.dts * base <= last_s:
            if last_s - packet.dts * base > _BEHIND_S_MAX:
                return False
            # A busy recorder gives two pictures the same millisecond; a container may want each later than the last.
            late = int(last_s / base) + 1 - packet.dts
            packet.dts += late
            packet.pts = max(packet.pts, packet.dts)
        self._last_dts[key] = packet.dts * base
        return True


def _measure(path: Path) -> tuple[float, list[MediaStream]]:
    """Duration and streams, as the finished file itself says them."""
    with open_media(path) as container:
        duration_s = (container.duration or 0) / 1_000_000
        return duration_s, [describe(stream) for _, stream in list_streams(container)]
