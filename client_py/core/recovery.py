"""From a folder's files to a recording's state, after any death.

It takes exactly the records and slices whose frame and CRC agree, and believes nothing else: no
file length, no order of files, no state that was under way. What no seal record covers is sealed
anew into the next unused index, because an index that may have been sent keeps its content (I3).
Files of a newer version are left as they are.
"""

from collections.abc import Iterable, Iterator
from typing import Final
from uuid import UUID

from msgspec import Struct

from client_py.core import journal
from client_py.core.frames import Damage, FrameKind, read_frames
from client_py.core.sealing import Sealer, SliceRef
from protocol.ids import unix_ms_of
from protocol.limits import CHUNK_MAX_BYTES

Position = tuple[int, int]  # (slice_number, byte offset in it)

# Of damage that was found, so many places are told one by one.
NOTES_MAX: Final = 20


class RecoveredLog(Struct, kw_only=True):
    """What a folder holds. `recovered` are chunks that no journal has yet: they must be written to one first."""

    recording_id: str
    is_opened: bool
    started_at_ms: int
    source: str
    runs: dict[int, str]
    sealed: list[journal.Sealed]  # in order of chunk_index
    recovered: list[journal.Sealed]
    verified_at_ms: dict[int, int]
    cleared: set[int]
    ended: str | None
    duration_ms: int  # 0: not known
    titled: journal.Titled | None
    is_deleted: bool
    next_epoch: int
    next_slice: int  # every slice below it is recorded here, or lost and told in `notes`
    segments: dict[tuple[int, int], int]  # (epoch, segment) -> file size in bytes
    unread_bytes: int  # bytes of segments that may have been slices once and cannot be read
    notes: list[str]  # what was damaged or lost, in words, place by place
    problem: str  # the same for the person, in one sentence; empty when all is well

    @property
    def is_recording(self) -> bool:
        """Whether anything was ever recorded here; a folder without is left over from a page load."""
        return self.is_opened or self.is_deleted or bool(self.sealed or self.recovered)


