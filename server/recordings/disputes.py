"""A disputed chunk is settled by the first client that still holds one of its contents (I3).

Two contents without a verdict are left by races whose losers nobody noted, found by a rebuild. Whoever
holds one of them was its sender. Where that copy stands in the bucket, whole, it counts from then on; where
it does not, the client is asked for it, and its PUT settles it.
"""

from collections.abc import Mapping

from protocol.states import Verification
from server.ingest.voids import store_overruled
from server.recordings.damage import has_digest
from server.storage.blob_store import BlobNotFoundError, BlobStore
from server.storage.ledger import DisputedCopy, Ledger


async def settle_claimed(
    ledger: Ledger, store: BlobStore, copies: list[DisputedCopy], claimed: Mapping[int, str]
) -> dict[int, Verification]:
    """`claimed` are digests (hexadecimal) by chunk_index; `missing` for a chunk whose claimed copy is spoiled.

    A settled chunk is pending: its object is read back by the next call. Raises `BlobStoreError`, `LedgerError`.
    """
    answers: dict[int, Verification] = {}
    for copy in copies:
        index = copy.chunk.chunk_index
        if claimed.get(index) != copy.chunk.sha256.hex():
            continue
        if not await _stands(store, copy):
            answers[index] = Verification.MISSING
            continue
        await store_overruled(store, await ledger.settle_dispute(copy.chunk))
        answers[index] = Verification.PENDING
    return answers


async def _stands(store: BlobStore, copy: DisputedCopy) -> bool:
    try:
        body = await store.get_range(copy.key, copy.chunk.offset, copy.chunk.size)
    except BlobNotFoundError:
        return False
    return await has_digest(body, copy.chunk.sha256)
