"""Group commit: chunks that arrive together share one object and one transaction.

A flush begins when none is in flight, or only a single chunk's, not by a timer: at low load a chunk waits
for one PUT and one COMMIT, its own, and at high load the batches grow by themselves. More are in flight
only while one takes long, or many wait.
Chunks up to `pack_chunk_bytes_max` share flushes; larger ones go alone, in slots of their own, so that
neither holds up the other.

While a chunk waits or is in flight, others with its key wait behind it, so that two of one process
never race each other (I3). Every queue is bounded by the caller's `Waiting` (I6).
"""

import asyncio
import copy
import logging
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from msgspec import Struct

from protocol.errors import ErrorCode
from server.ingest.checked_chunk import CheckedChunk, check_chunk
from server.ingest.flush import Answer, Flusher
from server.ingest.ingest import IncomingChunk
from server.ingest.waiting import Place
from server.refusal import Refusal
from server.refusals import chunk_differs
from server.storage.blob_store import BlobStoreError
from server.storage.ledger import Acknowledged, LedgerError

_log = logging.getLogger(__name__)

_RETRY_AFTER_S: Final = 1
# One transaction of so many rows commits in about 30 ms; a larger one would hold up its first chunk.
FLUSH_CHUNKS_MAX: Final = 1_024
# A PUT of 4 MiB takes about as long as that transaction.
FLUSH_BYTES_MAX: Final = 4 * 1024 * 1024

# A flush that is still in flight after this waits for a store far away or in trouble: the next no longer waits for it.
# Sooner, one more would only halve the batches, whose fixed cost is what keeps a busy machine busy.
STAGGER_S: Final = 0.1
# After a flush of a crowd the next one waits until as many have come as that one answered, at most as long as it took
# and at most this, so that those who were just answered join it with their next chunk: one that begins at once finds
# half of them, and its fixed cost is spread over half as many. The busier the machine, the longer a flush takes and
# the larger the next one: a chunk costs less when it matters. At 5,000/s on two cores, 12 ms take a quarter off bucket
# and database against 4 ms; 24 ms take little more, and each chunk pays them.
GATHER_S_MAX: Final = 0.012
_CROWD_CHUNKS: Final = 8
# So many are a flush of their own and wait for no other: what a flush costs by itself is less than theirs then.
FULL_CHUNKS: Final = 128


class _Waiter(Struct, eq=False):
    """A chunk on its way, who waits for its answer, and those with the same key behind it."""

    checked: CheckedChunk
    key: tuple[int, int]  # the chunk's, its UUID as a number: hashed without Python's help, four times a chunk
    place: Place
    deadline_s: float
    answer: "asyncio.Future[Acknowledged]"
    behind: "deque[_Waiter] | None" = None


@dataclass(slots=True)
class _Lane:
    """A queue with its slots. A batch takes as many of its oldest as the bounds allow, and at least one."""

    slots: int
    chunks_max: int
    stagger_s: float
    waiting: deque[_Waiter] = field(default_factory=deque)
    in_flight: int = 0
    holder: "list[_Waiter] | None" = None  # the flush whose end the next one waits for
    earliest_s: float = 0.0  # loop time before which no further flush begins, unless `awaited` have come or it is full
    awaited: float = 0  # how many are still to come until as many have as were just answered; endless while it is held
    sweep: asyncio.TimerHandle | None = None  # set while chunks wait and no slot is free
    wake: asyncio.Handle | None = None  # set while chunks wait for `earliest_s` alone
    wake_s: float = 0.0  # when it comes: uvloop's handle of what is due at once does not say

    @property
    def has_slot(self) -> bool:
        return self.in_flight < self.slots

    def may_begin(self, now_s: float) -> bool:
        """Whether those who wait are to wait for nobody else."""
        return self.earliest_s <= now_s or self.awaited <= 0 or len(self.waiting) >= FULL_CHUNKS

    def begin(self, batch: list[_Waiter], now_s: float) -> None:
        """Its flush begins. It holds up the next one, unless it is a single chunk's and all there is: two who send
        now and then need not wait for each other, and more than two at once would only be smaller batches."""
        self.in_flight += 1
        if len(batch) > 1 or self.in_flight > 1:
            self.holder, self.earliest_s, self.awaited = batch, now_s + self.stagger_s, math.inf

    def end(self, batch: list[_Waiter], began_s: float, now_s: float) -> None:
        """Its flush has ended; where others waited for it, they may wait for those whom it answered."""
        self.in_flight -= 1
        if self.holder is batch:
            gather_s = min(GATHER_S_MAX, now_s - began_s) if len(batch) >= _CROWD_CHUNKS else 0.0
            self.holder, self.earliest_s, self.awaited = None, now_s + gather_s, len(batch)

    def take_batch(self) -> list[_Waiter]:
        batch = [self.waiting.popleft()]
        size = len(batch[0].checked.chunk.body)
        while self.waiting and len(batch) < self.chunks_max:
            size += len(self.waiting[0].checked.chunk.body)
            if size > FLUSH_BYTES_MAX:
                break
            batch.append(self.waiting.popleft())
        return batch


