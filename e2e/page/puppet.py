"""The page with a puppet for a worker: every message of the window is recorded, every one to it is the test's."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from e2e.page.built_site import ROOT, bundles_with_worker
from e2e.page.site_server import SiteServer
from e2e.recorder_page import wait_until
from web_build import site as site_layout

RECORDING_ID = "01999999-0000-7000-8000-000000000001"
LIMIT_S = 60.0

# Before the page's own scripts: collects what the puppets report, and which of the messages that they were told to send
# have come to the window.
LISTENER = """
window.heard = [];
window.arrived = [];
let told = 0;
const strings = new BroadcastChannel("puppet");
strings.onmessage = ({ data }) => window.heard.push(data);
window.tell = (to, message, isHung) => {
  strings.postMessage({ to, message: { ...message, told: ++told }, isHung });
  return told;
};
window.MessageChannel = class extends MessageChannel {
  constructor() {
    super();
    this.port1.addEventListener("message", ({ data }) => data.told && window.arrived.push(data.told));
  }
};
"""


def lay_out_puppet_site(built_site: Path, folder: Path, *, worker_begins_with: str = "") -> Path:
    """The built page around the puppet; the runtime's files are empty, because nothing boots them."""
    puppet = (Path(__file__).parent / "puppet_worker.mjs").read_text()
    empty = folder / "empty"
    empty.write_bytes(b"")
    site = folder / "site"
    site.mkdir()
    runtime = dict.fromkeys(site_layout.RUNTIME_FILES, empty)
    site_layout.lay_out(
        site,
        web=ROOT / "web",
        bundles=bundles_with_worker(built_site, folder, worker_begins_with + puppet),
        runtime=runtime,
        wheels={"a.whl": empty},
        lock={"info": {}, "packages": {}},
    )
    return site


def a_view(**changes: Any) -> dict[str, Any]:
    """A View as the worker sends it; `current` may be given as changes of a row."""
    view: dict[str, Any] = {
        "type": "view",
        "state": "ready",
        "isPaused": False,
        "isOnline": True,
        "isRecovering": False,
        "server": "",
        "alarm": "",
        "storage": "",
        "bytesLocal": 0,
        "bytesFreeable": 0,
        "current": None,
        "recordings": [],
    }
    return view | changes


def a_row(**changes: Any) -> dict[str, Any]:
    """A RecordingView."""
    row: dict[str, Any] = {
        "recordingId": RECORDING_ID,
        "state": "recording",
        "title": "",
        "startedAtMs": 1_790_000_000_000,
        "isLive": False,
        "slicesCaptured": 0,
        "slicesDurable": 0,
        "chunksSealed": 0,
        "chunksAcknowledged": 0,
        "chunksVerified": 0,
        "chunksCleared": 0,
        "chunksParked": 0,
        "bytesCaptured": 0,
        "bytesLocal": 0,
        "problem": "",
        "mimeType": "audio/webm;codecs=opus",
        "durationMs": 0,
        "isCertified": False,
        "play": "",
    }
    return row | changes


@dataclass
class Puppet:
    """The worker's strings, and what the window said to it."""

    page: Page
    site: SiteServer

    def heard(self, kind: str, epoch: int = 1) -> list[dict[str, Any]]:
        """The messages of that type which the puppet of that epoch received."""
        everything = self.page.evaluate("() => window.heard")
        return [
            item["message"]
            for item in everything
            if item["from"] == f"holdfast-{epoch}" and item["message"]["type"] == kind
        ]

    def wait_to_hear(self, kind: str, epoch: int = 1, count: int = 1) -> list[dict[str, Any]]:
        """Until so many messages of that type have come."""
        self.wait(lambda: len(self.heard(kind, epoch)) >= count, f"{count} x {kind} in epoch {epoch}")
        return self.heard(kind, epoch)

    def tell(self, message: dict[str, Any], epoch: int = 1, *, is_heard: bool = True, then_hangs: bool = False) -> None:
        """Have the puppet send this to the window, and wait until it came, unless its port is closed by now."""
        told = self.page.evaluate(
            "([to, message, isHung]) => window.tell(to, message, isHung)", [f"holdfast-{epoch}", message, then_hangs]
        )
        if is_heard:
            self.wait(lambda: self.page.evaluate("(told) => window.arrived.includes(told)", told), f"{message} to come")

    def hang(self, epoch: int = 1) -> None:
        """The puppet never comes back from here, as a Python in an endless loop."""
        self.tell({"type": "beat"}, epoch, then_hangs=True)

    @property
    def shown(self) -> dict[str, str]:
        """The root's data-*."""
        read: dict[str, str] = self.page.evaluate("() => ({ ...document.body.dataset })")
        return read

    def words(self, test_id: str) -> str:
        """What an element shows; empty while it is hidden."""
        element = self.page.get_by_test_id(test_id)
        return element.inner_text() if element.is_visible() else ""

    def wait(self, holds: Callable[[], Any], what: str) -> Any:
        """Until the condition holds."""
        return wait_until(
            self.page, holds, what, LIMIT_S, lambda: (self.shown, self.page.evaluate("window.heard")[-5:])
        )

    # -- the worker's part, played straight

    def come_up(self, epoch: int = 1, *, is_kept: bool = False, **view: Any) -> dict[str, Any]:
        """Answer the window's boot as a worker that is ready, all files of the build kept or not; the boot message."""
        boot: dict[str, Any] = self.wait_to_hear("boot", epoch)[0]
        self.tell({"type": "booting", "progress": 0.9, "label": "", "from": "files", "isKept": is_kept}, epoch)
        self.tell(a_view(**view), epoch)
        return boot

    def ask_to_capture(self, *, run: int = 0, slice_number: int = 0, source: str = "microphone") -> None:
        """Have the window record."""
        self.tell(
            {
                "type": "capture-open",
                "recordingId": RECORDING_ID,
                "run": run,
                "source": source,
                "mimeTypes": ["audio/webm;codecs=opus"] if source == "microphone" else ["video/webm"],
                "timesliceMs": 100,
                "sliceNumber": slice_number,
            }
        )

    def open_capture(self, *, run: int = 0, slice_number: int = 0, source: str = "microphone") -> dict[str, Any]:
        """Have the window record, and wait until it shows so; the message that it began."""
        self.ask_to_capture(run=run, slice_number=slice_number, source=source)
        self.wait(lambda: [m for m in self.heard("capture-started") if m["run"] == run], f"run {run} to start")
        self.tell(a_view(state="recording", current=a_row()))
        self.wait(lambda: self.shown["state"] == "recording", "the page to show that it records")
        started: dict[str, Any] = self.heard("capture-started")[-1]
        return started

    def stop_clock(self) -> None:
        """From a moment to come on the window's time stands, but where the test lets it pass."""
        self.page.clock.pause_at(self.page.evaluate("Date.now()") / 1_000 + 1)

    def let_time_pass(self, duration_ms: int, *, beating: int | None = None) -> None:
        """Let the window's clock run, each tick on time; the puppet of epoch `beating` lives meanwhile."""
        for _ in range(duration_ms // 1_000):
            self.page.clock.run_for(1_000)
            if beating is not None:
                self.tell({"type": "beat"}, beating)


def numbers_of(slices: list[dict[str, Any]]) -> list[int]:
    """The numbers of slice messages, in the order in which they were heard."""
    return [message["sliceNumber"] for message in slices]
