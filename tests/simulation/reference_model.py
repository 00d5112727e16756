"""What must be true of recordings, computed only from what passes the core's ports and by other means than the core's.

It takes each flushed slice, each flushed record, each request and each true answer, refuses what must never
happen at the moment it would, and says what a new life must find (I9) and what an old one must still intend (I10).
"""

import hashlib
from dataclasses import dataclass, field

from client_py.core import journal
from client_py.core.book import Recording
from client_py.core.frames import Damage, FileKind, encode_file_header, read_frames
from client_py.core.recovery import RecoveredLog
from client_py.core.states import ChunkLife
from client_py.messages import Slice

WITH_RECEIPT = (ChunkLife.ACKNOWLEDGED, ChunkLife.VERIFYING)
WITH_VERIFICATION = (ChunkLife.VERIFIED, ChunkLife.REVERIFYING, ChunkLife.CLEARED)
# What the first event of a life may make of what it found.
ASKED_AT_ONCE = {ChunkLife.PENDING: ChunkLife.ASKING, ChunkLife.VERIFIED: ChunkLife.REVERIFYING}


@dataclass
class Facts:
    """One recording, as everybody but the core could know it."""

    slices: dict[int, Slice] = field(default_factory=dict)  # flushed
    placed: dict[tuple[int, int], set[int]] = field(default_factory=dict)  # segment -> slices in it
    sealed: dict[int, journal.Sealed] = field(default_factory=dict)  # flushed
    noted_verified: set[int] = field(default_factory=set)  # `verified` records flushed
    cleared: set[int] = field(default_factory=set)  # `cleared` records flushed
    is_closed: bool = False
    is_noted_deleted: bool = False
    is_folder_made_anew: bool = False  # to hold a deletion, after everything of it had been cleared
    sent: dict[int, tuple[str, bytes]] = field(default_factory=dict)  # (run, digest) ever sent under an index
    acknowledged: set[int] = field(default_factory=set)  # true receipts that reached a worker
    verified: set[int] = field(default_factory=set)  # true `verified` answers that reached a worker

    @property
    def next_slice(self) -> int:
        """The number after the last durable slice."""
        return max(self.slices, default=-1) + 1

    def content(self) -> bytes:
        """All durable bytes in order."""
        return b"".join(self.slices[number].content for number in sorted(self.slices))

    def sealed_end(self) -> tuple[int, int]:
        """The position behind the last sealed byte."""
        last = self.sealed.get(len(self.sealed) - 1)
        return (last.next_slice, last.next_offset) if last else (0, 0)


