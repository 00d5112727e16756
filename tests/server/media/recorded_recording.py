"""A recording of media in a running application: sent in chunks, completed, and made on demand."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from protocol.checksums import format_content_digest
from protocol.wire import Media
from server.media.maker import Maker
from server.media.shelf import media_of
from server.storage.media_ledger import StoredMedia
from tests.server.stack import Stack, media_ledger_of


@dataclass
class Take:
    """This stack's recording, chunk by chunk: (run, bytes)."""

    stack: Stack
    folder: Path
    chunks: list[tuple[int, bytes]] = field(default_factory=list)

    async def begin(self, mime_type: str = "audio/webm;codecs=opus", title: str | None = "A take") -> None:
        """Register it."""
        assert (await self.stack.register(mime_type=mime_type, title=title)).status_code == 201

    async def send(self, body: bytes, *, run: int = 0, pieces: int = 3) -> None:
        """Send the bytes of a run, or of more of it, in so many chunks."""
        step = max(1, -(-len(body) // pieces))
        for begin in range(0, len(body), step):
            piece = body[begin : begin + step]
            headers = {
                "Content-Digest": format_content_digest(hashlib.sha256(piece).digest()),
                "Chunk-Run": str(run),
            }
            path = f"{self.stack.path}/chunks/{len(self.chunks)}"
            answer = await self.stack.client.put(path, content=piece, headers=headers)
            assert answer.status_code == 201, answer.text
            self.chunks.append((run, piece))

    async def complete(self, mime_types: Sequence[str] = ("audio/webm",)) -> None:
        """Close it; `mime_types` by run."""
        manifest = {
            "runs": [{"run": run, "mime_type": mime_type} for run, mime_type in enumerate(mime_types)],
            "chunks": [
                {"run": run, "chunk_index": index, "size": len(body), "sha256": hashlib.sha256(body).hexdigest()}
                for index, (run, body) in enumerate(self.chunks)
            ],
            "ended": "stopped",
        }
        answer = await self.stack.client.post(f"{self.stack.path}/complete", json=manifest)
        assert answer.status_code == 200, answer.text

    def maker(self) -> Maker:
        """One that works in this test's folder."""
        ledger = media_ledger_of(self.stack.ledger)
        return Maker(ledger, self.stack.store, self.stack.parts.reader, self.folder)

    async def make(self) -> StoredMedia:
        """Make it now; what counts then."""
        made = await self.maker().make(self.stack.recording_id)
        assert made is not None
        assert not any(self.folder.iterdir()), "the folder of a making goes with it"
        return made

    async def media(self) -> Media:
        """What the recording's description says was made."""
        recording = await self.stack.ledger.find_recording(self.stack.recording_id)
        assert recording is not None
        media = media_of(recording)
        assert media is not None
        return media

    async def get(self, what: str = "media", **headers: str) -> httpx.Response:
        """GET of media, peaks or poster; the names of headers with `_`."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.stack.client.get(f"{self.stack.path}/{what}", headers=given)


async def record_take(
    stack: Stack, folder: Path, *runs: bytes, mime_type: str = "audio/webm", is_complete: bool = True
) -> Take:
    """A recording of these runs."""
    take = Take(stack, folder)
    folder.mkdir(exist_ok=True)
    await take.begin(mime_type)
    for run, body in enumerate(runs):
        await take.send(body, run=run)
    if is_complete:
        await take.complete([mime_type] * len(runs))
    return take
