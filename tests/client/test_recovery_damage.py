"""Recovery under any mixture of damage: cut off, flipped, zero-filled, overwritten, repeated and missing.

Whatever is done to the files, no wrong byte is ever taken and none twice, no index gets another content,
and only those slices can be lost whose own bytes, or whose sealed chunk, were hit.
"""

from hypothesis import given, settings
from hypothesis import strategies as st

from client_py.core import journal
from tests.client.log_samples import SampleLog, make_sample_log, read_chunk, readable_slices, recover

LOGS = [make_sample_log(seed, slice_count=count, epochs=epochs) for seed, count, epochs in [(1, 14, 2), (2, 20, 3)]]

spots = st.tuples(st.integers(0, 10_000), st.integers(0, 1_000_000))  # (which file, where), both taken modulo
damages = st.one_of(
    st.tuples(st.just("cut"), spots, st.just(0)),
    st.tuples(st.just("flip"), spots, st.integers(0, 7)),
    st.tuples(st.just("zero"), spots, st.integers(1, 600)),
    st.tuples(st.just("garble"), spots, st.integers(1, 600)),
    st.tuples(st.just("zero-tail"), spots, st.integers(1, 5_000)),
    st.tuples(st.just("repeat-tail"), spots, st.integers(1, 31)),  # less than a frame: a whole one would be right
    st.tuples(st.just("missing"), spots, st.just(0)),
)


def inflict(files: dict[str, bytes], damage: tuple[str, tuple[int, int], int]) -> tuple[str, int, int] | None:
    """Damage one file in place; which of its bytes are not what they were: (name, start, end)."""
    kind, (which, where), amount = damage
    names = sorted(files)
    if not names:
        return None
    name = names[which % len(names)]
    content = files[name]
    start = where % (len(content) + 1)
    end = min(len(content), start + amount)
    match kind:
        case "cut":
            files[name], end = content[:start], len(content)
        case "flip" if start < len(content):
            files[name] = content[:start] + bytes([content[start] ^ 1 << amount]) + content[start + 1 :]
            end = start + 1
        case "zero":
            files[name] = content[:start] + bytes(end - start) + content[end:]
        case "garble":
            files[name] = content[:start] + bytes((each * 7 + 13) % 256 for each in content[start:end]) + content[end:]
        case "zero-tail":
            files[name], start, end = content + bytes(amount), len(content), len(content)
        case "repeat-tail":  # a block of the file's own that a file system put behind it again
            files[name], start, end = content + content[-amount:], len(content), len(content)
        case "missing":
            del files[name]
            start, end = 0, len(content)
    return name, start, end


@settings(max_examples=400)
@given(
    log=st.sampled_from(LOGS), done=st.lists(damages, min_size=1, max_size=4), chunk_bytes=st.sampled_from([60, 300])
)
def test_only_what_was_hit_is_lost_whatever_is_damaged_and_never_a_wrong_byte_taken(
    log: SampleLog, done: list[tuple[str, tuple[int, int], int]], chunk_bytes: int
) -> None:
    files = log.files()
    hits = [hit for each in done if (hit := inflict(files, each)) is not None]
    found = recover(files, chunk_bytes)
    readable = readable_slices(log, files, found)  # asserts true bytes, one run a chunk, no byte twice
    hit_slices = {
        ref.slice_number
        for ref in log.refs
        for name, start, end in hits
        if name == journal.segment_name(ref.epoch, ref.segment)
        and start < ref.offset + ref.size
        and end > ref.offset - journal.SLICE_CONTENT_OFFSET
    }
    spoilt_with_their_chunk = {
        log.slice_at(piece).slice_number
        for sealed in found.sealed
        if read_chunk(files, sealed) is None
        for piece in sealed.pieces
    }
    assert set(log.slices) - readable <= hit_slices | spoilt_with_their_chunk
    for sealed in found.sealed:
        assert log.sealed[sealed.chunk_index] == sealed, "a sealed chunk got another content (I3)"
    is_journal_hit = any(name.startswith("journal") for name, _, _ in hits)
    for recovered in found.recovered:
        sealed_before = log.sealed.get(recovered.chunk_index)
        assert sealed_before is None or sealed_before == recovered or is_journal_hit, "an index got another content"


@settings(max_examples=200)
@given(log=st.sampled_from(LOGS), done=st.lists(damages, max_size=3))
def test_reading_twice_finds_the_same_and_what_recovery_writes_is_found_by_the_next(
    log: SampleLog, done: list[tuple[str, tuple[int, int], int]]
) -> None:
    files = log.files()
    for each in done:
        inflict(files, each)
    found = recover(files)
    assert recover(files) == found
    records = b"".join(journal.encode_record(found.recording_id, found.next_epoch, each) for each in found.recovered)
    next_files = files | {journal.journal_name(found.next_epoch): records}
    again = recover(next_files)
    assert {each.chunk_index: each for each in again.sealed} == {
        each.chunk_index: each for each in [*found.sealed, *found.recovered]
    }
    assert again.recovered == []
    assert readable_slices(log, files, again) == readable_slices(log, files, found)
