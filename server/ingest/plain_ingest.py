"""Ingest in the plain order of steps: one object and one row a chunk.

    1 admit        a place under the bound, taken by the caller before it read the body (I6)
    2 digest       the body is the one its sender meant; nothing is stored otherwise
    3 look up      a row stands already: its receipt again, or a refusal, and nothing is stored (I3)
    4 store        PUT under a key that nobody has used (I11); a failed one once more, under another
    5 acknowledge  COMMIT of the rows (I2)
    6 void         only where the COMMIT found another content: noted in the bucket before anyone hears of it
    7 answer

Steps 2 to 6 run in a task of their own, so that a client that disconnects cancels nothing.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

from protocol.checksums import sha256
from protocol.errors import ErrorCode
from protocol.ids import is_recording_id
from protocol.states import ChunkState
from server.ingest.ingest import IncomingChunk
from server.ingest.objects import build_object
from server.ingest.voids import store_void
from server.ingest.waiting import Place
from server.refusal import Refusal
from server.refusals import absent_recording, chunk_differs, chunk_disputed, recording_complete
from server.storage.blob_store import BlobStore, BlobStoreUnavailableError
from server.storage.keys import new_uuid7
from server.storage.ledger import Acknowledged, Ledger, NewChunk, NewObject, Refused

_log = logging.getLogger(__name__)

# Larger bodies are hashed in a thread: 256 KiB take about a quarter of a millisecond of the event loop.
_HASH_IN_THREAD_BYTES: Final = 256 * 1024
_RETRY_AFTER_S: Final = 1
# Outcomes whose bytes must never be adopted by an audit or a rebuild. A deleted recording has its tombstone, an
# unknown one may still be registered, and of a dispute both copies are kept.
_VOIDED: Final = frozenset({ErrorCode.CHUNK_DIFFERS, ErrorCode.RECORDING_COMPLETE})


class PlainIngest:
    """The baseline that group commit is measured against, and for people who want an object a chunk."""

    def __init__(
        self,
        ledger: Ledger,
        store: BlobStore,
        *,
        puts_in_flight_max: int,
        timeout_s: float,
        put_timeout_s: float,
        commit_s: float,
        new_object_id: Callable[[], UUID] = new_uuid7,
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._slots = asyncio.Semaphore(puts_in_flight_max)
        self._timeout_s = timeout_s
        self._put_and_commit_s = put_timeout_s + commit_s
        self._new_object_id = new_object_id
        self._flushes: dict[tuple[UUID, int], asyncio.Task[Acknowledged]] = {}

    async def accept(self, chunk: IncomingChunk, place: Place) -> Acknowledged:
        place.take_over()
        flush = asyncio.create_task(self._flush_in_turn(chunk, self._flushes.get(chunk.key)))
        # The next request for the same key waits for this one, so that the two never race each other here.
        self._flushes[chunk.key] = flush
        flush.add_done_callback(lambda done: self._end(chunk.key, done, place))
        return await asyncio.shield(flush)

    async def drain(self) -> None:
        while self._flushes:
            await asyncio.wait(list(self._flushes.values()))

    def _end(self, key: tuple[UUID, int], flush: asyncio.Task[Acknowledged], place: Place) -> None:
        place.give_back()
        if self._flushes.get(key) is flush:
            del self._flushes[key]
        # Retrieved here too: the request that waited may be gone.
        if not flush.cancelled() and (error := flush.exception()) is not None:
            _log.debug("chunk not acknowledged", extra={"recording_id": str(key[0]), "reason": str(error)})

    async def _flush_in_turn(self, chunk: IncomingChunk, earlier: asyncio.Task[Acknowledged] | None) -> Acknowledged:
        deadline_s = asyncio.get_running_loop().time() + self._timeout_s
        digest = await _check_digest(chunk)
        if earlier is not None:
            async with self._in_time(deadline_s):
                await asyncio.wait([earlier])
        standing = await self._look_up(chunk, digest)
        if standing is not None:
            return standing
        return await self._store_and_acknowledge(chunk, digest, deadline_s)

    async def _look_up(self, chunk: IncomingChunk, digest: bytes) -> Acknowledged | None:
        """The row that answers this chunk already, None where it is to be stored. Raises `Refusal`."""
        located = (await self._ledger.find_chunks(chunk.recording_id, [chunk.chunk_index])).get(chunk.chunk_index)
        if located is None:
            await self._refuse_absent(chunk.recording_id)
            return None
        row = located.chunk
        if row.state is ChunkState.DISPUTED:
            raise chunk_disputed(row.recording_id, row.chunk_index)
        if not row.has_content_of(chunk.run, len(chunk.body), digest):
            raise chunk_differs(row)
        return Acknowledged(row, is_new=False) if row.state is ChunkState.STORED else None

    async def _refuse_absent(self, recording_id: UUID) -> None:
        """Keep bytes out of the bucket that the COMMIT would refuse; the COMMIT decides all the same."""
        if is_recording_id(recording_id) and await self._ledger.find_recording_document(recording_id) is None:
            raise absent_recording(recording_id, await self._ledger.find_recording(recording_id))

    async def _store_and_acknowledge(self, chunk: IncomingChunk, digest: bytes, deadline_s: float) -> Acknowledged:
        async with self._flush_slot(deadline_s):
            stored, row = await self._store_object(chunk, digest, deadline_s)
            (outcome,) = await self._ledger.acknowledge([stored], [row])
            if isinstance(outcome, Acknowledged):
                return outcome
            if outcome.code in _VOIDED:
                await store_void(self._store, stored.object_id, [row])
            raise await self._explain(outcome, row)

    @asynccontextmanager
    async def _flush_slot(self, deadline_s: float) -> AsyncIterator[None]:
        async with self._in_time(deadline_s):
            await self._slots.acquire()
        try:
            yield
        finally:
            self._slots.release()

    @asynccontextmanager
    async def _in_time(self, deadline_s: float) -> AsyncIterator[None]:
        """Wait inside only while there still is time for a PUT and a COMMIT; refuse as overloaded then."""
        try:
            async with asyncio.timeout_at(deadline_s - self._put_and_commit_s):
                yield
        except TimeoutError:
            raise Refusal(
                ErrorCode.OVERLOADED,
                "bucket and ledger did not take the chunks before this one in time",
                next_step="Keep the bytes and send them again after Retry-After.",
                retry_after_s=_RETRY_AFTER_S,
            ) from None

    async def _store_object(self, chunk: IncomingChunk, digest: bytes, deadline_s: float) -> tuple[NewObject, NewChunk]:
        try:
            return await self._put(chunk, digest)
        except BlobStoreUnavailableError:
            # It may have been stored all the same: then it is an orphan with the same content, which does no harm.
            if asyncio.get_running_loop().time() + self._put_and_commit_s > deadline_s:
                raise
            return await self._put(chunk, digest)

    async def _put(self, chunk: IncomingChunk, digest: bytes) -> tuple[NewObject, NewChunk]:
        object_id = self._new_object_id()
        built = build_object(chunk, digest, object_id)
        etag = await self._store.put(built.key, built.body)
        return (
            NewObject(object_id, built.key, len(built.body), etag),
            NewChunk(
                chunk.recording_id,
                chunk.chunk_index,
                chunk.run,
                object_id,
                built.offset,
                len(chunk.body),
                digest,
                chunk.chunk_id,
            ),
        )

    async def _explain(self, refused: Refused, row: NewChunk) -> Refusal:
        if refused.code is ErrorCode.CHUNK_DIFFERS and refused.existing is not None:
            return chunk_differs(refused.existing)
        if refused.code is ErrorCode.CHUNK_DISPUTED:
            return chunk_disputed(row.recording_id, row.chunk_index)
        if refused.code is ErrorCode.RECORDING_COMPLETE:
            return recording_complete(row.recording_id, row.chunk_index)
        return absent_recording(row.recording_id, await self._ledger.find_recording(row.recording_id))


async def _check_digest(chunk: IncomingChunk) -> bytes:
    if not chunk.body:
        raise Refusal(ErrorCode.CHUNK_EMPTY, "the body is empty", next_step="A chunk has at least one byte.")
    if len(chunk.body) > _HASH_IN_THREAD_BYTES:
        digest = await asyncio.to_thread(sha256, chunk.body)
    else:
        digest = sha256(chunk.body)
    if chunk.sha256 is not None and digest != chunk.sha256:
        raise Refusal(
            ErrorCode.DIGEST_MISMATCH,
            f"{len(chunk.body)} bytes with sha256 {digest.hex()} arrived; Content-Digest says {chunk.sha256.hex()}",
            next_step="The bytes changed on the way: send them again. Nothing was stored.",
            chunks=[chunk.chunk_index],
        )
    return digest
