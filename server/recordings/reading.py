"""Reading: descriptions, pages, certificates, and bytes that never leave without their digest checked."""

from uuid import UUID

from protocol.errors import ErrorCode
from protocol.ids import is_recording_id
from protocol.limits import PAGE_ROWS_MAX
from protocol.states import ChunkState, FindingKind
from protocol.wire import ChunkPage, ChunkRow, Recording, RecordingPage
from server.recordings.certificates import Certificates
from server.recordings.cursors import (
    decode_chunk_cursor,
    decode_recording_cursor,
    encode_chunk_cursor,
    encode_recording_cursor,
)
from server.recordings.damage import ask_again, has_digest, list_stored
from server.recordings.describing import (
    ConfirmInstallation,
    describe_recording,
    describe_with_gaps,
    require_recording,
    trust_installation,
)
from server.refusal import Refusal
from server.refusals import chunk_damaged, chunk_disputed, chunk_unknown
from server.storage.blob_store import BlobNotFoundError, BlobStore
from server.storage.ledger import EVERY_RECORDING, Ledger, LocatedChunk, RecordingFilter, StoredChunk


class Reader:
    """Reads recordings. All methods raise `Refusal`, `LedgerError`; those that read the bucket `BlobStoreError`."""

    def __init__(
        self, ledger: Ledger, store: BlobStore, *, confirm_installation: ConfirmInstallation = trust_installation
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._confirm_installation = confirm_installation
        self._certificates = Certificates(ledger, store)

    async def describe(self, recording_id: UUID) -> Recording:
        """State, counts and gaps. Refuses RECORDING_UNKNOWN, RECORDING_DELETED."""
        return await describe_with_gaps(self._ledger, await require_recording(self._ledger, recording_id))

    async def list_recordings(
        self, cursor: str | None, limit: int, which: RecordingFilter = EVERY_RECORDING
    ) -> RecordingPage:
        """A page, newest first, without deleted ones; gaps are told by `describe` alone. Refuses INVALID_CURSOR."""
        _check_limit(limit)
        before = None if cursor is None else decode_recording_cursor(cursor)
        rows = await self._ledger.list_recordings(before=before, limit=limit + 1, which=which)
        shown = rows[:limit]
        return RecordingPage(
            recordings=[describe_recording(row) for row in shown],
            next_cursor=encode_recording_cursor(shown[-1].recording_id) if len(rows) > limit else None,
        )

    async def list_chunks(self, recording_id: UUID, cursor: str | None, limit: int) -> ChunkPage:
        """A page of the ledger's rows. Refuses INVALID_CURSOR, RECORDING_UNKNOWN, RECORDING_DELETED."""
        _check_limit(limit)
        after_index = -1 if cursor is None else decode_chunk_cursor(cursor)
        rows = await self._ledger.list_chunks(recording_id, after_index=after_index, limit=limit + 1)
        if not rows:  # a row would prove that the recording stands
            await require_recording(self._ledger, recording_id)
        shown = rows[:limit]
        return ChunkPage(
            chunks=[_describe_chunk(row) for row in shown],
            next_cursor=encode_chunk_cursor(shown[-1].chunk_index) if len(rows) > limit else None,
        )

    async def read_chunk(self, recording_id: UUID, chunk_index: int) -> tuple[bytes, StoredChunk]:
        """The chunk's bytes, their digest checked, and its row; loose chunks too.

        Refuses CHUNK_UNKNOWN, CHUNK_DISPUTED, RECORDING_UNKNOWN, RECORDING_DELETED; CHUNK_DAMAGED where
        the bytes are gone or wrong, after the ledger has asked for them again.
        """
        located = await self._locate(recording_id, chunk_index)
        body = await self._read(located)
        if isinstance(body, FindingKind):
            # The row may have moved to another object in the meantime; and damage is believed at the second reading.
            located = await self._locate(recording_id, chunk_index)
            body = await self._read(located)
        if isinstance(body, FindingKind):
            raise await self._ask_again(located, body)
        return body, located.chunk

    async def find_certificate(self, recording_id: UUID) -> bytes:
        """certificate.json. Refuses RECORDING_UNKNOWN, RECORDING_DELETED, CERTIFICATE_UNKNOWN."""
        decided = await self._ledger.find_certificate(recording_id)
        if decided is None:
            await require_recording(self._ledger, recording_id)
            raise Refusal(
                ErrorCode.CERTIFICATE_UNKNOWN,
                f"recording {recording_id} is not complete yet",
                next_step="POST …/complete with its manifest gives the certificate.",
            )
        return await self._certificates.publish(recording_id, decided)

    async def _locate(self, recording_id: UUID, chunk_index: int) -> LocatedChunk:
        located = (await self._ledger.find_chunks(recording_id, [chunk_index])).get(chunk_index)
        if located is None:
            if is_recording_id(recording_id):
                await require_recording(self._ledger, recording_id)
            raise chunk_unknown(recording_id, chunk_index)
        if located.chunk.state is ChunkState.DISPUTED:
            raise chunk_disputed(recording_id, chunk_index)
        return located

    async def _read(self, located: LocatedChunk) -> bytes | FindingKind:
        """The chunk's bytes, also of one that is wanted: they are served only with the right digest."""
        try:
            body = await self._store.get_range(located.object.key, located.chunk.offset, located.chunk.size)
        except BlobNotFoundError:
            return FindingKind.MISSING
        return body if await has_digest(body, located.chunk.sha256) else FindingKind.MISMATCHED

    async def _ask_again(self, located: LocatedChunk, kind: FindingKind) -> Refusal:
        chunk = located.chunk
        is_gone = kind is FindingKind.MISSING  # with the object all its chunks are gone
        rows = await list_stored(self._ledger, located.object) if is_gone else [chunk]
        await ask_again(self._ledger, self._confirm_installation, located.object, rows, kind)
        what = "its object is gone from the bucket" if is_gone else "its bytes fail their digest"
        return chunk_damaged(chunk.recording_id, chunk.chunk_index, what)


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= PAGE_ROWS_MAX:
        raise Refusal(
            ErrorCode.INVALID_REQUEST,
            f"limit is 1 to {PAGE_ROWS_MAX}, got {limit}",
            next_step="Ask for a smaller page and follow next_cursor.",
        )


def _describe_chunk(row: StoredChunk) -> ChunkRow:
    return ChunkRow(
        chunk_index=row.chunk_index,
        run=row.run,
        state=row.state,
        size=row.size,
        sha256=row.sha256.hex(),
        acknowledged_at=row.acknowledged_at,
    )
