"""One flush: the durable steps from checked chunks to their answers, for many chunks at once (I2, I3).

    1 look up      a row stands already: its receipt again, or a refusal; nothing of that is stored
    2 build        one object of the rest: a pack, or a single chunk's own
    3 PUT          under a key that nobody has used (I11); a failed one once more, under another
    4 COMMIT       the object's row and the chunks' rows, in one transaction; what can be done of it before its object
                   is stored is done while that is on its way (docs/decisions/0018)
    5 void         entries that lost a race are noted in the bucket before anyone hears of it
    6 answer       each chunk by itself: one that is refused never fails its neighbours

The caller runs it in a task of its own, so that a client that disconnects cancels nothing.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, cast
from uuid import UUID

from protocol.errors import ErrorCode
from protocol.states import ChunkState
from server.ingest.checked_chunk import CheckedChunk
from server.ingest.objects import BuiltObject, build_object
from server.ingest.voids import store_overruled, store_void
from server.refusal import Refusal
from server.refusals import (
    chunk_differs,
    chunk_disputed,
    recording_complete,
    recording_deleted,
    recording_unknown,
)
from server.storage.blob_store import BlobStore, BlobStoreError, BlobStoreUnavailableError
from server.storage.keys import new_uuid7
from server.storage.ledger import Acknowledged, Ledger, NewChunk, NewObject, Outcome, Refused, StoredChunk

# Outcomes whose bytes must never be adopted by an audit or a rebuild. A deleted recording has its tombstone, an
# unknown one may still be registered, and of a dispute both copies are kept.
_VOIDED: Final = frozenset({ErrorCode.CHUNK_DIFFERS, ErrorCode.RECORDING_COMPLETE})


# A chunk's answer. The store's error is that of a void which could not be stored: the sender tries again.
Answer = Acknowledged | Refusal | BlobStoreError


class Flusher:
    """Runs flushes; holds no state between them."""

    def __init__(
        self,
        ledger: Ledger,
        store: BlobStore,
        *,
        put_and_commit_s: float,
        new_object_id: Callable[[], UUID] = new_uuid7,
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._put_and_commit_s = put_and_commit_s
        self._new_object_id = new_object_id

    async def flush(self, chunks: Sequence[CheckedChunk], deadline_s: float) -> list[Answer]:
        """The answers in order; the chunks' keys are distinct and all of them become one object.

        `deadline_s` is loop time: a PUT is tried again only where it leaves time for PUT and COMMIT.
        Raises `BlobStoreError` or `LedgerError` where the whole flush failed: nothing of it is acknowledged.
        """
        known = await self._look_up(chunks)
        if not known:
            return await self._store_and_acknowledge(chunks, deadline_s)
        fresh = [checked for checked in chunks if checked.chunk.key not in known]
        stored = iter(await self._store_and_acknowledge(fresh, deadline_s) if fresh else ())
        return [known.get(checked.chunk.key) or next(stored) for checked in chunks]

    async def _look_up(self, chunks: Sequence[CheckedChunk]) -> dict[tuple[UUID, int], Answer]:
        """What the ledger knows already. It keeps bytes out of the bucket; the COMMIT decides all the same."""
        rows, unknown, deleted = await self._ledger.look_up([checked.chunk.key for checked in chunks])
        answers: dict[tuple[UUID, int], Answer] = {}
        if not rows and not unknown and not deleted:
            return answers
        refusals = {each: recording_unknown(each) for each in unknown}
        refusals |= {each: recording_deleted(each) for each in deleted}
        for checked in chunks:
            key = checked.chunk.key
            answer = refusals.get(key[0]) if (row := rows.get(key)) is None else _judge(row, checked)
            if answer is not None:
                answers[key] = answer
        return answers

    async def _store_and_acknowledge(self, fresh: Sequence[CheckedChunk], deadline_s: float) -> list[Answer]:
        built = build_object(fresh)
        try:
            rows, outcomes = await self._attempt(built, fresh)
        except BlobStoreUnavailableError:
            # It may have been stored all the same: then it is an orphan with the same content, which does no harm.
            if asyncio.get_running_loop().time() + self._put_and_commit_s > deadline_s:
                raise
            rows, outcomes = await self._attempt(built, fresh)
        if not any(isinstance(outcome, Refused) or outcome.overruled for outcome in outcomes):
            return cast(list[Answer], outcomes)
        return await self._refuse(rows, outcomes)

    async def _attempt(self, built: BuiltObject, fresh: Sequence[CheckedChunk]) -> tuple[list[NewChunk], list[Outcome]]:
        """One PUT under a key of its own, and the COMMIT after it; the rows are prepared while it is on its way."""
        object_id = self._new_object_id()
        key = built.key_of(object_id)
        put = asyncio.create_task(self._store.put(key, built.body))
        # It is sent before anything else is done.
        await asyncio.sleep(0)
        rows = [_new_row(checked, object_id, offset) for checked, offset in zip(fresh, built.offsets, strict=True)]
        try:
            coming = NewObject(object_id, key, len(built.body), "")
            return rows, await self._ledger.acknowledge_coming(coming, put, rows)
        finally:
            # Where the ledger failed first: until the bucket has answered, whatever it says, the bytes are held.
            await asyncio.wait((put,))
            put.exception()

    async def _void_overruled(self, outcome: Acknowledged) -> Answer:
        """What lost a dispute by this chunk is noted in the bucket before its sender hears of it."""
        try:
            await store_overruled(self._store, outcome.overruled)
        except BlobStoreError as error:
            return error
        return outcome

    async def _refuse(self, rows: Sequence[NewChunk], outcomes: Sequence[Outcome]) -> list[Answer]:
        """The answers of a flush in which some chunks lost; what must never be adopted is voided first."""
        losers = [
            row
            for row, outcome in zip(rows, outcomes, strict=True)
            if isinstance(outcome, Refused) and outcome.code in _VOIDED
        ]
        failure: BlobStoreError | None = None
        if losers:
            try:
                await store_void(self._store, losers[0].object_id, losers)
            except BlobStoreError as error:
                failure = error
        answers: list[Answer] = []
        for row, outcome in zip(rows, outcomes, strict=True):
            if isinstance(outcome, Acknowledged):
                answers.append(await self._void_overruled(outcome))
            elif failure is not None and outcome.code in _VOIDED:
                answers.append(failure)
            else:
                answers.append(_explain(outcome, row))
        return answers


def _new_row(checked: CheckedChunk, object_id: UUID, offset: int) -> NewChunk:
    chunk = checked.chunk
    return NewChunk(
        chunk.recording_id,
        chunk.chunk_index,
        chunk.run,
        object_id,
        offset,
        len(chunk.body),
        checked.digest,
        chunk.chunk_id,
    )


def _explain(refused: Refused, row: NewChunk) -> Refusal:
    if refused.code is ErrorCode.CHUNK_DIFFERS and refused.existing is not None:
        return chunk_differs(refused.existing)
    if refused.code is ErrorCode.CHUNK_DISPUTED:
        return chunk_disputed(row.recording_id, row.chunk_index)
    if refused.code is ErrorCode.RECORDING_COMPLETE:
        return recording_complete(row.recording_id, row.chunk_index)
    if refused.code is ErrorCode.RECORDING_DELETED:
        return recording_deleted(row.recording_id)
    return recording_unknown(row.recording_id)


def _judge(row: StoredChunk, checked: CheckedChunk) -> Answer | None:
    """What the row says of a chunk sent again; None where it is to be stored (again)."""
    if row.state is ChunkState.DISPUTED:
        return None  # the COMMIT knows both contents, and settles it where this is one of them
    if not row.has_content_of(checked.chunk.run, len(checked.chunk.body), checked.digest):
        return chunk_differs(row)
    return Acknowledged(row, is_new=False) if row.state is ChunkState.STORED else None
