"""A plain client of the wire: sends chunks, keeps the receipts, and can say what was promised to it."""

import hashlib
import os
import threading
from base64 import b64encode
from datetime import UTC, datetime
from uuid import UUID

import httpx
import msgspec

from e2e.stores import Stores
from protocol.wire import Receipt, RecordingRegistration
from server.storage.keys import new_uuid7

ANSWER_S_MAX = 60.0


def make_chunk(number: int, size: int = 20_000) -> bytes:
    """Bytes that no other number has."""
    return number.to_bytes(8, "big") + os.urandom(size - 8)


def chunk_headers(body: bytes) -> dict[str, str]:
    """What a PUT of a chunk carries."""
    return {"content-digest": f"sha-256=:{b64encode(hashlib.sha256(body).digest()).decode()}:", "chunk-run": "0"}


def open_client(timeout_s: float = ANSWER_S_MAX) -> httpx.Client:
    """A client for plain http on the loopback: no proxy, and no certificates to load at each call."""
    return httpx.Client(timeout=timeout_s, trust_env=False, verify=False)


class Sender:
    """One recording's client. `receipts` are the promises it was given, by chunk_index, with the bytes sent."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.recording_id = str(new_uuid7())
        self.receipts: dict[int, tuple[Receipt, bytes]] = {}

    def register(self) -> httpx.Response:
        """Announce the recording."""
        registration = RecordingRegistration(
            recording_id=UUID(self.recording_id), mime_type="audio/webm", started_at=datetime.now(UTC)
        )
        with open_client() as client:
            return client.post(
                f"{self.base_url}/api/recordings",
                content=msgspec.json.encode(registration),
                headers={"content-type": "application/json"},
            )

    def url_of(self, chunk_index: int) -> str:
        """The address of one chunk."""
        return f"{self.base_url}/api/recordings/{self.recording_id}/chunks/{chunk_index}"

    def send(self, chunk_index: int, body: bytes, timeout_s: float = ANSWER_S_MAX) -> httpx.Response:
        """One PUT; a receipt is kept. Raises `httpx.TransportError`."""
        with open_client(timeout_s) as client:
            answer = client.put(self.url_of(chunk_index), content=body, headers=chunk_headers(body))
        if answer.is_success:
            receipt = msgspec.json.decode(answer.content, type=Receipt)
            assert receipt.sha256 == hashlib.sha256(body).hexdigest()
            self.receipts[chunk_index] = (receipt, body)
        return answer

    def delete(self) -> None:
        """Delete the recording."""
        with open_client() as client:
            assert client.delete(f"{self.base_url}/api/recordings/{self.recording_id}").status_code == 204

    def ask(self, chunk_index: int) -> httpx.Response:
        """One GET of the chunk. Raises `httpx.TransportError`."""
        with open_client() as client:
            return client.get(self.url_of(chunk_index))

    def fetch(self, chunk_index: int) -> bytes:
        """The chunk's bytes as the server gives them back."""
        answer = self.ask(chunk_index)
        assert answer.status_code == 200, answer.text
        return answer.content

    def check_kept(self, stores: Stores) -> None:
        """Everything that was acknowledged stands once in the ledger, and its bytes in the bucket."""
        rows = stores.chunks(self.recording_id)
        held = {row.chunk_index: row for row in rows}
        assert len(held) == len(rows), "an index stands twice"
        for chunk_index, (receipt, body) in self.receipts.items():
            assert chunk_index in held, f"chunk {chunk_index} was acknowledged and has no row"
            assert (held[chunk_index].state, held[chunk_index].sha256) == ("stored", receipt.sha256)
            assert stores.read(held[chunk_index]) == body


class Sending(threading.Thread):
    """One chunk on its way in a thread; `answer` is None where the connection died."""

    def __init__(self, sender: Sender, chunk_index: int, body: bytes) -> None:
        super().__init__(daemon=True)
        self._arguments = (chunk_index, body)
        self._sender = sender
        self.answer: httpx.Response | None = None

    def run(self) -> None:
        try:
            self.answer = self._sender.send(*self._arguments)
        except httpx.TransportError:
            return


class Streams:
    """Senders of one recording's chunks, each one after another, until told or until none gets through.

    `tried` is all that was sent, whatever came of it.
    """

    def __init__(self, sender: Sender, count: int = 4) -> None:
        self.tried: dict[int, bytes] = {}
        self._sender = sender
        self._is_over = threading.Event()
        self._threads = [
            threading.Thread(target=self._send, args=(first, count), daemon=True) for first in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        """Start no other chunk, and return when the last answer or failure has come."""
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _send(self, first: int, step: int) -> None:
        index = first
        while not self._is_over.is_set():
            body = self.tried[index] = make_chunk(index)
            try:
                if not self._sender.send(index, body).is_success:
                    return
            except httpx.TransportError:
                return
            index += step
