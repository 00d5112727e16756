"""Makes one recording's media: its runs on disk, the libav child, the bucket, the ledger.

    1 a making of an earlier life of this ledger, still whole in the bucket, is taken over
    2 spool: the certified chunks of each run, digests checked, into one file a run
    3 join them in the child, then peaks and poster
    4 store the files under keys of this making alone, media.json last
    5 decide: the ledger names the making that counts, one and no other

A death anywhere leaves a folder that the next start empties and, from step 4 on, objects that nobody
names; another making has keys of its own (I11). The chunks stay the truth: nothing here changes them.
"""

import asyncio
import logging
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec

from protocol.states import MediaState
from protocol.wire import Certificate, Media
from server.media.containers import fits_mp4, type_of
from server.media.document import DOCUMENT_NAME, MediaDocument, digest_file
from server.media.libav_child import ChildFailedError, run_child
from server.media.made_files import MadeFiles, MediaLostError
from server.media.orders import (
    ORDER_NAME,
    PEAKS_NAME,
    POSTER_NAME,
    RESULT_NAME,
    Joined,
    JoinOrder,
    LeftOutRun,
    run_path,
)
from server.media.originals import read_in_order
from server.recordings.documents import read_document
from server.recordings.reading import Reader
from server.storage.blob_store import LIST_PAGE_MAX, BlobStore
from server.storage.keys import CertificateKey, InvalidKeyError, MediaKey, media_prefix, new_uuid7, parse_key
from server.storage.media_ledger import MediaLedger, StoredMedia
from server.version import SERVER_VERSION

_log = logging.getLogger(__name__)

# Beside the runs and the file made of them, for everybody else on that disk.
_DISK_BYTES_SPARE: Final = 256 * 1024 * 1024
# A child that dies twice dies of the file.
CHILD_ATTEMPTS_MAX: Final = 2
_LOSSES_SAID_MAX: Final = 5


class NoRoomError(Exception):
    """The disk has no room for the work; it may have later."""


