"""A real Chromium that a story can kill: own process group, own persistent profile, driven over CDP.

Playwright's own launcher hides the process and its default contexts keep OPFS in memory; so the
browser is started here, Playwright only connects, and what dies is exactly what a user could lose.
"""

import contextlib
import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page, Playwright

from tests.integration.processes import descendants_of, is_alive, kill_process, wait_until

START_LIMIT_S = 60.0
END_LIMIT_S = 60.0

ALWAYS = (
    "--no-first-run",
    "--no-default-browser-check",
    "--hide-crash-restore-bubble",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--password-store=basic",
    "--use-mock-keychain",
    "--window-size=1280,900",
    "--lang=en-US",
)
FAKE_DEVICES = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
NO_MICROPHONE = ("--use-fake-ui-for-media-stream", "--disable-audio-input")
NO_CAMERA = ("--use-fake-device-for-media-stream=device-count=0", "--use-fake-ui-for-media-stream")
ASKING = ("--use-fake-device-for-media-stream",)  # what a page may use is its permissions' matter
REFUSED = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream=deny")
# Each tab would compile Python's hot paths once more for a story of seconds: a quarter of all its work.
LIFTOFF_ONLY = "--js-flags=--liftoff-only"
# And each start would open two pages of the address bar's own, which nobody sees: half of what a start costs.
SPARING = (LIFTOFF_ONLY, "--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup")


def playing(wav: Path) -> tuple[str, ...]:
    """Fake devices whose microphone plays the file once, from the moment it is opened, then silence."""
    return (*FAKE_DEVICES, f"--use-file-for-fake-audio-capture={wav}%noloop")


@dataclass
class Chromium:
    """One browser at a time on one profile; `start` after `kill` is the next day on the same machine."""

    playwright: Playwright
    executable: str
    profile: Path
    flags: tuple[str, ...] = FAKE_DEVICES
    is_headed: bool = False
    console: list[str] = field(default_factory=list)
    _process: "subprocess.Popen[bytes] | None" = None
    _browser: Browser | None = None

    @property
    def is_running(self) -> bool:
        """Whether it was started and not killed since."""
        return self._process is not None

    @property
    def context(self) -> BrowserContext:
        """The profile's own context."""
        assert self._browser is not None, "start the browser first"
        return self._browser.contexts[0]

    def start(self) -> BrowserContext:
        """Start the browser on the profile and connect. Raises `RuntimeError` with its last words if it does not."""
        assert self._process is None, "this browser runs already"
        self.profile.mkdir(parents=True, exist_ok=True)
        port_file = self.profile / "DevToolsActivePort"
        port_file.unlink(missing_ok=True)
        log = self.profile.parent / f"{self.profile.name}.chromium.log"
        sandbox = ("--no-sandbox",) if os.geteuid() == 0 else ()
        head = () if self.is_headed else ("--headless=new",)
        with log.open("ab") as sink:
            self._process = subprocess.Popen(
                [
                    self.executable,
                    f"--user-data-dir={self.profile}",
                    "--remote-debugging-port=0",
                    *ALWAYS,
                    *sandbox,
                    *head,
                    *self.flags,
                    "about:blank",
                ],
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )
        try:
            address = self._wait_for_address(port_file)
            self._browser = self.playwright.chromium.connect_over_cdp(address, timeout=START_LIMIT_S * 1000)
        except Exception as error:
            self.kill()
            last_words = log.read_text(errors="replace")[-2_000:]
            raise RuntimeError(f"{self.executable} did not start: {error}\n{last_words}") from error
        context = self.context
        context.on("console", lambda message: self.console.append(f"{message.type}: {message.text}"))
        context.on("weberror", lambda error: self.console.append(f"uncaught: {error.error}"))
        return context

    def renderer_pids(self) -> list[int]:
        """The renderers of this browser, spare ones and those of service workers included."""
        assert self._browser is not None
        session = self._browser.new_browser_cdp_session()
        try:
            processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
        finally:
            session.detach()
        return [p["id"] for p in processes if p["type"] == "renderer"]

    def kill_renderers(self) -> None:
        """SIGKILL every renderer: pages, workers and service workers die in the middle of what they do."""
        pids = self.renderer_pids()
        own = descendants_of(self._pid)
        assert set(pids) <= set(own), f"renderers {pids} do not all descend from our browser {self._pid}"
        kill_all(pids)
        # Until the browser has noticed, it may still put a new page into one of them: its spare one is dead too.
        wait_until(lambda: not set(pids) & set(self.renderer_pids()), "the browser to notice that its renderers ended")

    def kill_service(self, name: str) -> None:
        """SIGKILL the browser's process for a service, such as the one that owns the sound devices."""
        kill_all([pid for pid in descendants_of(self._pid) if f"--utility-sub-type={name}" in _command_of(pid)])

    def take_permission_back(self, name: str, origin: str) -> None:
        """Deny a page what it was granted, as a person does in the address bar."""
        assert self._browser is not None
        session = self._browser.new_browser_cdp_session()
        try:
            session.send("Browser.setPermission", {"permission": {"name": name}, "setting": "denied", "origin": origin})
        finally:
            session.detach()

    def new_private_window(self) -> BrowserContext:
        """A window whose storage is in memory and goes when it is closed."""
        assert self._browser is not None
        return self._browser.new_context()

    def kill(self) -> None:
        """SIGKILL the browser and everything it started; a repeat does nothing."""
        if self._process is None:
            return
        # The group is not enough: the crash handler leaves it.
        kill_all([self._process.pid, *descendants_of(self._process.pid)])
        self._process.wait()
        self._process = None
        self._disconnect()

    def close(self) -> None:
        """End it as a person does: what it keeps in its profile is written down first."""
        assert self._browser is not None, "start the browser first"
        assert self._process is not None
        self._browser.new_browser_cdp_session().send("Browser.close")
        self._process.wait(END_LIMIT_S)
        self.kill()

    def new_page(self) -> Page:
        """An empty page of the profile."""
        return self.context.new_page()

    @property
    def _pid(self) -> int:
        assert self._process is not None, "start the browser first"
        return self._process.pid

    def _disconnect(self) -> None:
        browser, self._browser = self._browser, None
        if browser is not None:
            with contextlib.suppress(Exception):  # the connection died with the browser
                browser.close()

    def _wait_for_address(self, port_file: Path) -> str:
        assert self._process is not None
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"it ended at once with status {self._process.returncode}")
            lines = port_file.read_text().splitlines() if port_file.exists() else []
            if len(lines) >= 2:
                return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
            time.sleep(0.05)
        raise RuntimeError(f"no debugging address after {START_LIMIT_S} s")


def _command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:  # it ended meanwhile
        return ""


def kill_all(pids: list[int]) -> None:
    """SIGKILL them, and return when none is left."""
    for pid in pids:
        kill_process(pid)
    wait_until(lambda: not any(map(is_alive, pids)), "killed processes of the browser to end")
