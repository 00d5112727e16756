"""One person's machine: a browser with its profile, tabs with the recorder, and the witness of what was captured."""

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Playwright

from e2e.chromium import FAKE_DEVICES, SPARING, Chromium
from e2e.recorder_page import RecorderPage
from e2e.stores import Stores
from e2e.used_profile import UsedProfile
from e2e.witness import Take, Witness

PROFILE = "profile"


class Machine:
    """Browsers die on it and are started again; profile and witness stay."""

    def __init__(
        self, playwright: Playwright, executable: str, url: str, folder: Path, flags: tuple[str, ...], is_headed: bool
    ) -> None:
        self.url = url
        self.witness = Witness()
        self.browser = Chromium(playwright, executable, folder / PROFILE, flags=flags, is_headed=is_headed)
        self.tabs: list[RecorderPage] = []
        self.init_scripts: list[Path] = []  # run in every page of the browsers that start from now on

    def start_browser(self) -> None:
        """Also after `kill_browser`, on the same profile."""
        context = self.browser.start()
        self.witness.attach(context)
        for script in self.init_scripts:
            context.add_init_script(path=script)

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

    def clear_desk(self) -> None:
        """Close every tab and forget what was witnessed; the browser runs and is online. What a profile holds stays."""
        if not self.browser.is_running:
            self.start_browser()
        for page in self.browser.context.pages[1:]:  # the first is the empty one that keeps the browser open
            page.close()
        self.browser.context.set_offline(False)
        self.browser.console.clear()
        self.tabs.clear()
        self.witness.takes.clear()

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


class MachineRoom:
    """Starts machines, each on a profile of its own. One of them stands for whoever needs nothing special of it."""

    def __init__(
        self,
        playwright: Playwright,
        executable: str,
        url: str,
        make_folder: Callable[[], Path],
        used_profile: UsedProfile,
        is_headed: bool,
    ) -> None:
        self._playwright = playwright
        self._executable = executable
        self._url = url
        self._make_folder = make_folder
        self._used_profile = used_profile
        self._is_headed = is_headed
        self._machines: list[Machine] = []
        self._standing: Machine | None = None

    def start(
        self, flags: tuple[str, ...] = FAKE_DEVICES, folder: Path | None = None, *, is_as_shipped: bool = False
    ) -> Machine:
        """A new machine with its browser started, on a disk of its own if a folder is given.

        It has opened the page before and recorded nothing, and spares what work it can; `is_as_shipped` is a new
        profile and a browser with all its compilers, for whoever measures.
        """
        folder = folder or self._make_folder()
        if not is_as_shipped:
            self._used_profile.lay_out(self._playwright, folder / PROFILE)
            flags = (*flags, *SPARING)
        machine = Machine(self._playwright, self._executable, self._url, folder, flags, self._is_headed)
        self._machines.append(machine)
        machine.start_browser()
        return machine

    def standing(self) -> Machine:
        """The one that stands, started when there is none."""
        if self._standing is None:
            self._standing = self.start()
        return self._standing

    def put_away(self, machine: Machine) -> None:
        """Kill its browser; nobody gets it again."""
        machine.browser.kill()
        self._machines.remove(machine)
        if machine is self._standing:
            self._standing = None

    def put_all_away(self) -> None:
        """Kill every browser of this room."""
        for machine in list(self._machines):
            self.put_away(machine)


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