class GroupIngest:
    """See `Ingest`. `stop_worker` is called when a flush fails by a bug of ours, after its waiters were told."""

    def __init__(
        self,
        flusher: Flusher,
        *,
        pack_chunk_bytes_max: int,
        flushes_in_flight_max: int,
        puts_in_flight_max: int,
        timeout_s: float,
        put_and_commit_s: float,
        stop_worker: Callable[[], None],
    ) -> None:
        self._flusher = flusher
        self._pack_chunk_bytes_max = pack_chunk_bytes_max
        self._timeout_s = timeout_s
        self._put_and_commit_s = put_and_commit_s
        self._stop_worker = stop_worker
        self._packed = _Lane(slots=flushes_in_flight_max, chunks_max=FLUSH_CHUNKS_MAX, stagger_s=STAGGER_S)
        self._alone = _Lane(slots=puts_in_flight_max, chunks_max=1, stagger_s=0.0)
        self._by_key: dict[tuple[int, int], _Waiter] = {}
        self._flushes: set[asyncio.Task[None]] = set()
        self._is_pump_due = False

    async def accept(self, chunk: IncomingChunk, place: Place) -> Acknowledged:
        # Cancelling this cancels the future alone; the flush finds it done and goes on.
        return await self.begin(chunk, place)

    def begin(self, chunk: IncomingChunk, place: Place) -> "asyncio.Future[Acknowledged]":
        checked = check_chunk(chunk)
        loop = asyncio.get_running_loop()
        place.take_over()
        key = (chunk.recording_id.int, chunk.chunk_index)
        waiter = _Waiter(checked, key, place, loop.time() + self._timeout_s, loop.create_future())
        earlier = self._by_key.get(key)
        if earlier is None:
            self._enqueue(waiter)
        elif earlier.behind is None:
            earlier.behind = deque((waiter,))
        else:
            earlier.behind.append(waiter)
        return waiter.answer

    async def drain(self) -> None:
        while self._by_key:
            self._pump()
            if self._flushes:
                await asyncio.wait(self._flushes)
            else:
                await asyncio.sleep(GATHER_S_MAX)

    @property
    def flushes_in_flight(self) -> int:
        return len(self._flushes)

    def _enqueue(self, waiter: _Waiter) -> None:
        self._by_key[waiter.key] = waiter
        is_packed = len(waiter.checked.chunk.body) <= self._pack_chunk_bytes_max
        lane = self._packed if is_packed else self._alone
        lane.waiting.append(waiter)
        lane.awaited -= 1
        if not self._is_pump_due:
            # After the callbacks of this turn of the loop, so that what arrived together goes together.
            self._is_pump_due = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        self._is_pump_due = False
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        for lane in (self._packed, self._alone):
            while lane.waiting and lane.has_slot and lane.may_begin(now_s):
                batch = lane.take_batch()
                lane.begin(batch, now_s)
                flush = asyncio.create_task(self._flush(lane, batch))
                self._flushes.add(flush)
                flush.add_done_callback(self._flushes.discard)
            if lane.waiting and lane.has_slot:
                self._wake_at(lane.earliest_s, lane)
            if lane.waiting and lane.sweep is None:
                lane.sweep = loop.call_at(lane.waiting[0].deadline_s - self._put_and_commit_s, self._sweep, lane)

    def _wake_at(self, loop_s: float, lane: _Lane) -> None:
        if lane.wake is not None:
            if lane.wake_s <= loop_s:
                return
            lane.wake.cancel()
        lane.wake, lane.wake_s = asyncio.get_running_loop().call_at(loop_s, self._wake, lane), loop_s

    def _wake(self, lane: _Lane) -> None:
        lane.wake = None
        self._pump()

    def _sweep(self, lane: _Lane) -> None:
        """Refuse those that waited so long for a slot that no time is left for a PUT and a COMMIT."""
        lane.sweep = None
        latest_s = asyncio.get_running_loop().time() + self._put_and_commit_s
        while lane.waiting and lane.waiting[0].deadline_s <= latest_s:
            self._finish(lane.waiting.popleft(), _overloaded())
        self._pump()

    async def _flush(self, lane: _Lane, batch: list[_Waiter]) -> None:
        began_s = asyncio.get_running_loop().time()
        try:
            await self._flush_batch(batch)
        except Exception as error:  # noqa: BLE001 - see below
            # A bug of ours: leave no waiter hanging, and do not go on as if nothing were.
            _log.critical("a flush failed by a bug; this worker stops", exc_info=error)
            for waiter in batch:
                self._finish(waiter, RuntimeError("the flush failed by a bug; the log has it"))
            self._stop_worker()
        finally:
            lane.end(batch, began_s, asyncio.get_running_loop().time())
            self._pump()

    async def _flush_batch(self, batch: list[_Waiter]) -> None:
        deadline_s = min(waiter.deadline_s for waiter in batch)
        try:
            answers: list[Answer] | BlobStoreError | LedgerError = await self._flusher.flush(
                [waiter.checked for waiter in batch], deadline_s
            )
        except (BlobStoreError, LedgerError) as error:
            answers = error
        for position, waiter in enumerate(batch):
            # A copy each: an exception that many requests raise would collect all their tracebacks.
            self._finish(waiter, answers[position] if isinstance(answers, list) else copy.copy(answers))

    def _finish(self, waiter: _Waiter, answer: Answer | Exception) -> None:
        if self._by_key.get(waiter.key) is not waiter:
            return  # answered before the bug that brought us here
        del self._by_key[waiter.key]
        _answer(waiter, answer)
        while waiter.behind:
            follower = waiter.behind.popleft()
            if isinstance(answer, Acknowledged):
                _answer(follower, _judge_follower(answer, follower.checked))
                continue
            # The first was not stored, so the next one is; the rest wait behind it.
            follower.behind = waiter.behind
            self._enqueue(follower)
            return


def _answer(waiter: _Waiter, answer: Answer | Exception) -> None:
    waiter.place.give_back()
    if waiter.answer.done():  # its request is gone
        return
    if isinstance(answer, Acknowledged):
        waiter.answer.set_result(answer)
    else:
        waiter.answer.set_exception(answer)


def _judge_follower(first: Acknowledged, checked: CheckedChunk) -> Answer:
    """The same content: the same receipt. Another: refused (I3)."""
    if first.chunk.has_content_of(checked.chunk.run, len(checked.chunk.body), checked.digest):
        return Acknowledged(first.chunk, is_new=False)
    return chunk_differs(first.chunk)


def _overloaded() -> Refusal:
    return Refusal(
        ErrorCode.OVERLOADED,
        "bucket and ledger did not take the chunks before this one in time",
        next_step="Keep the bytes and send them again after Retry-After.",
        retry_after_s=_RETRY_AFTER_S,
    )
