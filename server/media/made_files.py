"""Reading what was made: documents and files from the bucket, every block against its digest."""

import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import Final
from uuid import UUID

from protocol.decoding import UndecodableError, decode_json
from server.media.document import DOCUMENT_NAME, MediaDocument, MediaFile
from server.storage.blob_store import BlobNotFoundError, BlobStore
from server.storage.keys import MediaKey

# Documents never change, so the last ones asked for are kept; the largest are a few hundred KB.
_DOCUMENTS_KEPT: Final = 64


class MediaLostError(Exception):
    """A file that was made is gone from the bucket, or its bytes are not what they were."""


class MadeFiles:
    """The files of makings. Methods raise `MediaLostError` and `BlobStoreError`."""

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self._documents: OrderedDict[UUID, MediaDocument] = OrderedDict()

    async def find_document(self, recording_id: UUID, media_id: UUID) -> MediaDocument:
        """What the making left."""
        kept = self._documents.get(media_id)
        if kept is not None:
            self._documents.move_to_end(media_id)
            return kept
        key = MediaKey(recording_id, media_id, DOCUMENT_NAME).text
        try:
            document = decode_json(await self._store.get(key), MediaDocument)
        except BlobNotFoundError:
            raise MediaLostError(f"{key} is gone") from None
        except UndecodableError as error:
            raise MediaLostError(f"{key}: {error}") from error
        self._documents[media_id] = document
        if len(self._documents) > _DOCUMENTS_KEPT:
            self._documents.popitem(last=False)
        return document

    async def read(self, document: MediaDocument, file: MediaFile, first: int, last: int) -> AsyncIterator[bytes]:
        """The bytes `first` to `last`, both included; none leaves before its block's digest is checked."""
        key = MediaKey(document.recording_id, document.media_id, file.name).text
        size = document.block_bytes
        for number in range(first // size, last // size + 1):
            begin = number * size
            block = await self._read_block(key, begin, min(size, file.size - begin), file.blocks[number])
            yield block[max(0, first - begin) : last + 1 - begin]

    async def read_whole(self, document: MediaDocument, file: MediaFile) -> bytes:
        """A small file."""
        return b"".join([block async for block in self.read(document, file, 0, file.size - 1)])

    async def check(self, document: MediaDocument) -> None:
        """Read every file back once; returns where all of it is as it was made."""
        for file in document.files:
            async for _ in self.read(document, file, 0, file.size - 1):
                pass

    async def _read_block(self, key: str, begin: int, size: int, sha256: str) -> bytes:
        try:
            block = await self._store.get_range(key, begin, size)
        except BlobNotFoundError:
            raise MediaLostError(f"{key} is gone") from None
        if hashlib.sha256(block).hexdigest() != sha256:
            raise MediaLostError(f"{key} is damaged at byte {begin}")
        return block
