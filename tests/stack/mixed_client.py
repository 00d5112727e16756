"""A client of both ways into the server: chunks of a recording, small and large, and loose chunks, all at once."""

import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass

import httpx
import msgspec

from e2e.stores import HeldChunk, Stores
from protocol.ids import loose_recording_id
from protocol.wire import Receipt
from tests.integration.processes import wait_until
from tests.integration.sender import ANSWER_S_MAX, Sender, make_chunk, open_client
from tests.integration.server_process import ServerProcess
from tests.integration.server_stores import open_stores

SMALL_BYTES = 3_000  # share packs
LARGE_BYTES = 90_000  # an object each
RETRY_LIMIT_S = 90


@dataclass(frozen=True)
class Told:
    """What the server said to one attempt; status 0: the connection died."""

    status: int = 0
    retry_after: str = ""

    @property
    def is_receipt(self) -> bool:
        """Whether the chunk is acknowledged."""
        return self.status in (200, 201)

    @property
    def is_honest(self) -> bool:
        """A receipt, a dead connection, or "not now" with a time to come again."""
        return self.is_receipt or self.status == 0 or (self.status == 503 and self.retry_after.isdigit())

    @property
    def word(self) -> str:
        """For the table."""
        return "acknowledged" if self.is_receipt else "cut off" if self.status == 0 else f"answered {self.status}"


class MixedClient:
    """Keeps every body, and every receipt with it. A chunk is an index of the recording, or the name of a loose one."""

    def __init__(self, base_url: str) -> None:
        self.sender = Sender(base_url)
        self.timeout_s = ANSWER_S_MAX
        self.bodies: dict[int | str, bytes] = {}
        self.first_receipts: dict[int | str, Receipt] = {}
        self._prefix = os.urandom(6).hex()

    def make(self, *, small: int = 0, large: int = 0, loose: int = 0) -> list[int | str]:
        """So many new chunks, not sent yet."""
        made: list[int | str] = []
        sizes = [SMALL_BYTES] * small + [LARGE_BYTES] * large
        for size in sizes:
            index = sum(isinstance(part, int) for part in self.bodies)
            self.bodies[index] = make_chunk(index, size)
            made.append(index)
        for _ in range(loose):
            name = f"{self._prefix}/{len(self.bodies)}"
            self.bodies[name] = os.urandom(500).hex().encode()
            made.append(name)
        return made

    def send(self, part: int | str) -> Told:
        """One attempt; a receipt must be the same as the first one for this chunk (I3)."""
        try:
            answer = self._send(part)
        except httpx.TransportError:
            return Told()
        told = Told(answer.status_code, answer.headers.get("retry-after", ""))
        if told.is_receipt:
            receipt = msgspec.json.decode(answer.content, type=Receipt)
            assert self.first_receipts.setdefault(part, receipt) == receipt, "the same chunk got another receipt"
        return told

    def begin(self, parts: Iterable[int | str]) -> "Attempts":
        """Send all of them at once, each once."""
        return Attempts(self, list(parts))

    def send_until_acknowledged(self, parts: Iterable[int | str]) -> None:
        """As clients do: again and again; every answer meanwhile is honest."""

        def is_acknowledged(part: int | str) -> bool:
            told = self.send(part)
            assert told.is_honest, told
            return told.is_receipt

        for part in parts:
            wait_until(lambda part=part: is_acknowledged(part), f"chunk {part} to be acknowledged", RETRY_LIMIT_S)  # type: ignore[misc]

    def count_lost_in(self, server: ServerProcess) -> int:
        """Acknowledged chunks that do not stand once in the ledger with their bytes in the bucket."""
        with open_stores(server) as stores:
            return self._count_lost(stores)

    def _count_lost(self, stores: Stores) -> int:
        rows = {self.sender.recording_id: stores.chunks(self.sender.recording_id)}
        lost = 0
        for part in self.first_receipts:
            recording_id = self.sender.recording_id if isinstance(part, int) else str(loose_recording_id(part))
            if recording_id not in rows:
                rows[recording_id] = stores.chunks(recording_id)
            index = part if isinstance(part, int) else 0
            held = [row for row in rows[recording_id] if row.chunk_index == index]
            lost += not self._are_kept(stores, held, self.bodies[part])
        return lost

    @staticmethod
    def _are_kept(stores: Stores, rows: list[HeldChunk], body: bytes) -> bool:
        try:
            return [row.state for row in rows] == ["stored"] and stores.read(rows[0]) == body
        except AssertionError:
            return False

    def _send(self, part: int | str) -> httpx.Response:
        body = self.bodies[part]
        if isinstance(part, int):
            return self.sender.send(part, body, self.timeout_s)
        with open_client(self.timeout_s) as client:
            return client.post(
                f"{self.sender.base_url}/api/chunks/upload", json={"chunkId": part, "data": body.decode("ascii")}
            )


class Attempts:
    """Chunks under way, each in a thread of its own."""

    def __init__(self, client: MixedClient, parts: list[int | str]) -> None:
        self.told: dict[int | str, Told] = {}
        self._threads = [
            threading.Thread(target=lambda part=part: self.told.update({part: client.send(part)}), daemon=True)
            for part in parts
        ]
        for thread in self._threads:
            thread.start()

    def finish(self) -> dict[int | str, Told]:
        """What each was told, when all were."""
        for thread in self._threads:
            thread.join()
        return self.told