class Maker:
    """Makes media in `folder`, one recording at a time. `now` gives the time a document states, in UTC."""

    def __init__(
        self,
        ledger: MediaLedger,
        store: BlobStore,
        reader: Reader,
        folder: Path,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._reader = reader
        self._files = MadeFiles(store)
        self._folder = folder
        self._now = now

    async def make(self, recording_id: UUID) -> StoredMedia | None:
        """The making that counts then; None where the recording was deleted meanwhile.

        Raises `Refusal` (a chunk cannot be read now), `BlobStoreError`, `LedgerError`, `NoRoomError`,
        `ChildBrokenError`, `OSError`.
        """
        standing = await self._ledger.find_media(recording_id)
        if standing is not None:
            return standing
        # 1 an earlier making
        earlier = await self._find_whole(recording_id)
        if earlier is not None:
            return await self._decide(earlier)
        body = await self._reader.find_certificate(recording_id)
        certificate = read_document(CertificateKey(recording_id).text, body, Certificate)
        media_id = new_uuid7()
        folder = self._folder / str(media_id)
        await asyncio.to_thread(self._open_folder, folder, certificate.byte_count)
        try:
            await self._spool(folder, certificate)  # 2
            joined = await _join(folder, certificate)  # 3
            document = await self._store_files(folder, media_id, certificate, joined)  # 4
            return await self._decide(document)  # 5
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def _find_whole(self, recording_id: UUID) -> MediaDocument | None:
        page = await self._store.list_page(media_prefix(recording_id), "", LIST_PAGE_MAX)
        for key in reversed(_documents_among([blob.key for blob in page])):
            try:
                document = await self._files.find_document(recording_id, key.media_id)
                await self._files.check(document)
            except MediaLostError as error:
                _log.warning("an earlier making is not whole", extra={"reason": str(error)})
                continue
            return document
        return None

    def _open_folder(self, folder: Path, byte_count: int) -> None:
        folder.mkdir(mode=0o700, parents=True)
        needed = 2 * byte_count + _DISK_BYTES_SPARE
        free = shutil.disk_usage(folder).free
        if free < needed:
            folder.rmdir()
            raise NoRoomError(f"{self._folder} has {free >> 20} MiB free and {needed >> 20} MiB are needed")

    async def _spool(self, folder: Path, certificate: Certificate) -> None:
        manifest = certificate.manifest
        for run in sorted({entry.run for entry in manifest.chunks}):
            indexes = [entry.chunk_index for entry in manifest.chunks if entry.run == run]
            with run_path(folder, run).open("xb") as file:
                async for body in read_in_order(self._reader, certificate.recording_id, indexes):
                    await asyncio.to_thread(file.write, body)

    async def _store_files(
        self, folder: Path, media_id: UUID, certificate: Certificate, joined: Joined
    ) -> MediaDocument:
        recording_id = certificate.recording_id
        names = [joined.name, PEAKS_NAME, POSTER_NAME] if joined.name else []
        paths = [folder / name for name in names if name and (folder / name).exists()]
        files = [await asyncio.to_thread(digest_file, path) for path in paths]
        document = MediaDocument(
            recording_id=recording_id,
            media_id=media_id,
            made_at=self._now(),
            server_version=SERVER_VERSION,
            media=_summarise(joined, {file.name: (file.size, file.sha256) for file in files}),
            files=files,
            runs=joined.runs,
            left_out=joined.left_out,
            losses=joined.losses,
        )
        for path in paths:
            await self._store.put_file(MediaKey(recording_id, media_id, path.name).text, path)
        await self._store.put(MediaKey(recording_id, media_id, DOCUMENT_NAME).text, msgspec.json.encode(document))
        return document

    async def _decide(self, document: MediaDocument) -> StoredMedia | None:
        made = StoredMedia(document.media_id, msgspec.json.encode(document.media))
        return await self._ledger.decide_media(document.recording_id, made)


async def _join(folder: Path, certificate: Certificate) -> Joined:
    """What the child made; where it dies of the file, that this is so."""
    runs = sorted({entry.run for entry in certificate.manifest.chunks})
    (folder / ORDER_NAME).write_bytes(msgspec.json.encode(JoinOrder(runs)))
    failure = await _try_child("join", folder, certificate.byte_count)
    if failure is not None:
        left_out = [LeftOutRun(run=run, reason=failure) for run in runs]
        return Joined(name=None, duration_s=0.0, streams=[], runs=[], left_out=left_out, losses=[failure])
    joined = msgspec.json.decode((folder / RESULT_NAME).read_bytes(), type=Joined)
    if joined.name is not None:
        await _try_child("picture", folder, certificate.byte_count)
    return joined


async def _try_child(step: str, folder: Path, input_bytes: int) -> str | None:
    """None, or why it failed each time."""
    failure = ""
    for _ in range(CHILD_ATTEMPTS_MAX):
        try:
            await run_child(step, folder, input_bytes=input_bytes)
            return None
        except ChildFailedError as error:
            failure = str(error)
            _log.warning("libav child failed", extra={"step": step, "reason": failure})
    return failure


def _documents_among(keys: list[str]) -> list[MediaKey]:
    found: list[MediaKey] = []
    for text in keys:
        try:
            key = parse_key(text)
        except InvalidKeyError:
            continue
        if isinstance(key, MediaKey) and key.name == DOCUMENT_NAME:
            found.append(key)
    return found


def _summarise(joined: Joined, made: dict[str, tuple[int, str]]) -> Media:
    detail = _say(joined)
    if joined.name is None:
        return Media(
            state=MediaState.UNPLAYABLE,
            detail=detail or "there is nothing in it",
            runs_left_out=[left.run for left in joined.left_out],
        )
    size, sha256 = made[joined.name]
    codecs = {stream.codec for stream in joined.streams}
    return Media(
        state=MediaState.PARTIAL if detail else MediaState.WHOLE,
        detail=detail,
        mime_type=type_of(
            joined.name.rpartition(".")[2], has_video=any(stream.kind == "video" for stream in joined.streams)
        ),
        size=size,
        sha256=sha256,
        duration_s=joined.duration_s,
        streams=joined.streams,
        runs_left_out=[left.run for left in joined.left_out],
        has_peaks=PEAKS_NAME in made,
        has_poster=POSTER_NAME in made,
        has_mp4=fits_mp4(codecs),
    )


def _say(joined: Joined) -> str:
    """Everything that keeps the file from being the whole recording, in a few sentences."""
    said = [*joined.losses, *(f"run {left.run} is left out: {left.reason}" for left in joined.left_out)]
    more = len(said) - _LOSSES_SAID_MAX
    return "; ".join([*said[:_LOSSES_SAID_MAX], *([f"and {more} more"] if more > 0 else [])])
