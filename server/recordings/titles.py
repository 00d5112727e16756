"""Later titles of a recording in the bucket (docs/decisions/0001-titles-in-the-bucket.md).

Each title is an object of its own, because no key is written twice (I11); the one with the greatest
id counts. So an id is made greater than every one that stands, whatever the clocks of other servers
say, and the row must end on the title that the bucket would give back (I8).
"""

import os
from collections.abc import Callable
from typing import Final
from uuid import UUID

import msgspec

from protocol.ids import RANDOM_BYTES_OF_UUID7, make_uuid7, unix_ms_of
from protocol.wire import RecordingTitle
from server.recordings.documents import Documents, read_document
from server.storage.blob_store import LIST_PAGE_MAX, BlobStore
from server.storage.keys import TitleKey, new_uuid7, parse_key, titles_prefix

_BEFORE_ALL: Final = make_uuid7(0, bytes(RANDOM_BYTES_OF_UUID7))


class Titles:
    """The titles of all recordings. All methods raise `BlobStoreError`."""

    def __init__(self, store: BlobStore, new_title_id: Callable[[], UUID] = new_uuid7) -> None:
        self._store = store
        self._documents = Documents(store)
        self._new_title_id = new_title_id

    async def add(self, recording_id: UUID, title: str) -> TitleKey:
        """Store the title as the newest one."""
        key = TitleKey(recording_id, self._new_title_id())
        newest = await self._find_newest(key)
        if newest is not None:  # a server whose clock is ahead was here before
            key = TitleKey(recording_id, make_uuid7(unix_ms_of(newest.title_id) + 1, os.urandom(RANDOM_BYTES_OF_UUID7)))
        await self._store.put(key.text, msgspec.json.encode(RecordingTitle(title=title)))
        return key

    async def find_newer(self, than: TitleKey) -> tuple[TitleKey, str] | None:
        """The newest title where it is newer than this one. Raises `Refusal` for one that cannot be read."""
        newest = await self._find_newest(than)
        body = None if newest is None else await self._documents.find(newest.text)
        if newest is None or body is None:  # erased between list and get
            return None
        return newest, read_document(newest.text, body, RecordingTitle).title

    async def find_newest(self, recording_id: UUID) -> str | None:
        """The newest title, None where it was never renamed. Raises `Refusal` for one that cannot be read."""
        newest = await self.find_newer(TitleKey(recording_id, _BEFORE_ALL))
        return None if newest is None else newest[1]

    async def _find_newest(self, than: TitleKey) -> TitleKey | None:
        newest: TitleKey | None = None
        after = than.text
        while page := await self._store.list_page(titles_prefix(than.recording_id), after, LIST_PAGE_MAX):
            after = page[-1].key
            key = parse_key(after)
            newest = key if isinstance(key, TitleKey) else newest
        return newest
