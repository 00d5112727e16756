"""The frame codec: what was written is read back, and nothing else is ever taken for it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from client_py.core.frames import (
    Damage,
    FileKind,
    Frame,
    FrameKind,
    encode_file_header,
    encode_frame,
    read_frames,
)

PATH = "folder/journal-1"
MAGIC = b"\xf5HF\n"
bodies = st.lists(st.one_of(st.binary(max_size=60), st.just(MAGIC), st.just(MAGIC + b"\x01" * 14)), max_size=6)


def file_of(contents: list[bytes]) -> bytes:
    frames = (encode_frame(PATH, FrameKind.SLICE, content[:3], content) for content in contents)
    return encode_file_header(FileKind.SLICES) + b"".join(frames)


@settings(derandomize=True, deadline=None)
@given(bodies)
def test_frames_are_read_back_in_order(contents: list[bytes]) -> None:
    whole = file_of(contents)
    frames = list(read_frames(PATH, whole))
    assert [(frame.header, frame.body) for frame in frames if isinstance(frame, Frame)] == [
        (content[:3], content) for content in contents
    ]
    assert all(whole[f.offset : f.offset + len(f.body)] == f.body for f in frames if isinstance(f, Frame))


@settings(derandomize=True, deadline=None, max_examples=300)
@given(bodies, st.data())
def test_after_any_damage_only_true_frames_are_taken(contents: list[bytes], data: st.DataObject) -> None:
    whole = bytearray(file_of(contents))
    start = data.draw(st.integers(0, len(whole) - 1))
    garbage = data.draw(st.binary(min_size=1, max_size=40))
    whole[start : start + data.draw(st.integers(0, 40))] = garbage
    taken = [item.body for item in read_frames(PATH, bytes(whole)) if isinstance(item, Frame)]
    remaining = iter(contents)
    assert all(any(body == content for content in remaining) for body in taken), "taken in order, none invented"


def test_a_cut_off_end_is_a_tail_and_a_hole_in_the_middle_is_not() -> None:
    whole = file_of([b"first", b"second", b"third"])
    *frames, tail = read_frames(PATH, whole[:-1])
    assert len(frames) == 2
    assert isinstance(tail, Damage)
    assert tail.is_tail
    assert tail.offset + tail.size == len(whole) - 1
    hole = bytearray(whole)
    hole[whole.index(b"second")] ^= 1
    items = list(read_frames(PATH, bytes(hole)))
    assert [type(item) for item in items] == [Frame, Damage, Frame]
    assert isinstance(items[1], Damage)
    assert not items[1].is_tail


def test_a_frame_counts_only_in_its_own_file() -> None:
    whole = file_of([b"body"])
    assert [type(item) for item in read_frames("folder/journal-2", whole)] == [Damage]


def test_a_damaged_file_header_does_not_hide_the_frames() -> None:
    whole = b"\0" * 16 + file_of([b"one", b"two"])[16:]
    items = list(read_frames(PATH, whole))
    assert [type(item) for item in items] == [Damage, Frame, Frame]


def test_an_empty_file_and_a_bare_header_hold_nothing() -> None:
    assert list(read_frames(PATH, b"")) == []
    assert list(read_frames(PATH, encode_file_header(FileKind.JOURNAL))) == []


def test_the_bytes_of_a_frame_are_those_of_the_documentation() -> None:
    assert encode_file_header(FileKind.JOURNAL).hex() == "48464c4f470d0a1a00010001" + "496ba3e5"
    frame = encode_frame("f/n", FrameKind.RECORD, b"HH", b"body")
    assert frame[:12].hex() == "f548460a" + "02" + "00" + "0002" + "00000004"
    assert frame[16:] == b"HHbody"
