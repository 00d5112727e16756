"""One person's machine: a browser with its profile, tabs with the recorder, and the witness of what was captured."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Playwright

from e2e.chromium import FAKE_DEVICES, Chromium
from e2e.recorder_page import RecorderPage
from e2e.stores import Stores
from e2e.witness import Take, Witness


class Machine:
    """Browsers die on it and are started again; profile and witness stay."""

    def __init__(
        self, playwright: Playwright, executable: str, url: str, folder: Path, flags: tuple[str, ...], is_headed: bool
    ) -> None:
        self.url = url
        self.witness = Witness()
        self.browser = Chromium(playwright, executable, folder / "profile", flags=flags, is_headed=is_headed)
        self.tabs: list[RecorderPage] = []

    def start_browser(self) -> None:
        """Also after `kill_browser`, on the same profile."""
        self.witness.attach(self.browser.start())

    def kill_browser(self) -> None:
        """SIGKILL, with everything it started."""
        self.browser.kill()
        self.tabs.clear()

    def kill_tabs(self) -> None:
        """SIGKILL every renderer, and put the broken tabs away."""
        self.browser.kill_renderers()
        for tab in self.tabs:
            tab.page.close()
        self.tabs.clear()

    def open_tab(self, **settings: int | str) -> RecorderPage:
        """A new tab with the recorder, ready to record."""
        return self.new_tab().open(**settings)

    def new_tab(self) -> RecorderPage:
        """A new tab, still empty."""
        tab = RecorderPage(self.browser.new_page(), self.url)
        self.tabs.append(tab)
        return tab

    def record(self, tab: RecorderPage, source: str = "") -> tuple[str, Take]:
        """Press Record in the tab; the recording's id, and the take in which the witness collects its slices."""
        before = len(self.witness.takes)
        recording_id = tab.record(source)
        tab.wait(lambda: len(self.witness.takes) > before, "MediaRecorder to start")
        return recording_id, self.witness.takes[-1]


@contextmanager
def running_machine(
    playwright: Playwright,
    executable: str,
    url: str,
    folder: Path,
    *,
    flags: tuple[str, ...] = FAKE_DEVICES,
    is_headed: bool = False,
) -> Iterator[Machine]:
    """A machine with its browser started; whatever runs at the end is killed."""
    machine = Machine(playwright, executable, url, folder, flags, is_headed)
    try:
        machine.start_browser()
        yield machine
    finally:
        machine.browser.kill()


# -- what every story of a death asks


def watch_until_saved(tab: RecorderPage, take: Take, at_least: int) -> int:
    """Look at the page until it shows so many slices as saved; the number shown at the last look.

    The witness holds every one of them then, so that the promise can be checked byte for byte. The
    caller kills at once.
    """

    def last_look() -> int:
        saved = tab.count("slices-durable")
        return saved if at_least <= saved <= take.contiguous else 0

    return tab.wait(last_look, f"{at_least} slices shown as saved")


def assert_kept(stores: Stores, recording_id: str, take: Take, promised: int) -> bytes:
    """The bucket holds, acknowledged, the first `promised` slices, then at most what MediaRecorder gave next.

    Never a torn slice, never a strange byte. Returns what is held.
    """
    held = stores.read_recording(recording_id)
    shown_as_saved = take.first(promised)
    assert held[: len(shown_as_saved)] == shown_as_saved, (
        f"{promised} slices ({len(shown_as_saved)} bytes) were shown as saved; the bucket's {len(held)} bytes differ"
    )
    witnessed = take.content
    common = min(len(held), len(witnessed))
    assert held[:common] == witnessed[:common], "the bucket holds bytes that MediaRecorder never gave in this order"
    if len(held) < len(witnessed):
        ends = {sum(len(take.slices[n]) for n in range(count)) for count in range(take.contiguous + 1)}
        assert len(held) in ends, "the bucket's bytes end in the middle of a slice"
    return held
