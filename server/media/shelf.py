"""What can be played, seen or saved of a recording: the finished file, else the bytes as they were recorded."""

import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import msgspec

from protocol.errors import ErrorCode
from protocol.limits import MANIFEST_CHUNKS_MAX
from protocol.states import MediaState
from protocol.wire import Certificate, Media
from server.media.containers import OTHER_TYPE, safe_type
from server.media.document import MediaDocument, MediaFile
from server.media.made_files import MadeFiles, MediaLostError
from server.media.originals import RunSpan, list_runs, read_span
from server.recordings.describing import ConfirmInstallation, require_recording, trust_installation
from server.recordings.documents import read_document
from server.recordings.reading import Reader
from server.refusal import Refusal
from server.storage.blob_store import BlobStore
from server.storage.keys import CertificateKey
from server.storage.ledger import Ledger, StoredRecording
from server.storage.media_ledger import MediaLedger

_log = logging.getLogger(__name__)

_TYPE_OF_STEM: Final = {"peaks": "application/json", "poster": "image/jpeg"}
_WHAT_OF_STEM: Final = {"media": "file", "peaks": "waveform", "poster": "poster"}


@dataclass(frozen=True, slots=True)
class Opened:
    """Bytes that never change under this ETag. `read(first, last)` gives them, both ends included.

    `run` is the run whose original bytes they are, None for what was made.
    """

    recording: StoredRecording
    media_type: str
    size: int
    etag: str
    read: Callable[[int, int], AsyncIterator[bytes]]
    run: int | None = None


class Shelf:
    """Opens media. Methods raise `Refusal`, `LedgerError`, `BlobStoreError`."""

    def __init__(
        self,
        ledger: Ledger,
        media_ledger: MediaLedger,
        store: BlobStore,
        reader: Reader,
        *,
        confirm_installation: ConfirmInstallation = trust_installation,
    ) -> None:
        self._ledger = ledger
        self._media_ledger = media_ledger
        self._files = MadeFiles(store)
        self._reader = reader
        self._confirm_installation = confirm_installation

    async def open_best(self, recording_id: UUID) -> Opened:
        """The finished file; before there is one, and where none can be made, the first run's bytes so far.

        Refuses RECORDING_UNKNOWN, RECORDING_DELETED, MEDIA_UNKNOWN where nothing was received yet.
        """
        recording = await require_recording(self._ledger, recording_id)
        media = media_of(recording)
        if media is not None and media.state is not MediaState.UNPLAYABLE:
            return await self._open_made(recording, media, "media")
        return await self._open_run(recording, None, MANIFEST_CHUNKS_MAX)

    async def open_made(self, recording_id: UUID, stem: str) -> Opened:
        """The `media`, `peaks` or `poster` that was made. Refuses MEDIA_UNKNOWN where there is none, or none yet."""
        recording = await require_recording(self._ledger, recording_id)
        media = media_of(recording)
        if media is None:
            raise Refusal(
                ErrorCode.MEDIA_UNKNOWN,
                f"nothing is made of recording {recording_id} yet",
                next_step="It is made soon after the recording is complete: ask again then.",
            )
        return await self._open_made(recording, media, stem)

    async def open_original(self, recording_id: UUID, run: int | None, chunk_count: int, *, is_whole: bool) -> Opened:
        """One run's bytes as they were recorded, of the first `chunk_count` chunks of the recording.

        Without a `run` the first one; but where the caller wants the whole recording (`is_whole`) and
        it has several, INVALID_REQUEST says that each is had by itself.
        """
        recording = await require_recording(self._ledger, recording_id)
        return await self._open_run(recording, run, chunk_count, is_whole=is_whole)

    async def _open_run(
        self, recording: StoredRecording, run: int | None, chunk_count: int, *, is_whole: bool = False
    ) -> Opened:
        spans = await list_runs(self._ledger, recording.recording_id, chunk_count)
        if is_whole and run is None and len(spans) > 1:
            runs = ", ".join(str(span.run) for span in spans)
            raise Refusal(
                ErrorCode.INVALID_REQUEST,
                f"recording {recording.recording_id} has {len(spans)} runs, and each is a file of its own: {runs}",
                next_step="Ask for each, e.g. ?download=original&run=0; ?download=media is all of it in one file.",
            )
        span = next((span for span in spans if run is None or span.run == run), None)
        if span is None:
            what = "anything" if run is None else f"run {run}"
            raise Refusal(
                ErrorCode.MEDIA_UNKNOWN,
                f"nobody has sent {what} of recording {recording.recording_id} yet",
                next_step="GET …/chunks lists what is held; ask again when more has arrived.",
            )
        return Opened(
            recording=recording,
            media_type=safe_type(await self._type_of_run(recording, span)),
            size=span.size,
            etag=f'"run-{span.run}-{len(span.indexes)}-{span.size}"',
            read=lambda first, last: read_span(self._reader, recording.recording_id, span, first, last),
            run=span.run,
        )

    async def _type_of_run(self, recording: StoredRecording, span: RunSpan) -> str:
        """What its recorder really used, where the manifest is known; else what was registered."""
        decided = await self._ledger.find_certificate(recording.recording_id)
        if decided is None:
            return recording.mime_type
        key = CertificateKey(recording.recording_id).text
        runs = read_document(key, decided.certificate, Certificate).manifest.runs
        return next((run.mime_type for run in runs if run.run == span.run), OTHER_TYPE)

    async def _open_made(self, recording: StoredRecording, media: Media, stem: str) -> Opened:
        recording_id = recording.recording_id
        stored = await self._media_ledger.find_media(recording_id)
        if stored is None:  # forgotten since the recording was read
            raise _lost(recording_id)
        try:
            document = await self._files.find_document(recording_id, stored.media_id)
        except MediaLostError as error:
            await self._forget(recording_id, stored.media_id, error)
            raise _lost(recording_id) from error
        file = document.find_file(stem)
        if file is None:
            raise Refusal(
                ErrorCode.MEDIA_UNKNOWN,
                f"recording {recording_id} has no {_WHAT_OF_STEM[stem]}",
                next_step=media.detail or "GET the recording: its media says what there is.",
            )
        return Opened(
            recording=recording,
            media_type=_TYPE_OF_STEM.get(stem, media.mime_type),
            size=file.size,
            etag=f'"{file.sha256}"',
            read=lambda first, last: self._read_made(document, file, first, last),
        )

    async def _read_made(self, document: MediaDocument, file: MediaFile, first: int, last: int) -> AsyncIterator[bytes]:
        try:
            async for piece in self._files.read(document, file, first, last):
                yield piece
        except MediaLostError as error:
            await self._forget(document.recording_id, document.media_id, error)
            raise _lost(document.recording_id) from error

    async def _forget(self, recording_id: UUID, media_id: UUID, error: MediaLostError) -> None:
        # A wrong bucket has none of our files, and must not make us forget them all.
        await self._confirm_installation()
        _log.warning("made media is lost", extra={"recording_id": str(recording_id), "reason": str(error)})
        await self._media_ledger.forget_media(recording_id, media_id)


def media_of(recording: StoredRecording) -> Media | None:
    """The summary of what was made; None while nothing is."""
    return None if recording.media is None else msgspec.json.decode(recording.media, type=Media)


def _lost(recording_id: UUID) -> Refusal:
    return Refusal(
        ErrorCode.MEDIA_DAMAGED,
        f"the finished file of recording {recording_id} is gone from the bucket or damaged",
        next_step="It is made anew from the recording's chunks: ask again in a moment.",
    )