class Recovery:
    """Reads one folder: `take_journal` for each, then `take_segment` for each of `segments_to_scan`, then `finish`."""

    def __init__(self, recording_id: str, files: Iterable[tuple[str, int]]) -> None:
        self._recording_id: Final = recording_id
        self._segments: Final[dict[tuple[int, int], int]] = {}
        self._epochs: Final[set[int]] = set()
        for name, size in files:
            if (epoch := journal.parse_journal_name(name)) is not None:
                self._epochs.add(epoch)
            elif (segment := journal.parse_segment_name(name)) is not None:
                self._epochs.add(segment[0])
                self._segments[segment] = size
        self._opened: journal.Opened | None = None
        self._runs: Final[dict[int, str]] = {}
        self._sealed: Final[dict[int, journal.Sealed]] = {}
        self._verified_at_ms: Final[dict[int, int]] = {}
        self._cleared: Final[set[int]] = set()
        self._closed: journal.Closed | None = None
        self._titled: journal.Titled | None = None
        self._is_deleted = False
        self._is_journal_damaged = False
        self._is_segment_damaged = False
        self._slices: Final[dict[int, tuple[SliceRef, bytes]]] = {}  # those not wholly in a sealed chunk
        self._next_slice = 0
        self._unread_bytes = 0
        self._notes: Final[list[str]] = []

    def take_journal(self, epoch: int, content: bytes) -> None:
        """Read a journal. Raises `NewerVersionError`."""
        name = journal.journal_name(epoch)
        for item in read_frames(f"{self._recording_id}/{name}", content):
            if isinstance(item, Damage):
                self._is_journal_damaged = True
                self._note_damage(name, item)
            elif item.kind == FrameKind.RECORD:
                self._take_record(journal.decode_record(item.body))

    def segments_to_scan(self) -> list[tuple[int, int]]:
        """The segments that may hold slices outside every sealed chunk, in order.

        Chunks are sealed in the order of their bytes, so in each epoch these begin with the last
        segment that a seal record names; where records are lost, all are read.
        """
        if self._is_journal_damaged or self._missing_indexes():
            return sorted(self._segments)
        last_named: dict[int, int] = {}
        for sealed in self._sealed.values():
            for piece in sealed.pieces:
                last_named[piece.epoch] = max(piece.segment, last_named.get(piece.epoch, 0))
        return sorted(key for key in self._segments if key[1] >= last_named.get(key[0], 0))

    def take_segment(self, epoch: int, segment: int, content: bytes) -> None:
        """Read a segment. Raises `NewerVersionError`."""
        name = journal.segment_name(epoch, segment)
        covered = _Coverage(self._sealed.values())
        for item in read_frames(f"{self._recording_id}/{name}", content):
            if isinstance(item, Damage):
                self._note_damage(name, item)
                self._is_segment_damaged |= not item.is_tail
                # Zeros are what a loss of power leaves of a write that never came to the disk.
                is_empty = not content[item.offset : item.offset + item.size].strip(b"\0")
                self._unread_bytes += 0 if is_empty or item.is_cut_off else item.size
                continue
            header = journal.decode_slice_header(item.header)
            if item.kind != FrameKind.SLICE or header is None:
                continue
            run, slice_number, _ = header
            self._next_slice = max(self._next_slice, slice_number + 1)
            size = len(item.body)
            if slice_number not in self._slices and covered.uncovered(slice_number, size):
                ref = SliceRef(slice_number, run, epoch, segment, item.offset, size)
                self._slices[slice_number] = (ref, item.body)

    def finish(self, chunk_bytes: int) -> RecoveredLog:
        """What the folder holds, with the uncovered slices sealed into chunks of at most `chunk_bytes`."""
        recovered = self._seal_uncovered(chunk_bytes)
        lost = self._note_lost_slices()
        started_at_ms = unix_ms_of(UUID(self._recording_id))
        return RecoveredLog(
            recording_id=self._recording_id,
            is_opened=self._opened is not None,
            started_at_ms=self._opened.started_at_ms if self._opened else started_at_ms,
            source=self._opened.source if self._opened else "",
            runs=self._runs,
            sealed=[self._sealed[index] for index in sorted(self._sealed)],
            recovered=recovered,
            verified_at_ms=self._verified_at_ms,
            cleared=self._cleared,
            ended=self._closed.ended if self._closed else None,
            duration_ms=self._closed.duration_ms if self._closed else 0,
            titled=self._titled,
            is_deleted=self._is_deleted,
            next_epoch=max(self._epochs, default=0) + 1,
            next_slice=self._next_slice,
            segments=self._segments,
            unread_bytes=self._unread_bytes,
            notes=self._notes[:NOTES_MAX],
            problem=self._say(lost),
        )

    def _take_record(self, record: journal.AnyRecord | None) -> None:
        match record:
            case journal.Opened():
                self._opened = self._opened or record
            case journal.RunStarted():
                self._runs.setdefault(record.run, record.mime_type)
            case journal.Sealed():
                first = self._sealed.setdefault(record.chunk_index, record)
                if first.sha256 != record.sha256:
                    self._notes.append(f"chunk {record.chunk_index} was sealed twice; the first content counts")
                self._next_slice = max(self._next_slice, record.next_slice + (1 if record.next_offset else 0))
            case journal.Verified():
                self._verified_at_ms.update(dict.fromkeys(record.chunk_indexes, record.at_ms))
            case journal.Cleared():
                self._cleared.update(record.chunk_indexes)
            case journal.Closed():
                self._closed = self._closed or record
            case journal.Titled():
                if self._titled is None or record.at_ms >= self._titled.at_ms:
                    self._titled = record
            case journal.Deleted():
                self._is_deleted = True
            case journal.Noted() | None:  # a kind that a newer version added
                pass

    def _missing_indexes(self) -> list[int]:
        return [index for index in range(max(self._sealed, default=-1) + 1) if index not in self._sealed]

    def _seal_uncovered(self, chunk_bytes: int) -> list[journal.Sealed]:
        recovered: list[journal.Sealed] = []
        for index in self._missing_indexes():
            resealed = self._reseal_between(index)
            if resealed is None:
                self._notes.append(f"the seal record of chunk {index} is lost; its bytes were sealed anew at the end")
            else:
                recovered.append(resealed)
        known = {*self._sealed, *(sealed.chunk_index for sealed in recovered)}
        covered = _Coverage([*self._sealed.values(), *recovered])
        sealer = Sealer(chunk_bytes=chunk_bytes, chunk_ms=0, next_index=max(known, default=-1) + 1)
        for number in sorted(self._slices):
            ref, content = self._slices[number]
            for start, end in covered.uncovered(number, ref.size):
                recovered += sealer.add(ref, content, at_ms=0, start=start, end=end)
        return recovered + sealer.seal()

    def _reseal_between(self, index: int) -> journal.Sealed | None:
        """The lost chunk exactly as it was: all bytes between its neighbours, where both and every slice are known."""
        before, after = self._sealed.get(index - 1), self._sealed.get(index + 1)
        if (before is None and index > 0) or after is None:
            return None
        first = (before.next_slice, before.next_offset) if before else (0, 0)
        last = (after.first_slice, after.first_offset)
        sealer = Sealer(chunk_bytes=CHUNK_MAX_BYTES, chunk_ms=0, next_index=index)
        sealed: list[journal.Sealed] = []
        for number in range(first[0], last[0] + (1 if last[1] else 0)):
            if number not in self._slices:
                return None
            ref, content = self._slices[number]
            start = first[1] if number == first[0] else 0
            end = last[1] if number == last[0] else ref.size
            sealed += sealer.add(ref, content, at_ms=0, start=start, end=end)
        sealed += sealer.seal()
        return sealed[0] if len(sealed) == 1 else None  # bytes of two runs were never one chunk

    def _note_damage(self, name: str, damage: Damage) -> None:
        if not damage.is_tail:
            self._notes.append(f"{damage.size} bytes at {damage.offset} of {name} are damaged")

    def _note_lost_slices(self) -> int:
        # Not by what was sealed anew: such a chunk spans what is missing in its midst.
        gaps = _Coverage(self._sealed.values()).gaps(self._next_slice)
        lost = sum(number not in self._slices for number in gaps)
        if lost:
            self._notes.append(f"{lost} of {self._next_slice} slices are damaged or lost")
        return lost

    def _say(self, lost: int) -> str:
        if lost:
            return f"{lost} of {self._next_slice} slices were damaged or lost on this device; the others are safe."
        if self._notes and not self._is_segment_damaged:
            return "The notes about this recording were damaged on this device; no slice of it was lost by that."
        return self._notes[0] if self._notes else ""