class ReferenceModel:
    """Facts of every recording that ever was."""

    def __init__(self) -> None:
        self.facts: dict[str, Facts] = {}
        self.deleted: set[str] = set()  # by their person

    def of(self, recording_id: str) -> Facts:
        """The facts of one recording."""
        return self.facts.setdefault(recording_id, Facts())

    # ------------------------------------------------------------------ what is flushed

    def on_slice_flushed(self, message: Slice, key: tuple[int, int]) -> None:
        """A slice lies in the segment: the next one, or the same bytes again after a death."""
        facts = self.of(message.recording_id)
        known = facts.slices.get(message.slice_number)
        assert known is None or known.content == message.content, "a slice was persisted with other bytes"
        assert message.slice_number <= facts.next_slice, "a slice was persisted before the one in front of it"
        facts.slices[message.slice_number] = message
        facts.placed.setdefault(key, set()).add(message.slice_number)

    def on_records_flushed(self, recording_id: str, epoch: int, frames: bytes) -> None:
        """Records lie in the journal."""
        facts = self.of(recording_id)
        content = encode_file_header(FileKind.JOURNAL) + frames
        for item in read_frames(f"{recording_id}/{journal.journal_name(epoch)}", content):
            assert not isinstance(item, Damage)
            match journal.decode_record(item.body):
                case journal.Sealed() as sealed:
                    self._on_sealed(facts, sealed)
                case journal.Verified(chunk_indexes=indexes):
                    assert facts.verified.issuperset(indexes), "noted as verified without the server's word"
                    facts.noted_verified.update(indexes)
                case journal.Cleared(chunk_indexes=indexes):
                    assert facts.verified.issuperset(indexes), "cleared without having been verified (I1)"
                    facts.cleared.update(indexes)
                case journal.Closed():
                    assert facts.sealed_end() == (facts.next_slice, 0), "closed with bytes that no chunk holds"
                    facts.is_closed = True
                case journal.Deleted():
                    assert recording_id in self.deleted, "deleted although nobody asked for it"
                    facts.is_noted_deleted = True

    def _on_sealed(self, facts: Facts, sealed: journal.Sealed) -> None:
        index = sealed.chunk_index
        if (known := facts.sealed.get(index)) is not None:
            assert known == sealed, f"chunk {index} was sealed twice with different contents (I3)"
            return
        assert index == len(facts.sealed), "an index was left out"
        assert not facts.is_closed, "sealed after the manifest was closed"
        start, end = facts.sealed_end(), (sealed.next_slice, sealed.next_offset)
        assert (sealed.first_slice, sealed.first_offset) == start, "a byte is left out, or stands in two chunks"
        parts = []
        for number in range(start[0], end[0] + (1 if end[1] else 0)):
            message = facts.slices[number]
            assert message.run == sealed.run, "a chunk of two runs"
            first = start[1] if number == start[0] else 0
            parts.append(message.content[first : end[1] if number == end[0] else None])
        content = b"".join(parts)
        assert (len(content), hashlib.sha256(content).digest()) == (sealed.size, sealed.sha256), "another content"
        facts.sealed[index] = sealed

    # ------------------------------------------------------------------ what is sent and answered

    def on_put(self, recording_id: str, index: int, run: str, digest: bytes) -> None:
        """A chunk goes out."""
        facts = self.of(recording_id)
        assert index in facts.sealed, "a chunk is sent before its seal record is flushed"
        assert facts.sealed[index].sha256 == digest
        assert facts.sent.setdefault(index, (run, digest)) == (run, digest), "another content under a sent index (I3)"

    # ------------------------------------------------------------------ what goes

    def on_segment_removed(self, recording_id: str, key: tuple[int, int]) -> None:
        """I1: every slice in it lies in chunks that were verified and noted as cleared, or its person deleted it."""
        facts = self.of(recording_id)
        if facts.is_noted_deleted:
            return
        for sealed in facts.sealed.values():
            if any((piece.epoch, piece.segment) == key for piece in sealed.pieces):
                assert sealed.chunk_index in facts.verified, "bytes go that were never verified (I1)"
                assert sealed.chunk_index in facts.cleared, "bytes go before their cleared record is flushed"
        highest = max(facts.placed.get(key, ()), default=-1)
        assert (highest + 1, 0) <= facts.sealed_end(), "bytes go that no chunk holds"

    def on_folder_removed(self, recording_id: str) -> None:
        """The same for all that is left."""
        facts = self.of(recording_id)
        if recording_id not in self.deleted:
            assert facts.cleared.issuperset(facts.sealed), "a folder goes with chunks that are not cleared (I1)"
            assert facts.sealed_end() == (facts.next_slice, 0), "a folder goes with slices that no chunk holds"

    def on_folder_gone(self, recording_id: str) -> None:
        """Whatever comes to lie in a folder of that name begins anew."""
        self.of(recording_id).is_folder_made_anew = True

    # ------------------------------------------------------------------ what the core believes

    def check_belief(self, recording: Recording) -> None:
        """The core's book says nothing that the ports did not say before."""
        facts = self.of(recording.recording_id)
        if recording.is_certified and not recording.chunks:  # only its row is left
            return
        lives = recording.by_life
        assert lives[ChunkLife.PLANNED].isdisjoint(facts.sealed)
        assert recording.chunks.keys() - lives[ChunkLife.PLANNED] == facts.sealed.keys(), (
            "other chunks than sealed ones"
        )
        for life in WITH_RECEIPT:
            assert lives[life] <= facts.acknowledged, "believed to be acknowledged without a true receipt"
        for life in WITH_VERIFICATION:
            assert lives[life] <= facts.verified, "believed to be verified without the server's word (I1)"
        assert recording.next_slice == facts.next_slice, "another slice is said to be the last durable one"

    def check_found(self, recording_id: str, log: RecoveredLog) -> None:
        """What recovery reads is what was flushed, byte by byte, and its tail is sealed into the next indexes."""
        facts = self.of(recording_id)
        if facts.is_folder_made_anew:
            assert (log.sealed, log.is_deleted) == ([], facts.is_noted_deleted)
            for each in (facts.sealed, facts.slices, facts.placed, facts.noted_verified, facts.cleared):
                each.clear()
            return
        assert {sealed.chunk_index: sealed for sealed in log.sealed} == facts.sealed
        assert (set(log.verified_at_ms), log.cleared) == (facts.noted_verified, facts.cleared)
        assert (log.ended is not None, log.is_deleted) == (facts.is_closed, facts.is_noted_deleted)
        assert (log.next_slice, log.notes) == (facts.next_slice, [])
        assert [sealed.chunk_index for sealed in log.recovered] == [
            len(facts.sealed) + number for number in range(len(log.recovered))
        ]

    def check_rested(self, recording: Recording) -> None:
        """I9: a new life begins with what the log says and nothing else; what is not verified is pending."""
        facts = self.of(recording.recording_id)
        if recording.recording_id in self.deleted:
            return
        for index, chunk in recording.chunks.items():
            if index in facts.cleared:
                expected = ChunkLife.CLEARED
            elif index in facts.noted_verified:
                expected = ChunkLife.VERIFIED
            else:
                expected = ChunkLife.PENDING if index in facts.sealed else ChunkLife.PLANNED
            is_asked = chunk.life is ASKED_AT_ONCE.get(expected)
            assert chunk.life is expected or is_asked, (
                f"chunk {index} is {chunk.life} at the start of a life, not {expected} (I9)"
            )
