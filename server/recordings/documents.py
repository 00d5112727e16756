"""A recording's documents in the bucket: each is put once, and what stands is never replaced (I11)."""

from typing import Final, TypeVar

from protocol.decoding import UndecodableError, decode_json
from protocol.errors import ErrorCode
from server.recordings.turns import Turns
from server.refusal import Refusal
from server.storage.blob_store import BlobNotFoundError, BlobStore

_Document = TypeVar("_Document")

# Nothing heals this by itself: the next answer is the same until an operator acted.
_RETRY_AFTER_S: Final = 60


class Documents:
    """Documents by their bucket key.

    Two processes may put the same key at once: they put the same bytes, except a tombstone's time,
    for which the ledger's copy counts.
    """

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self._turns = Turns()

    async def find(self, key: str) -> bytes | None:
        """The document that stands, None where there is none. Raises `BlobStoreError`."""
        try:
            return await self._store.get(key)
        except BlobNotFoundError:
            return None

    async def keep(self, key: str, body: bytes) -> bytes:
        """Store the document unless one stands; return the one that stands. Raises `BlobStoreError`.

        A put whose effect is unknown raises, and the repeat finds what became of it.
        """
        async with self._turns.take(key):
            standing = await self.find(key)
            if standing is not None:
                return standing
            await self._store.put(key, body)
            return body


def read_document(key: str, body: bytes, kind: type[_Document]) -> _Document:
    """The document as what it must be. Raises `Refusal` where the bucket's bytes are not one."""
    try:
        return decode_json(body, kind)
    except UndecodableError as error:
        raise Refusal(
            ErrorCode.STORE_MISMATCH,
            f"the bucket's {key} is not what this server writes there: {error}",
            next_step="An operator must move that object aside; nothing here overwrites it.",
            retry_after_s=_RETRY_AFTER_S,
        ) from error
