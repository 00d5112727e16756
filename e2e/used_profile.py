"""A profile whose browser has opened the recorder before, as of one who comes back, laid out anew for each machine.

The first opening loads and compiles the runtime, which takes three times as much work as every later one. Stories
that are not about that opening begin after it; their profiles hold the kept page and nothing that was recorded.
"""

import shutil
from pathlib import Path

from playwright.sync_api import Playwright

from e2e.chromium import Chromium
from e2e.recorder_page import READY_LIMIT_S, RecorderPage

# What says that a browser runs on the profile, and where.
_OF_A_RUNNING_BROWSER = ("Singleton*", "DevToolsActivePort")


class UsedProfile:
    """Made when the first machine asks for it; `url` is where its browser has been."""

    def __init__(self, executable: str, url: str, folder: Path) -> None:
        self._executable = executable
        self._url = url
        self._profile = folder / "profile"

    def lay_out(self, playwright: Playwright, profile: Path) -> None:
        """Fill the folder `profile`, which must not exist yet."""
        if not self._profile.exists():
            self._make(playwright)
        shutil.copytree(self._profile, profile, ignore=shutil.ignore_patterns(*_OF_A_RUNNING_BROWSER))

    def _make(self, playwright: Playwright) -> None:
        browser = Chromium(playwright, self._executable, self._profile)
        browser.start()
        tab = RecorderPage(browser.new_page(), self._url).open()
        tab.wait(lambda: tab.shown["offline-use"] == "ready", "the page to be kept", READY_LIMIT_S)
        browser.close()
