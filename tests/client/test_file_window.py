"""The window of an upload: slices in order, again where asked, no more than there is room for, never of two files."""

import hashlib
from pathlib import Path

import pytest

from client_py.local.file_window import FREE_BYTES_MIN, LOCAL_BYTES_MAX, UNSAVED_SLICES_MAX, FileWindow
from client_py.local.source_file import (
    SIZE_MAX,
    SourceChangedError,
    SourceError,
    SourceFile,
    read_source,
    slice_bytes_of,
)
from client_py.messages import (
    CaptureEnded,
    CaptureOpen,
    CaptureStarted,
    Durable,
    FreeSpace,
    FromWindow,
    Record,
    ReplayAfter,
    Slice,
    View,
)
from protocol.limits import CHUNK_MAX_BYTES, MANIFEST_CHUNKS_MAX, MIB

RECORDING_ID = "019c1c38-a400-7876-b690-8cbeb1799ab8"
OPEN = CaptureOpen(recording_id=RECORDING_ID, run=0, source="file", mime_types=[], timeslice_ms=250, slice_number=0)


def source_of(path: Path, content: bytes) -> SourceFile:
    """A source with slices of 10 bytes."""
    path.write_bytes(content)
    whole = read_source(path, lambda *_: None)
    digests = [hashlib.sha256(content[start : start + 10]).digest() for start in range(0, len(content), 10)]
    return SourceFile(path, whole.size, 10, digests)


class Desk:
    """A window with what it said."""

    def __init__(self, source: SourceFile | None) -> None:
        self.said: list[FromWindow] = []
        self.noted: list[tuple[str, int]] = []  # recording_id, and how much had been said before
        self.window = FileWindow(
            source,
            mime_type="video/webm",
            unix_ms=lambda: 7,
            on_recording_id=lambda recording_id: self.noted.append((recording_id, len(self.said))),
        )
        self.window.connect(self.said.append)

    def slices(self) -> list[int]:
        return [each.slice_number for each in self.said if isinstance(each, Slice)]

    def make_all_durable(self) -> None:
        """Feed until nothing more comes."""
        while True:
            before = len(self.said)
            self.window.feed()
            if len(self.said) == before:
                return
            self.window.post(Durable(recording_id=RECORDING_ID, slice_number=max(self.slices())))


def view(*, bytes_local: int = 0, bytes_freeable: int = 0, state: str = "recording") -> View:
    return View(
        state=state, is_paused=False, is_online=True, is_recovering=False, server="", alarm="", storage="",
        bytes_local=bytes_local, bytes_freeable=bytes_freeable, current=None, recordings=[],
    )  # fmt: skip


def test_the_recording_id_outlives_the_process_before_the_first_slice_is_said(tmp_path: Path) -> None:
    desk = Desk(source_of(tmp_path / "file", bytes(25)))
    desk.window.post(view(state="ready"))
    desk.window.post(view(state="ready"))
    assert desk.said == [Record(source="file")], "pressed once"
    desk.window.post(OPEN)
    desk.make_all_durable()
    assert desk.noted == [(RECORDING_ID, 1)]
    assert desk.slices() == [0, 1, 2]
    assert isinstance(desk.said[-1], CaptureEnded) and desk.said[-1].slices_captured == 3
    assert b"".join(each.content for each in desk.said if isinstance(each, Slice)) == bytes(25)


def test_it_reads_on_only_while_little_is_unsaved_and_little_is_held_here(tmp_path: Path) -> None:
    desk = Desk(source_of(tmp_path / "file", bytes(1_000)))
    desk.window.post(OPEN)
    desk.window.feed()
    assert desk.slices() == list(range(UNSAVED_SLICES_MAX))
    desk.window.post(view(bytes_local=LOCAL_BYTES_MAX))
    desk.window.post(Durable(recording_id=RECORDING_ID, slice_number=3))
    desk.window.feed()
    assert desk.slices() == list(range(UNSAVED_SLICES_MAX)), "the device holds as much as it may"
    desk.window.post(view(bytes_local=LOCAL_BYTES_MAX - 1, bytes_freeable=FREE_BYTES_MIN))
    assert desk.said[-1] == FreeSpace(), "what is verified makes room"
    desk.window.feed()
    assert desk.slices() == list(range(2 * UNSAVED_SLICES_MAX))


def test_slices_are_said_again_after_replay_after_and_the_end_as_well(tmp_path: Path) -> None:
    desk = Desk(source_of(tmp_path / "file", bytes(45)))
    desk.window.post(OPEN)
    desk.make_all_durable()
    for durable, expected in ((1, [2, 3, 4]), (3, [4]), (4, [])):
        desk.said.clear()
        desk.window.post(ReplayAfter(recording_id=RECORDING_ID, slice_number=durable))
        desk.window.feed()
        assert desk.slices() == expected
        assert isinstance(desk.said[0], CaptureStarted)
        assert isinstance(desk.said[-1], CaptureEnded)


def test_a_slice_that_changed_since_the_file_was_looked_at_is_never_said(tmp_path: Path) -> None:
    path = tmp_path / "file"
    desk = Desk(source_of(path, bytes(100)))
    desk.window.post(OPEN)
    path.write_bytes(bytes(59) + b"X" + bytes(40))
    with pytest.raises(SourceChangedError, match="changed while it was being sent"):
        desk.make_all_durable()
    assert desk.slices() == [0, 1, 2, 3, 4]
    path.write_bytes(bytes(55))
    desk.window.post(ReplayAfter(recording_id=RECORDING_ID, slice_number=4))
    with pytest.raises(SourceChangedError):
        desk.window.feed()
    path.unlink()
    with pytest.raises(SourceError, match="cannot be read any more"):
        desk.window.feed()
    assert desk.slices() == [0, 1, 2, 3, 4]


def test_without_a_source_nothing_is_recorded(tmp_path: Path) -> None:
    desk = Desk(None)
    desk.window.post(view(state="ready"))
    desk.window.feed()
    assert desk.said == []


def test_contents_are_known_by_their_bytes_and_nothing_else(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(bytes(3 * MIB))
    other.write_bytes(bytes(3 * MIB))
    first = read_source(one, lambda *_: None)
    assert read_source(other, lambda *_: None).content_id == first.content_id
    with other.open("r+b") as opened:
        opened.seek(2 * MIB)
        opened.write(b"!")
    assert read_source(other, lambda *_: None).content_id != first.content_id
    other.write_bytes(bytes(3 * MIB + 1))
    assert read_source(other, lambda *_: None).content_id != first.content_id


def test_a_manifest_can_list_every_slice_of_the_largest_file() -> None:
    assert slice_bytes_of(1) == MIB
    for size in (1, MIB * MANIFEST_CHUNKS_MAX, MIB * MANIFEST_CHUNKS_MAX + 1, SIZE_MAX):
        slice_bytes = slice_bytes_of(size)
        assert MIB <= slice_bytes <= CHUNK_MAX_BYTES
        assert -(-size // slice_bytes) <= MANIFEST_CHUNKS_MAX
