"""`voids/<object uuid>.json`: which entries of an object lost a race and must never be adopted (docs/FORMATS.md)."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

import msgspec
from msgspec import Struct

from protocol.wire import Sha256Hex
from server.storage.blob_store import LIST_PAGE_MAX, BlobStore, BlobStoreUnavailableError
from server.storage.keys import VoidKey, new_uuid7, voids_prefix
from server.storage.ledger import NewChunk


class VoidedEntry(Struct, frozen=True, kw_only=True):
    """One entry by its key and content."""

    recording_id: UUID
    chunk_index: int
    run: int
    size: int
    sha256: Sha256Hex


class Void(Struct, frozen=True, kw_only=True):
    """The document. The flush that stored the object voids it at most once; what loses later gets a void of its own."""

    object_id: UUID
    entries: list[VoidedEntry]


class VoidedContent(NamedTuple):
    """What may never be adopted from the object that was asked about."""

    recording_id: UUID
    chunk_index: int
    run: int
    size: int
    sha256: bytes


async def find_voided(store: BlobStore, object_id: UUID) -> frozenset[VoidedContent]:
    """Everything that the voids of one object name. Raises `BlobStoreError`, and `msgspec.MsgspecError` for no void."""
    listed = await store.list_page(voids_prefix(object_id), "", LIST_PAGE_MAX)
    documents = [await store.get(blob.key) for blob in listed]
    return frozenset(
        VoidedContent(item.recording_id, item.chunk_index, item.run, item.size, bytes.fromhex(item.sha256))
        for document in documents
        for item in msgspec.json.decode(document, type=Void).entries
    )


async def store_void(
    store: BlobStore, object_id: UUID, losers: Sequence[NewChunk], void_id: UUID | None = None
) -> None:
    """Store it before the loser's sender hears of it; a failed PUT once more, with the same bytes.

    Who is not the flush that stored the object gives a `void_id`, because no key is written twice (I11).

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
    key, document = VoidKey(object_id, void_id).text, msgspec.json.encode(void)
    try:
        await store.put(key, document)
    except BlobStoreUnavailableError:
        await store.put(key, document)


async def store_overruled(store: BlobStore, losers: Sequence[NewChunk]) -> None:
    """Contents that lost a dispute, each in its own object, which may have a void already. Raises as `store_void`."""
    for loser in losers:
        await store_void(store, loser.object_id, [loser], new_uuid7())
