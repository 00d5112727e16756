"""From any prefix, any flipped byte and any zero-filled tail of a log: every sound slice, and never a wrong byte."""

import random
import zlib

import pytest

from client_py.core import journal
from client_py.core.frames import FileKind, FrameKind, NewerVersionError, encode_file_header, encode_frame
from client_py.core.recovery import Recovery
from tests.client.log_samples import (
    CHUNK_BYTES,
    RECORDING_ID,
    make_sample_log,
    read_chunk,
    readable_slices,
    recover,
)


def test_a_whole_log_gives_everything_and_seals_its_tail_into_the_next_index() -> None:
    log = make_sample_log()
    files = log.files()
    found = recover(files)
    assert readable_slices(log, files, found) == set(log.slices)
    assert found.notes == []
    assert [sealed.chunk_index for sealed in found.sealed] == list(range(len(log.sealed)))
    assert [sealed.chunk_index for sealed in found.recovered] == [
        len(log.sealed) + number for number in range(len(found.recovered))
    ]
    assert found.runs == {0: "audio/webm;run=0", 1: "audio/webm;run=1"}
    assert (found.started_at_ms, found.source, found.next_epoch) == (1234, "microphone", 3)
    assert found.next_slice == len(log.slices)
    assert all(sealed.size <= CHUNK_BYTES for sealed in found.recovered)


