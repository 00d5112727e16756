"""Verification: what a client may believe of the chunks it still holds (I1).

A chunk is `verified` only where its row holds the claimed content and its object was read back whole, or
answers a HEAD since. A call is bounded in objects read back and in time; what it did not reach is `pending`, and never
`missing`: only a chunk that the ledger now asks for again is called missing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from protocol.limits import VERIFY_CHUNKS_MAX, VERIFY_DURATION_S_MAX, VERIFY_OBJECTS_MAX
from protocol.states import ChunkState, Verification
from protocol.wire import ChunkClaim, ChunkVerification, VerifyResponse
from server.recordings.describing import ConfirmInstallation, require_recording, trust_installation
from server.recordings.disputes import settle_claimed
from server.recordings.object_checks import CHECKS_AT_ONCE, ObjectCheck, ObjectChecks
from server.storage.blob_store import BlobStore, BlobStoreUnavailableError
from server.storage.ledger import Ledger, LocatedChunk

# Hears of each recording whose client asked.
NoteSighting = Callable[[UUID], Awaitable[None]]


async def forget_sighting(recording_id: UUID) -> None:
    """For callers to whom it does not matter when a client was there."""


@dataclass(slots=True)
class _Call:
    """What is left of one call's bounds."""

    read_backs_left: int
    deadline_s: float  # of the event loop's clock


class Verifier:
    """Verifies chunks, for the clients that ask and for completion.

    Methods raise `Refusal`, `LedgerError`, and `BlobStoreRefusedError` where a person must act; a
    bucket that does not answer leaves its chunks pending.
    """

    def __init__(
        self,
        ledger: Ledger,
        store: BlobStore,
        *,
        confirm_installation: ConfirmInstallation = trust_installation,
        note_sighting: NoteSighting = forget_sighting,
        duration_s_max: float = VERIFY_DURATION_S_MAX,
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._checks = ObjectChecks(ledger, store, confirm_installation)
        self._note_sighting = note_sighting
        self._duration_s_max = duration_s_max

    async def close(self) -> None:
        """End what goes on in the background; call it before the stores are closed."""
        await self._checks.close()

    async def verify(self, recording_id: UUID, claims: Sequence[ChunkClaim]) -> VerifyResponse:
        """One answer for each of at most VERIFY_CHUNKS_MAX claims, in their order.

        Refuses RECORDING_UNKNOWN, RECORDING_DELETED.
        """
        call = self._begin_call()
        located = await self._ledger.find_chunks(recording_id, list({claim.chunk_index for claim in claims}))
        if not located:  # a row would prove that the recording stands
            await require_recording(self._ledger, recording_id)
        in_doubt = [
            row
            for claim in claims
            if (row := located.get(claim.chunk_index)) is not None and _judge_row(claim, row) is None
        ]
        checks = await self._check_objects(in_doubt, call)
        await self._note_sighting(recording_id)
        settled = await self._settle_disputes(recording_id, claims, located)
        return VerifyResponse(
            recording_id=recording_id,
            chunks=[_answer(claim, located.get(claim.chunk_index), checks, settled) for claim in claims],
        )

    async def _settle_disputes(
        self, recording_id: UUID, claims: Sequence[ChunkClaim], located: Mapping[int, LocatedChunk]
    ) -> dict[int, Verification]:
        disputed = [index for index, row in located.items() if row.chunk.state is ChunkState.DISPUTED]
        if not disputed:
            return {}
        copies = await self._ledger.find_disputed(recording_id, disputed)
        claimed = {claim.chunk_index: claim.sha256 for claim in claims}
        try:
            return await settle_claimed(self._ledger, self._store, copies, claimed)
        except BlobStoreUnavailableError:
            return {}  # the next call settles it

    async def read_back(self, recording_id: UUID, indexes: Sequence[int]) -> None:
        """Read back the objects of these chunks, as many as one call's bounds allow; the ledger notes the outcome."""
        call = self._begin_call()
        for page in _split(indexes, VERIFY_CHUNKS_MAX):
            if not call.read_backs_left or self._now_s() >= call.deadline_s:
                return
            located = await self._ledger.find_chunks(recording_id, page)
            unverified = [
                row
                for row in located.values()
                if row.chunk.state is ChunkState.STORED and row.object.verified_at is None
            ]
            await self._check_objects(unverified, call)

    def _begin_call(self) -> _Call:
        return _Call(VERIFY_OBJECTS_MAX, self._now_s() + self._duration_s_max)

    async def _check_objects(self, rows: Iterable[LocatedChunk], call: _Call) -> dict[UUID, ObjectCheck]:
        """The checks that ended in time, by object_id.

        Objects to be read back come first: each is read once and then is only a HEAD, so that asking the
        same again and again reaches every chunk.
        """
        objects = {row.object.object_id: row for row in rows}.values()
        unverified = [row for row in objects if row.object.verified_at is None][: call.read_backs_left]
        call.read_backs_left -= len(unverified)
        chosen = [*unverified, *(row for row in objects if row.object.verified_at is not None)]
        checks: dict[UUID, ObjectCheck] = {}
        waiting = iter(chosen)

        async def work() -> None:
            for row in waiting:
                checks[row.object.object_id] = await self._checks.check(row)

        workers = [asyncio.create_task(work()) for _ in range(min(CHECKS_AT_ONCE, len(chosen)))]
        if not workers:
            return checks
        try:
            done, _ = await asyncio.wait(
                workers, timeout=max(0.0, call.deadline_s - self._now_s()), return_when=asyncio.FIRST_EXCEPTION
            )
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        for worker in done:
            worker.result()
        return checks

    @staticmethod
    def _now_s() -> float:
        return asyncio.get_running_loop().time()


def _judge_row(claim: ChunkClaim, row: LocatedChunk) -> Verification | None:
    """What the row alone answers; None where its object must be looked at."""
    if row.chunk.state is ChunkState.DISPUTED:
        return Verification.PENDING
    if row.chunk.sha256.hex() != claim.sha256:
        return Verification.DIFFERS
    if row.chunk.state is ChunkState.WANTED:
        return Verification.MISSING
    return None


def _answer(
    claim: ChunkClaim,
    row: LocatedChunk | None,
    checks: dict[UUID, ObjectCheck],
    settled: Mapping[int, Verification],
) -> ChunkVerification:
    if row is None:
        return ChunkVerification(chunk_index=claim.chunk_index, state=Verification.UNKNOWN)
    state = settled.get(claim.chunk_index) or _judge_row(claim, row)
    if state is None:
        state = checks.get(row.object.object_id, ObjectCheck()).answer(row.chunk)
    return ChunkVerification(
        chunk_index=claim.chunk_index, state=state, size=row.chunk.size, sha256=row.chunk.sha256.hex()
    )


def _split(indexes: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for first in range(0, len(indexes), size):
        yield indexes[first : first + size]
