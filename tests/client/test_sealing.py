"""Which slices become which chunk."""

import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st

from client_py.core.journal import Sealed
from client_py.core.sealing import Sealer, SliceRef

slices = st.lists(st.tuples(st.binary(min_size=1, max_size=50), st.booleans(), st.booleans()), max_size=30)


def ref(number: int, content: bytes, run: int = 0) -> SliceRef:
    return SliceRef(number, run, 1, 0, number * 1000, len(content))


@settings(derandomize=True, deadline=None)
@given(slices, st.integers(1, 60))
def test_chunks_hold_all_bytes_once_in_order_and_never_more_than_their_bound(
    given_slices: list[tuple[bytes, bool, bool]], chunk_bytes: int
) -> None:
    sealer = Sealer(chunk_bytes=chunk_bytes, chunk_ms=10, next_index=7)
    chunks: list[Sealed] = []
    contents: dict[int, tuple[int, bytes]] = {}
    run = 0
    for number, (content, is_new_run, is_sealed_after) in enumerate(given_slices):
        run += 1 if is_new_run else 0
        contents[number] = (run, content)
        chunks += sealer.add(ref(number, content, run), content, at_ms=0)
        chunks += sealer.seal() if is_sealed_after else []
    chunks += sealer.seal()
    assert [chunk.chunk_index for chunk in chunks] == list(range(7, 7 + len(chunks)))
    position = (0, 0)
    sent = b""
    for chunk in chunks:
        assert (chunk.first_slice, chunk.first_offset) == position
        position = (chunk.next_slice, chunk.next_offset)
        assert 0 < chunk.size <= chunk_bytes
        parts = []
        for piece in chunk.pieces:
            number, start = divmod(piece.offset, 1000)
            assert contents[number][0] == chunk.run
            parts.append(contents[number][1][start : start + piece.size])
        whole = b"".join(parts)
        assert hashlib.sha256(whole).digest() == chunk.sha256
        assert len(whole) == chunk.size
        sent += whole
    assert sent == b"".join(content for _, content in contents.values())


def test_a_slice_that_does_not_fit_seals_what_waits_and_is_not_cut() -> None:
    sealer = Sealer(chunk_bytes=10, chunk_ms=10, next_index=0)
    assert sealer.add(ref(0, b"123456"), b"123456", at_ms=0) == []
    (first,) = sealer.add(ref(1, b"7890ab"), b"7890ab", at_ms=0)
    assert (first.size, first.next_slice, first.next_offset) == (6, 1, 0)
    assert sealer.size == 6


def test_a_slice_larger_than_a_chunk_is_split() -> None:
    sealer = Sealer(chunk_bytes=10, chunk_ms=10, next_index=0)
    content = bytes(25)
    chunks = sealer.add(ref(0, content), content, at_ms=0)
    assert [(each.size, each.next_slice, each.next_offset) for each in chunks] == [(10, 0, 10), (10, 0, 20)]
    assert [(each.size, each.next_slice, each.next_offset) for each in sealer.seal()] == [(5, 1, 0)]


def test_a_tail_is_due_when_its_first_byte_is_old_enough() -> None:
    sealer = Sealer(chunk_bytes=100, chunk_ms=2_000, next_index=0)
    assert not sealer.is_due(10_000)
    sealer.add(ref(0, b"a"), b"a", at_ms=500)
    sealer.add(ref(1, b"b"), b"b", at_ms=2_400)
    assert not sealer.is_due(2_499)
    assert sealer.is_due(2_500)
    assert sealer.segments() == {(1, 0)}
    sealer.seal()
    assert not sealer.is_due(10_000)
    assert sealer.seal() == []
