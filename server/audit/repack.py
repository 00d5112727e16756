"""Live entries of old objects become one new pack, whose rows move only after it was read back (see collect.py)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from server.audit.waste import Inspection
from server.storage.blob_store import BlobNotFoundError, BlobStore, BlobStoreUnavailableError
from server.storage.collect_ledger import CollectLedger, Move
from server.storage.keys import PackKey, new_uuid7
from server.storage.ledger import Ledger, NewObject, StoredObject
from server.storage.pack_format import PackChunk, build_pack

# What one flush stores at most: such a PUT is known to end well within its deadline.
PACK_BYTES_MAX: Final = 4 * 1024 * 1024
# One transaction that moves so many rows commits in a few tens of milliseconds.
PACK_CHUNKS_MAX: Final = 4_096


@dataclass(frozen=True, slots=True)
class Repacked:
    """What became of the objects that were taken in; `byte_count` of the pack that was written."""

    source_count: int = 0
    is_written: bool = False
    byte_count: int = 0
    moved_count: int = 0


@dataclass(slots=True)
class Repacker:
    """Holds what goes into the next pack: at most about PACK_BYTES_MAX and one object more."""

    ledger: Ledger
    collected: CollectLedger
    store: BlobStore
    new_object_id: Callable[[], UUID] = new_uuid7
    _sources: list[Inspection] = field(default_factory=list)
    _byte_count: int = 0
    _chunk_count: int = 0

    def has_room_for(self, found: Inspection) -> bool:
        """Whether the pack stays within its bounds; the first object always has room."""
        byte_count = self._byte_count + sum(len(body) for _, body in found.live)
        chunk_count = self._chunk_count + len(found.live)
        return not self._sources or (byte_count <= PACK_BYTES_MAX and chunk_count <= PACK_CHUNKS_MAX)

    def add(self, found: Inspection) -> None:
        """Take its live entries in."""
        self._sources.append(found)
        self._byte_count += sum(len(body) for _, body in found.live)
        self._chunk_count += len(found.live)

    async def finish(self) -> Repacked:
        """Write the pack, read it back, move the rows. Raises `BlobStoreError`, `LedgerError`; no row moved then."""
        sources, self._sources, self._byte_count, self._chunk_count = self._sources, [], 0, 0
        live = [item for found in sources for item in found.live]
        if not live:
            return Repacked()
        pack, offsets = build_pack(
            [
                PackChunk(row.recording_id, row.chunk_index, row.run, row.sha256, body, row.chunk_id)
                for row, body in live
            ]
        )
        new = await self._put(pack)
        moves = [Move(row, offset) for (row, _), offset in zip(live, offsets, strict=True)]
        moved_count = await self.collected.move_chunks(new, moves)
        if moved_count:
            await self.ledger.mark_verified(new.object_id, new.etag)
        return Repacked(len(sources), is_written=True, byte_count=new.size, moved_count=moved_count)

    async def _put(self, pack: bytes) -> NewObject:
        object_id = self.new_object_id()
        key = PackKey(object_id).text
        new = NewObject(object_id, key, len(pack), await self.store.put(key, pack))
        try:
            read_back = await self.store.get(key)
        except BlobNotFoundError:
            read_back = b""
        if read_back != pack:
            await self.collected.note_garbage([new])
            raise BlobStoreUnavailableError(
                f"{key} does not read back as it was stored; no row points to it, and the old objects stay"
            )
        return new


def group_for_merge(packs: Sequence[StoredObject]) -> Iterator[list[StoredObject]]:
    """Neighbours that fit one new pack together; one that would stay alone is left out."""
    group: list[StoredObject] = []
    byte_count = 0
    for pack in packs:
        if byte_count + pack.size > PACK_BYTES_MAX:
            if len(group) > 1:
                yield group
            group, byte_count = [], 0
        group.append(pack)
        byte_count += pack.size
    if len(group) > 1:
        yield group
