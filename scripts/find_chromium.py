"""Finds the real browser that the end-to-end tests drive, and prints its path.

Usage: python -m scripts.find_chromium [--install]

In this order: $HOLDFAST_CHROMIUM, a Chromium or Chrome of the system, Playwright's own, and with --install
Debian's package where apt may be used. There is no test run without a browser: the message says what to install.
"""

import argparse
import os
import shutil
import sys
from pathlib import Path
from typing import Final

from scripts import debian

_COMMANDS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_MAC_APPLICATIONS: Final = (
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
_PLAYWRIGHT_PATTERNS: Final = (
    "chromium-*/chrome-linux*/chrome",
    "chromium-*/chrome-mac*/*.app/Contents/MacOS/*",
)
_WHAT_TO_INSTALL: Final = (
    "install Chromium (Debian: apt-get install chromium) or Chrome, or run"
    " `.venv/bin/playwright install chromium`, or set HOLDFAST_CHROMIUM to the path of one"
)


class ChromiumMissingError(Exception):
    """There is no browser for the tests; the message says what to install."""


def find_chromium() -> Path:
    """The browser's executable. Raises `ChromiumMissingError`."""
    chosen = os.environ.get("HOLDFAST_CHROMIUM")
    if chosen:
        if not os.access(chosen, os.X_OK):
            raise ChromiumMissingError(f"HOLDFAST_CHROMIUM={chosen} is not an executable file; {_WHAT_TO_INSTALL}")
        return Path(chosen)
    for command in _COMMANDS:
        found = shutil.which(command)
        if found is not None:
            return Path(found)
    for path in (*map(Path, _MAC_APPLICATIONS), *_list_playwright_browsers()):
        if os.access(path, os.X_OK):
            return path
    raise ChromiumMissingError(f"no Chromium or Chrome was found; {_WHAT_TO_INSTALL}")


def find_or_install_chromium() -> Path:
    """Like `find_chromium`, but takes Debian's package where there is none and apt may be used."""
    try:
        return find_chromium()
    except ChromiumMissingError:
        if os.environ.get("HOLDFAST_CHROMIUM") or not debian.may_install():
            raise
    debian.install_packages("chromium", "fonts-dejavu-core", next_step=_WHAT_TO_INSTALL)
    return find_chromium()


def _list_playwright_browsers() -> list[Path]:
    """Newest first."""
    folders = [
        os.environ.get("PLAYWRIGHT_BROWSERS_PATH"),
        "~/.cache/ms-playwright",
        "~/Library/Caches/ms-playwright",
    ]
    found: list[Path] = []
    for folder in filter(None, folders):
        for pattern in _PLAYWRIGHT_PATTERNS:
            found += sorted(Path(folder).expanduser().glob(pattern), reverse=True)
    return found


def main() -> int:
    """Print the path, or say on stderr what to install and return 1."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--install", action="store_true", help="take Debian's package where there is no browser")
    try:
        print(find_or_install_chromium() if parser.parse_args().install else find_chromium())
    except ChromiumMissingError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
