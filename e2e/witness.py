"""An independent copy of every slice, kept outside the browser so that it outlives whatever a story kills."""

import base64
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext

SCRIPT = Path(__file__).with_name("witness.js")


@dataclass
class Take:
    """One MediaRecorder's life as the witness saw it; slices are counted without the empty ones."""

    mime_type: str = ""
    started_at_ms: float | None = None  # performance.now() of its page
    stopped_at_ms: float | None = None
    slice_count: int | None = None  # known once it stopped
    slices: dict[int, bytes] = field(default_factory=dict)

    @property
    def contiguous(self) -> int:
        """How many slices from the first on are here; later ones may have overtaken a missing one."""
        count = 0
        while count in self.slices:
            count += 1
        return count

    @property
    def is_whole(self) -> bool:
        """Whether it stopped and every slice has arrived here."""
        return self.slice_count is not None and self.contiguous == self.slice_count

    @property
    def elapsed_s(self) -> float:
        """From MediaRecorder's `start` event to its `stop` event."""
        assert self.started_at_ms is not None
        assert self.stopped_at_ms is not None
        return (self.stopped_at_ms - self.started_at_ms) / 1000

    def first(self, count: int) -> bytes:
        """The bytes of the first `count` slices. Raises `KeyError` where one is missing."""
        return b"".join(self.slices[n] for n in range(count))

    @property
    def content(self) -> bytes:
        """The bytes of every slice that is here without a gap."""
        return self.first(self.contiguous)


class Witness:
    """Collects the takes of every page of a browser, in the order in which their recorders first spoke."""

    def __init__(self) -> None:
        self.takes: list[Take] = []
        self._take_of: dict[tuple[str, int], Take] = {}

    def attach(self, context: BrowserContext) -> None:
        """Before the first page of the product is opened in the context."""
        context.expose_binding("holdfastWitness", lambda _source, said: self._hear(said))
        context.add_init_script(path=SCRIPT)

    def _hear(self, said: dict[str, Any]) -> None:
        key = said["pageLoad"], said["recorder"]
        take = self._take_of.get(key)
        if take is None:
            take = self._take_of[key] = Take()
            self.takes.append(take)
        match said["kind"]:
            case "start":
                take.started_at_ms, take.mime_type = said["atMs"], said["mimeType"]
            case "slice":
                take.slices[said["slice"]] = base64.b64decode(said["base64"])
            case "stop":
                take.stopped_at_ms, take.slice_count = said["atMs"], said["slices"]
