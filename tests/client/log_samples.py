"""A small recording's log as a sequence of appends, and what a reader must make of any part of it."""

import hashlib
import random
from dataclasses import dataclass, field

from client_py.core import journal
from client_py.core.frames import FileKind, encode_file_header
from client_py.core.recovery import RecoveredLog, Recovery
from client_py.core.sealing import Sealer, SliceRef

RECORDING_ID = "019c1c38-a400-7876-b690-8cbeb1799ab8"
CHUNK_BYTES = 300


@dataclass
class SampleLog:
    """The appends in the order they were made, and the slices with the append that completed each."""

    appends: list[tuple[str, bytes]] = field(default_factory=list)
    slices: dict[int, bytes] = field(default_factory=dict)
    completed_by: dict[int, int] = field(default_factory=dict)  # slice number -> index into appends
    sealed: dict[int, journal.Sealed] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    refs: list[SliceRef] = field(default_factory=list)

    def append(self, name: str, content: bytes) -> int:
        """Note an append; returns where it begins in its file."""
        offset = self.sizes.get(name, 0)
        self.sizes[name] = offset + len(content)
        self.appends.append((name, content))
        return offset

    def files(self, count: int | None = None, torn_bytes: int = 0) -> dict[str, bytes]:
        """The files after `count` appends and the first `torn_bytes` of the next."""
        count = len(self.appends) if count is None else count
        files: dict[str, bytes] = {}
        for name, content in self.appends[:count]:
            files[name] = files.get(name, b"") + content
        if torn_bytes:
            name, content = self.appends[count]
            files[name] = files.get(name, b"") + content[:torn_bytes]
        return files

    def slice_at(self, piece: journal.Piece) -> SliceRef:
        """The slice whose content the piece lies in."""
        (found,) = (
            ref
            for ref in self.refs
            if (ref.epoch, ref.segment) == (piece.epoch, piece.segment)
            and ref.offset <= piece.offset < ref.offset + ref.size
        )
        assert piece.offset + piece.size <= found.offset + found.size, "a piece reaches beyond its slice"
        return found


def make_sample_log(seed: int = 1, *, slice_count: int = 14, segment_slices: int = 5, epochs: int = 2) -> SampleLog:
    """A recording of two runs and `epochs` worker lives, with whole, split and unsealed slices."""
    chance = random.Random(seed)
    log = SampleLog()
    sealer = Sealer(chunk_bytes=CHUNK_BYTES, chunk_ms=1 << 40, next_index=0)

    def record(epoch: int, *records: journal.AnyRecord) -> None:
        for each in records:
            if isinstance(each, journal.Sealed):
                log.sealed[each.chunk_index] = each
            log.append(journal.journal_name(epoch), journal.encode_record(RECORDING_ID, epoch, each))

    for epoch in range(1, epochs + 1):
        segment = 0
        log.append(journal.journal_name(epoch), encode_file_header(FileKind.JOURNAL))
        log.append(journal.segment_name(epoch, segment), encode_file_header(FileKind.SLICES))
        opened = journal.Opened(recording_id=RECORDING_ID, epoch=epoch, started_at_ms=1234, source="microphone")
        record(epoch, opened)
        first = (epoch - 1) * slice_count // epochs
        for number in range(first, epoch * slice_count // epochs):
            run = 0 if number < slice_count - 3 else 1
            if number in (0, slice_count - 3):
                record(epoch, journal.RunStarted(run=run, mime_type=f"audio/webm;run={run}"))
            if number > first and (number - first) % segment_slices == 0:
                segment += 1
                log.append(journal.segment_name(epoch, segment), encode_file_header(FileKind.SLICES))
            content = chance.randbytes(chance.choice((1, 40, 90, 130, 700)))
            frame = journal.encode_slice(
                RECORDING_ID, epoch, segment, run=run, slice_number=number, captured_at_ms=number, content=content
            )
            offset = log.append(journal.segment_name(epoch, segment), frame) + journal.SLICE_CONTENT_OFFSET
            log.slices[number] = content
            log.completed_by[number] = len(log.appends) - 1
            ref = SliceRef(number, run, epoch, segment, offset, len(content))
            log.refs.append(ref)
            record(epoch, *sealer.add(ref, content, at_ms=0))
        if epoch < epochs:
            record(epoch, *sealer.seal())
    return log


def recover(files: dict[str, bytes], chunk_bytes: int = CHUNK_BYTES) -> RecoveredLog:
    """What a reader makes of these files."""
    recovery = Recovery(RECORDING_ID, [(name, len(content)) for name, content in files.items()])
    journals = {epoch: name for name in files if (epoch := journal.parse_journal_name(name)) is not None}
    for epoch in sorted(journals):
        recovery.take_journal(epoch, files[journals[epoch]])
    for epoch, segment in recovery.segments_to_scan():
        recovery.take_segment(epoch, segment, files[journal.segment_name(epoch, segment)])
    return recovery.finish(chunk_bytes)


def read_chunk(files: dict[str, bytes], sealed: journal.Sealed) -> bytes | None:
    """The chunk's bytes, or None where they fail its digest."""
    content = b"".join(
        files.get(journal.segment_name(piece.epoch, piece.segment), b"")[piece.offset : piece.offset + piece.size]
        for piece in sealed.pieces
    )
    return content if hashlib.sha256(content).digest() == sealed.sha256 else None


def readable_slices(log: SampleLog, files: dict[str, bytes], recovered: RecoveredLog) -> set[int]:
    """The slices that can be sent whole; asserts that no chunk holds a wrong byte, and none a byte twice."""
    chunks = [*recovered.sealed, *recovered.recovered]
    indexes = [sealed.chunk_index for sealed in chunks]
    assert len(indexes) == len(set(indexes)), "an index stands for two contents"
    ranges: dict[int, list[tuple[int, int]]] = {}
    for sealed in chunks:
        content = read_chunk(files, sealed)
        if content is None:
            continue
        assert len(content) == sealed.size > 0
        position = 0
        for piece in sealed.pieces:
            ref = log.slice_at(piece)
            assert ref.run == sealed.run, "a chunk of two runs"
            start = piece.offset - ref.offset
            part = content[position : position + piece.size]
            assert log.slices[ref.slice_number][start : start + piece.size] == part, "a wrong byte"
            ranges.setdefault(ref.slice_number, []).append((start, start + piece.size))
            position += piece.size
    whole: set[int] = set()
    for number, parts in ranges.items():
        end = 0
        for start, after in sorted(parts):
            assert start >= end, "a byte doubled"
            end += after - start
        if end == len(log.slices[number]):
            whole.add(number)
    return whole
