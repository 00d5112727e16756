"""Stores in memory that fail, stall or say something else where a test tells them to."""

import asyncio
from collections import deque
from collections.abc import Sequence

from server.storage.ledger import NewChunk, NewObject, Outcome
from server.storage.memory_blob_store import MemoryBlobStore
from server.storage.memory_ledger import MemoryLedger


class FaultyBlobStore(MemoryBlobStore):
    """`put_faults`: one entry a coming put, None lets it through. `gate`: puts wait while it is not set."""

    def __init__(self) -> None:
        super().__init__()
        self.put_faults: deque[Exception | None] = deque()
        self.get_fault: Exception | None = None
        self.puts: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.arrived = asyncio.Event()

    async def put(self, key: str, body: bytes) -> str:
        self.puts.append(key)
        self.arrived.set()
        await self.gate.wait()
        fault = self.put_faults.popleft() if self.put_faults else None
        if fault is not None:
            raise fault
        return await super().put(key, body)

    async def get(self, key: str) -> bytes:
        if self.get_fault is not None:
            raise self.get_fault
        return await super().get(key)

    async def check(self) -> None:
        if self.get_fault is not None:
            raise self.get_fault

    async def keys(self, prefix: str = "") -> list[str]:
        return [blob.key for blob in await self.list_page(prefix, "", 1_000)]


class FaultyLedger(MemoryLedger):
    """`acknowledge_faults`: one entry a coming acknowledge, None lets it through; `fault`: any reading."""

    def __init__(self) -> None:
        super().__init__()
        self.acknowledge_faults: deque[Exception | None] = deque()
        self.fault: Exception | None = None

    async def acknowledge(self, objects: Sequence[NewObject], chunks: Sequence[NewChunk]) -> list[Outcome]:
        fault = self.acknowledge_faults.popleft() if self.acknowledge_faults else None
        if fault is not None:
            raise fault
        return await super().acknowledge(objects, chunks)

    async def check(self) -> None:
        if self.fault is not None:
            raise self.fault
