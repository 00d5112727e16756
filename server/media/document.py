"""`media.json`: what one making of a recording's media left in the bucket, stored after everything it lists."""

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import UUID

from msgspec import Struct

from protocol.wire import Media
from server.media.orders import JoinedRun, LeftOutRun

DOCUMENT_NAME: Final = "media.json"
# What a player asks for is read and checked in pieces of this size; the digests of two hours of video are 150 KB.
BLOCK_BYTES: Final = 1024 * 1024


class MediaFile(Struct, frozen=True, kw_only=True):
    """A file beside the document; `blocks` are the SHA-256 of its BLOCK_BYTES one after the other."""

    name: str
    size: int
    sha256: str
    blocks: list[str]


class MediaDocument(Struct, frozen=True, kw_only=True):
    """Unknown fields are ignored, a new one has a default: a later version reads what an earlier one stored."""

    recording_id: UUID
    media_id: UUID
    made_at: datetime
    server_version: str
    media: Media
    files: list[MediaFile]
    block_bytes: int = BLOCK_BYTES
    runs: list[JoinedRun] = []
    left_out: list[LeftOutRun] = []
    losses: list[str] = []

    def find_file(self, stem: str) -> MediaFile | None:
        """The file called `media`, `peaks` or `poster`, whatever its suffix."""
        return next((file for file in self.files if file.name.partition(".")[0] == stem), None)


def digest_file(path: Path) -> MediaFile:
    """Blocks until the whole file is read."""
    whole, blocks, size = hashlib.sha256(), [], 0
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            whole.update(block)
            blocks.append(hashlib.sha256(block).hexdigest())
            size += len(block)
    return MediaFile(name=path.name, size=size, sha256=whole.hexdigest(), blocks=blocks)
