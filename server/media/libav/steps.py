"""The steps of a making as the child runs them: files in, files out, and a JSON that says what became of it."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from av.error import FFmpegError

from protocol.wire import Peaks
from server.media.libav.joining import copy_to_mp4, join
from server.media.libav.picturing import find_peaks, find_poster
from server.media.orders import MP4_NAME, ORDER_NAME, PEAKS_NAME, POSTER_NAME, RESULT_NAME, Joined, JoinOrder


def join_runs(folder: Path) -> None:
    """ORDER_NAME holds a `JoinOrder`; leaves the file and RESULT_NAME, a `Joined`."""
    order = msgspec.json.decode((folder / ORDER_NAME).read_bytes(), type=JoinOrder)
    _write(folder / RESULT_NAME, msgspec.json.encode(join(folder, order.runs)))


def make_pictures(folder: Path) -> None:
    """Beside the file that RESULT_NAME names: PEAKS_NAME where it has sound, POSTER_NAME where it has pictures."""
    joined = msgspec.json.decode((folder / RESULT_NAME).read_bytes(), type=Joined)
    path = folder / (joined.name or "")
    with suppress(FFmpegError):
        peaks = find_peaks(path)
        if peaks is not None:
            body = msgspec.json.encode(Peaks(duration_s=joined.duration_s, peaks=peaks))
            _write(folder / PEAKS_NAME, body)
    with suppress(FFmpegError):
        poster = find_poster(path)
        if poster is not None:
            _write(folder / POSTER_NAME, poster)


def make_mp4(folder: Path) -> None:
    """The file that RESULT_NAME names, as MP4_NAME."""
    joined = msgspec.json.decode((folder / RESULT_NAME).read_bytes(), type=Joined)
    copy_to_mp4(folder / (joined.name or ""), folder / MP4_NAME)


def _write(path: Path, body: bytes) -> None:
    """Whole or not at all: the server takes what it finds, however this process ends."""
    beside = path.with_suffix(".partial")
    beside.write_bytes(body)
    beside.replace(path)


STEPS: Final[dict[str, Callable[[Path], None]]] = {"join": join_runs, "picture": make_pictures, "mp4": make_mp4}
