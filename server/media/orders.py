"""What the server and its libav child tell each other, as JSON files in the folder of one making."""

from pathlib import Path
from typing import Final

from msgspec import Struct

from protocol.wire import MediaStream

ORDER_NAME: Final = "order.json"
RESULT_NAME: Final = "result.json"
MP4_NAME: Final = "copy.mp4"
PEAKS_NAME: Final = "peaks.json"
POSTER_NAME: Final = "poster.jpg"


class JoinOrder(Struct, frozen=True):
    """Join the files of these runs, in this order, into one."""

    runs: list[int]


class JoinedRun(Struct, frozen=True, kw_only=True):
    """A run that is in the file: from where, and how long it plays there."""

    run: int
    begins_at_s: float
    duration_s: float


class LeftOutRun(Struct, frozen=True, kw_only=True):
    """A run that is not, and why."""

    run: int
    reason: str


class Joined(Struct, frozen=True, kw_only=True):
    """The file `name`, or none where nothing can be played; `losses` say what is not in it as it was."""

    name: str | None
    duration_s: float
    streams: list[MediaStream]
    runs: list[JoinedRun]
    left_out: list[LeftOutRun]
    losses: list[str]


def run_path(folder: Path, run: int) -> Path:
    """The original bytes of a run."""
    return folder / f"run-{run:04d}"