@pytest.mark.parametrize("seed", range(4))
def test_every_prefix_of_a_log_gives_every_slice_that_was_written_whole(seed: int) -> None:
    log = make_sample_log(seed)
    for count, (_, content) in enumerate(log.appends):
        for torn_bytes in {0, 1, 15, 16, 17, len(content) // 2, len(content) - 1}:
            if not 0 <= torn_bytes < len(content):
                continue
            files = log.files(count, torn_bytes)
            found = recover(files)
            durable = {number for number, append in log.completed_by.items() if append < count}
            assert readable_slices(log, files, found) == durable, (count, torn_bytes)
            assert found.notes == [], "a torn tail is no damage"
            known = {sealed.chunk_index: sealed for sealed in found.sealed}
            assert known.items() <= log.sealed.items()


@pytest.mark.parametrize("zeros", [1, 16, 4096])
def test_a_zero_filled_tail_is_not_taken_for_anything(zeros: int) -> None:
    log = make_sample_log()
    files = {name: content + bytes(zeros) for name, content in log.files().items()}
    found = recover(files)
    assert readable_slices(log, files, found) == set(log.slices)
    assert found.unread_bytes == 0


@pytest.mark.parametrize("seed", range(2))
def test_a_flipped_byte_costs_at_most_the_slice_or_the_chunk_it_lies_in(seed: int) -> None:
    log = make_sample_log(seed)
    chance = random.Random(seed)
    whole = log.files()
    for name, content in whole.items():
        for offset in sorted(chance.sample(range(len(content)), min(len(content), 250))):
            damaged = bytearray(content)
            damaged[offset] ^= 1 << chance.randrange(8)
            files = whole | {name: bytes(damaged)}
            found = recover(files)
            readable = readable_slices(log, files, found)
            lost = set(log.slices) - readable
            if name.startswith("journal"):
                # Slices lie elsewhere: nothing of them may be lost.
                assert not lost, (name, offset, found.notes)
                continue
            parsed = journal.parse_segment_name(name)
            assert parsed is not None
            hit = {
                ref.slice_number
                for ref in log.refs
                if _frame_holds(ref.offset, ref.size, offset) and (ref.epoch, ref.segment) == parsed
            }
            shared = {
                log.slice_at(piece).slice_number
                for sealed in found.sealed
                if read_chunk(files, sealed) is None
                for piece in sealed.pieces
            }
            assert lost <= hit | shared, (name, offset)
            # A chunk that was sealed is never given another content.
            for sealed in found.sealed:
                assert log.sealed[sealed.chunk_index] == sealed


def _frame_holds(content_offset: int, size: int, offset: int) -> bool:
    return content_offset - journal.SLICE_CONTENT_OFFSET <= offset < content_offset + size


def test_a_lost_seal_record_between_others_gives_the_same_chunk_again() -> None:
    log = make_sample_log()
    name, position = "journal-1", 0
    for append_name, content in log.appends:
        if append_name != name:
            continue
        sealed = journal.decode_record(content[16:]) if len(content) > 16 else None
        if isinstance(sealed, journal.Sealed) and sealed.chunk_index == 1:
            break
        position += len(content)
    files = log.files()
    damaged = bytearray(files[name])
    damaged[position + 20] ^= 0xFF
    files[name] = bytes(damaged)
    found = recover(files)
    again = {each.chunk_index: each for each in found.recovered}[1]
    assert again == log.sealed[1]
    assert readable_slices(log, files, found) == set(log.slices)
    assert any("damaged" in note for note in found.notes)


def test_a_damaged_slice_in_the_tail_is_told_and_its_neighbours_are_sealed() -> None:
    log = make_sample_log()
    last = log.refs[-2]
    files = log.files()
    name = journal.segment_name(last.epoch, last.segment)
    damaged = bytearray(files[name])
    damaged[last.offset] ^= 1
    files[name] = bytes(damaged)
    found = recover(files)
    assert set(log.slices) - readable_slices(log, files, found) <= {last.slice_number}
    assert found.next_slice == len(log.slices)


def test_a_missing_segment_and_a_missing_journal_cost_only_what_was_in_them() -> None:
    log = make_sample_log()
    whole = log.files()
    for name in whole:
        files = {key: content for key, content in whole.items() if key != name}
        found = recover(files)
        lost = set(log.slices) - readable_slices(log, files, found)
        parsed = journal.parse_segment_name(name)
        in_it = {ref.slice_number for ref in log.refs if (ref.epoch, ref.segment) == parsed}
        shared = {
            log.slice_at(piece).slice_number
            for sealed in found.sealed
            if read_chunk(files, sealed) is None
            for piece in sealed.pieces
        }
        assert lost <= in_it | shared, name


def test_a_slice_that_was_written_twice_counts_once() -> None:
    log = make_sample_log(epochs=1)
    files = log.files()
    last = max(log.slices)
    twice = journal.encode_slice(
        RECORDING_ID, 2, 0, run=1, slice_number=last, captured_at_ms=0, content=log.slices[last]
    )
    files["slices-2-0"] = encode_file_header(FileKind.SLICES) + twice
    found = recover(files)
    assert readable_slices(log, files, found) == set(log.slices)
    assert found.next_slice == len(log.slices)


def test_a_frame_of_another_file_is_not_taken() -> None:
    log = make_sample_log()
    files = log.files()
    stale = files["slices-1-0"][16:]
    files["slices-2-0"] += stale
    found = recover(files)
    assert readable_slices(log, files, found) == set(log.slices)


def test_a_newer_version_is_refused_and_an_unknown_record_skipped() -> None:
    log = make_sample_log()
    files = log.files()
    newer = bytearray(encode_file_header(FileKind.SLICES))
    newer[8:10] = (2).to_bytes(2, "big")
    newer[12:16] = zlib.crc32(bytes(newer[:12])).to_bytes(4, "big")
    with pytest.raises(NewerVersionError, match="version 2"):
        recover(files | {"journal-2": bytes(newer)})
    unknown = encode_frame(f"{RECORDING_ID}/journal-2", FrameKind.RECORD, b"", b"\x81\xa4kind\xa6dreamt")
    other_kind = encode_frame(f"{RECORDING_ID}/journal-2", 9, b"", b"?")  # type: ignore[arg-type]
    files["journal-2"] += unknown + other_kind
    assert readable_slices(log, files, recover(files)) == set(log.slices)


def test_verified_cleared_closed_and_deleted_are_read_back() -> None:
    log = make_sample_log()
    for record in (
        journal.Verified(chunk_indexes=[0, 1], at_ms=77),
        journal.Cleared(chunk_indexes=[0]),
        journal.Closed(ended="stopped", at_ms=78),
        journal.Noted(note="x", message="y", at_ms=1),
    ):
        log.append("journal-2", journal.encode_record(RECORDING_ID, 2, record))
    found = recover(log.files())
    assert found.verified_at_ms == {0: 77, 1: 77}
    assert (found.cleared, found.ended, found.is_deleted) == ({0}, "stopped", False)
    log.append("journal-2", journal.encode_record(RECORDING_ID, 2, journal.Deleted(at_ms=79)))
    assert recover(log.files()).is_deleted


def test_a_folder_without_an_opened_record_and_without_slices_is_no_recording() -> None:
    files = {
        "journal-1": encode_file_header(FileKind.JOURNAL),
        "slices-1-0": encode_file_header(FileKind.SLICES),
        "ballast": b"x",
    }
    found = recover(files)
    assert not found.is_recording
    assert found.unread_bytes == 0
    assert recover(files | {"slices-1-0": b"unreadable"}).unread_bytes == 10


def test_segments_wholly_sealed_are_not_read_again() -> None:
    log = make_sample_log(slice_count=30, segment_slices=5, epochs=1)
    files = log.files()
    recovery = Recovery(RECORDING_ID, [(name, len(content)) for name, content in files.items()])
    recovery.take_journal(1, files["journal-1"])
    last_sealed = max(piece.segment for sealed in log.sealed.values() for piece in sealed.pieces)
    assert recovery.segments_to_scan() == [(1, number) for number in range(last_sealed, 6)]