class _Coverage:
    """Which positions of a recording lie in sealed chunks."""

    def __init__(self, sealed: Iterable[journal.Sealed]) -> None:
        ranges: list[tuple[Position, Position]] = sorted(
            ((s.first_slice, s.first_offset), (s.next_slice, s.next_offset)) for s in sealed
        )
        self._ranges: list[tuple[Position, Position]] = []
        for first, after in ranges:
            if self._ranges and first <= self._ranges[-1][1]:
                self._ranges[-1] = (self._ranges[-1][0], max(after, self._ranges[-1][1]))
            else:
                self._ranges.append((first, after))

    def uncovered(self, slice_number: int, size: int) -> list[tuple[int, int]]:
        """The (start, end) ranges of the slice's bytes that no chunk holds."""
        gaps: list[tuple[int, int]] = []
        start = 0
        for first, after in self._ranges:
            if after <= (slice_number, start):
                continue
            if first >= (slice_number, size):
                break
            if first > (slice_number, start):
                gaps.append((start, first[1]))
            start = after[1] if after[0] == slice_number else size
        if start < size:
            gaps.append((start, size))
        return gaps

    def gaps(self, next_slice: int) -> Iterator[int]:
        """The slices below `next_slice` with no covered byte."""
        expected = 0
        for first, after in self._ranges:
            yield from range(expected, first[0])
            expected = max(expected, after[0] + (1 if after[1] else 0))
        yield from range(expected, next_slice)
