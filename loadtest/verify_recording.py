"""Verifies every chunk of a filled recording as a client does, call after call, and prints what that cost as JSON.

A process of its own, so that its memory is its own: `python -m loadtest.verify_recording RECORDING_ID FIRST END…`,
with ranges of chunk indexes, over the stores that the environment names.
"""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from hashlib import sha256
from uuid import UUID

import msgspec

from loadtest.filled_stores import body_of
from protocol.limits import VERIFY_CHUNKS_MAX
from protocol.states import Verification
from protocol.wire import ChunkClaim
from server.recordings.verification import Verifier
from server.settings import read_settings
from server.storage.measured_blob_store import MeasuredBlobStore
from server.storage.minio_blob_store import MinioBlobStore
from server.storage.postgres_ledger import PostgresLedger


async def verify_all(recording_id: UUID, indexes: Sequence[int]) -> dict[str, float]:
    """How long it took, in how many calls, and how many GETs and HEADs of the bucket they were."""
    settings = read_settings()
    assert settings.database_url is not None and settings.bucket is not None
    asked: Counter[str] = Counter()

    def observe(call: str, _what: str, _seconds: float, _has_answered: bool) -> None:
        asked[call] += 1

    async with AsyncExitStack() as stack:
        ledger = await PostgresLedger.open(settings.database_url)
        stack.push_async_callback(ledger.close)
        store = MeasuredBlobStore(MinioBlobStore(settings.bucket), observe)
        stack.push_async_callback(store.close)
        verifier = Verifier(ledger, store)
        stack.push_async_callback(verifier.close)
        began_s = time.perf_counter()
        waiting, call_count = list(indexes), 0
        while waiting:
            page, waiting = waiting[:VERIFY_CHUNKS_MAX], waiting[VERIFY_CHUNKS_MAX:]
            claims = [ChunkClaim(chunk_index=index, sha256=sha256(body_of(index)).hexdigest()) for index in page]
            answer = await verifier.verify(recording_id, claims)
            call_count += 1
            states = {each.state for each in answer.chunks}
            if states - {Verification.VERIFIED, Verification.PENDING}:
                raise SystemExit(f"verify answered {states}")
            waiting += [each.chunk_index for each in answer.chunks if each.state is Verification.PENDING]
        duration_s = time.perf_counter() - began_s
    return {"duration_s": duration_s, "calls": call_count, "gets": asked["get"], "heads": asked["head"]}


if __name__ == "__main__":
    bounds = [int(each) for each in sys.argv[2:]]
    wanted = [index for first, end in zip(bounds[::2], bounds[1::2], strict=True) for index in range(first, end)]
    print(msgspec.json.encode(asyncio.run(verify_all(UUID(sys.argv[1]), wanted))).decode())
