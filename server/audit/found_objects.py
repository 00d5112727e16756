"""Reads a batch of listed objects back whole and says which of their entries may count; bodies are let go at once."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from server.audit.contents import Admitted, Contents
from server.audit.entries import ObjectEntries, UnreadableObjectError, read_entries
from server.audit.examination import OBJECT_BYTES_MAX
from server.recordings.byte_budget import ByteBudget
from server.storage.blob_store import BlobInfo, BlobNotFoundError, BlobStore
from server.storage.keys import ChunkKey, InvalidKeyError, PackKey, parse_key
from server.storage.ledger import NewObject
from server.storage.rebuild_ledger import FoundObject

# What the store's adapter has threads for beside others; and what they may hold in memory.
READS_AT_ONCE: Final = 8
_BYTES_AT_ONCE_MAX: Final = 64 * 1024 * 1024


@dataclass(slots=True)
class Found:
    """A batch: objects with what may count of them, and counts of what may not."""

    objects: list[FoundObject] = field(default_factory=list)
    admitted: list[Admitted] = field(default_factory=list)
    damaged_entries: int = 0
    unreadable: list[tuple[str, str]] = field(default_factory=list)  # (key, why)
    foreign: int = 0


@dataclass(frozen=True, slots=True)
class _Read:
    """An object and what it holds; its bytes are gone again."""

    object: NewObject
    entries: ObjectEntries


async def read_found(store: BlobStore, contents: Contents, blobs: Sequence[BlobInfo]) -> Found:
    """Raises `BlobStoreError`, `LedgerError`."""
    found = Found()
    read: list[_Read] = []
    budget = ByteBudget(_BYTES_AT_ONCE_MAX)
    waiting = iter(blobs)

    async def work() -> None:
        for blob in waiting:
            await _read_one(store, blob, budget, found, read)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(READS_AT_ONCE, len(blobs))):
                group.create_task(work())
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    states = await contents.find_states(chunk for each in read for chunk in each.entries.good)
    for each in read:
        try:
            admitted = await contents.admit(each.entries.good, states)
        except UnreadableObjectError as error:
            found.unreadable.append((each.object.key, str(error)))
            continue
        found.objects.append(FoundObject(each.object, each.entries.count, tuple(admitted.chunks)))
        found.admitted.append(admitted)
        found.damaged_entries += each.entries.count - len(each.entries.good)
    return found


async def _read_one(store: BlobStore, blob: BlobInfo, budget: ByteBudget, found: Found, read: list[_Read]) -> None:
    try:
        key = parse_key(blob.key)
    except InvalidKeyError:
        found.foreign += 1
        return
    if not isinstance(key, ChunkKey | PackKey):
        found.foreign += 1
        return
    try:
        entries = await _read_entries(store, key, blob, budget)
    except UnreadableObjectError as error:
        found.unreadable.append((blob.key, str(error)))
        return
    if entries is not None:
        read.append(_Read(NewObject(key.object_id, blob.key, blob.size, blob.etag), entries))


async def _read_entries(
    store: BlobStore, key: ChunkKey | PackKey, blob: BlobInfo, budget: ByteBudget
) -> ObjectEntries | None:
    """None where the object has gone since it was listed."""
    if blob.size > OBJECT_BYTES_MAX:
        raise UnreadableObjectError(f"{blob.size} bytes are more than any object of this server has")
    async with budget.take(blob.size):
        try:
            body = await store.get(blob.key)
        except BlobNotFoundError:
            return None
        return await read_entries(key, body)
