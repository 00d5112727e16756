"""Which entries of the bucket may get a row at all, whatever else is found: the verdicts that stand in the bucket.

A tombstone, a void and a certificate are each for ever, so what they exclude never wins, in whatever order
objects are found. An entry of a recording that nobody registered waits in the bucket until somebody does.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import msgspec

from protocol.ids import is_recording_id
from protocol.states import RecordingState
from server.audit.entries import UnreadableObjectError
from server.ingest.voids import VoidedContent, find_voided
from server.storage.acknowledge_rules import ManifestContents, read_contents
from server.storage.blob_store import LIST_PAGE_MAX, BlobStore
from server.storage.collect_ledger import CollectLedger
from server.storage.keys import VOIDS_PREFIX, InvalidKeyError, VoidKey, parse_key
from server.storage.ledger import Ledger, NewChunk

# A manifest of 100,000 chunks takes some 30 MB as a dictionary; most have a few hundred.
_CERTIFICATES_KEPT: Final = 16
_CERTIFIED: Final = frozenset({RecordingState.COMPLETE, RecordingState.DAMAGED})
RecordingStates = dict[UUID, RecordingState]


@dataclass(frozen=True, slots=True)
class Admitted:
    """What of some chunks may count; the others by the verdict that excludes them."""

    chunks: list[NewChunk] = field(default_factory=list)
    voided: int = 0
    deleted: int = 0
    uncertified: int = 0
    unregistered: int = 0


class Contents:
    """The verdicts, read once and kept; `load_voids` comes first. Raises `BlobStoreError`, `LedgerError`."""

    def __init__(self, ledger: Ledger, collected: CollectLedger, store: BlobStore) -> None:
        self._ledger = ledger
        self._collected = collected
        self._store = store
        self._voided_objects: set[UUID] = set()
        self._certificates: OrderedDict[UUID, ManifestContents] = OrderedDict()

    async def load_voids(self) -> int:
        """Note which objects have a void: races alone make them, so they are few; how many there are."""
        after = ""
        while page := await self._store.list_page(VOIDS_PREFIX, after, LIST_PAGE_MAX):
            after = page[-1].key
            for blob in page:
                try:
                    key = parse_key(blob.key)
                except InvalidKeyError:
                    continue
                if isinstance(key, VoidKey):
                    self._voided_objects.add(key.object_id)
        return len(self._voided_objects)

    async def find_states(self, chunks: Iterable[NewChunk]) -> RecordingStates:
        """What became of the recordings of these chunks, for `admit`: one statement for a batch of objects."""
        recordings = {chunk.recording_id for chunk in chunks if is_recording_id(chunk.recording_id)}
        return await self._collected.find_states(sorted(recordings)) if recordings else {}

    async def admit(self, chunks: Sequence[NewChunk], states: RecordingStates) -> Admitted:
        """The chunks of one object. Raises `UnreadableObjectError` where its void cannot be read."""
        voided = await self._find_voided(chunks[0].object_id) if chunks else frozenset[VoidedContent]()
        admitted: list[NewChunk] = []
        counts = {"voided": 0, "deleted": 0, "uncertified": 0, "unregistered": 0}
        for chunk in chunks:
            verdict = await self._judge(chunk, voided, states)
            if verdict is None:
                admitted.append(chunk)
            else:
                counts[verdict] += 1
        return Admitted(admitted, **counts)

    async def _judge(self, chunk: NewChunk, voided: frozenset[VoidedContent], states: RecordingStates) -> str | None:
        content = VoidedContent(chunk.recording_id, chunk.chunk_index, chunk.run, chunk.size, chunk.sha256)
        if content in voided:
            return "voided"
        if not is_recording_id(chunk.recording_id):
            return None
        state = states.get(chunk.recording_id)
        if state is None:
            return "unregistered"
        if state is RecordingState.DELETED:
            return "deleted"
        if state in _CERTIFIED:
            certified = (await self._certified(chunk.recording_id)).get(chunk.chunk_index)
            return None if certified == (chunk.run, chunk.size, chunk.sha256) else "uncertified"
        return None

    async def _certified(self, recording_id: UUID) -> ManifestContents:
        contents = self._certificates.get(recording_id)
        if contents is None:
            decided = await self._ledger.find_certificate(recording_id)
            contents = {} if decided is None else read_contents(decided.certificate)
            self._certificates[recording_id] = contents
            if len(self._certificates) > _CERTIFICATES_KEPT:
                self._certificates.popitem(last=False)
        self._certificates.move_to_end(recording_id)
        return contents

    async def _find_voided(self, object_id: UUID) -> frozenset[VoidedContent]:
        if object_id not in self._voided_objects:
            return frozenset()
        try:
            return await find_voided(self._store, object_id)
        except msgspec.MsgspecError as error:
            raise UnreadableObjectError(f"its void cannot be read, so nothing says what lost: {error}") from error
