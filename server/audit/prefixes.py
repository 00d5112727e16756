"""What still lies under the prefixes of a recording that its user deleted.

Its documents and what was made for its playback go at once: the grace period since the deletion is over,
so nobody is still writing them. An object of chunks that the ledger does not know is a PUT that came late;
it gets a row as `unlinked` and leaves with a later pass (I11). The tombstone stays for ever.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

from server.storage.blob_store import LIST_PAGE_MAX, BlobInfo, BlobStore
from server.storage.collect_ledger import CollectLedger
from server.storage.keys import (
    BucketKey,
    ChunkKey,
    InvalidKeyError,
    TombstoneKey,
    chunks_prefix,
    parse_key,
    recording_prefix,
)
from server.storage.ledger import NewObject


@dataclass(slots=True)
class Cleared:
    """What one listing found of ours. `is_empty`: nothing but the tombstone."""

    is_empty: bool = True
    documents: int = 0
    late_objects: int = 0


async def clear_prefixes(collected: CollectLedger, store: BlobStore, recording_id: UUID) -> Cleared:
    """Both prefixes, a page at a time. Raises `BlobStoreError`, `LedgerError`; a repeat goes on."""
    cleared = Cleared()
    async for blob, key in _list_ours(store, recording_prefix(recording_id)):
        if not isinstance(key, TombstoneKey):
            cleared.is_empty = False
            await store.delete(blob.key)
            cleared.documents += 1
    async for blob, key in _list_ours(store, chunks_prefix(recording_id)):
        if isinstance(key, ChunkKey):
            cleared.is_empty = False
            new = NewObject(key.object_id, blob.key, blob.size, blob.etag)
            cleared.late_objects += await collected.note_garbage([new])
    return cleared


async def _list_ours(store: BlobStore, prefix: str) -> AsyncIterator[tuple[BlobInfo, BucketKey]]:
    """Objects that this server makes; whatever else somebody laid there is never touched."""
    after = ""
    while page := await store.list_page(prefix, after, LIST_PAGE_MAX):
        after = page[-1].key
        for blob in page:
            try:
                yield blob, parse_key(blob.key)
            except InvalidKeyError:
                continue
