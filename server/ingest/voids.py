"""`voids/<object uuid>.json`: which entries of an object lost a race and must never be adopted (docs/FORMATS.md)."""

from collections.abc import Sequence
from uuid import UUID

import msgspec
from msgspec import Struct

from protocol.wire import Sha256Hex
from server.storage.blob_store import BlobStore, BlobStoreUnavailableError
from server.storage.keys import VoidKey
from server.storage.ledger import NewChunk


class VoidedEntry(Struct, frozen=True, kw_only=True):
    """One entry by its key and content."""

    recording_id: UUID
    chunk_index: int
    run: int
    size: int
    sha256: Sha256Hex


class Void(Struct, frozen=True, kw_only=True):
    """The document. An object is voided at most once, by the flush that stored it."""

    object_id: UUID
    entries: list[VoidedEntry]


async def store_void(store: BlobStore, object_id: UUID, losers: Sequence[NewChunk]) -> None:
    """Store it before the loser's sender hears of it; a failed PUT once more, with the same bytes.

    Raises `BlobStoreError`. The sender then sends again and is refused by the row that stands; only a
    rebuild from the bucket alone would find two contents, and call the chunk disputed.
    """
    void = Void(
        object_id=object_id,
        entries=[
            VoidedEntry(
                recording_id=chunk.recording_id,
                chunk_index=chunk.chunk_index,
                run=chunk.run,
                size=chunk.size,
                sha256=chunk.sha256.hex(),
            )
            for chunk in losers
        ],
    )
    document = msgspec.json.encode(void)
    try:
        await store.put(VoidKey(object_id).text, document)
    except BlobStoreUnavailableError:
        await store.put(VoidKey(object_id).text, document)
