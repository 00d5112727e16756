"""What a story sees, as pictures: into HOLDFAST_SCREENSHOTS, each in every look. Where nobody asked for them: none.

A look is a colour scheme and a size; the standing page takes them one after the other, and is left as it began.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Page

IS_WANTED: Final = "HOLDFAST_SCREENSHOTS" in os.environ
FOLDER: Final = Path(os.environ.get("HOLDFAST_SCREENSHOTS", ".build/screenshots"))
DESK: Final[Any] = {"width": 1280, "height": 900}
_PHONE: Final[Any] = {"width": 390, "height": 844}
_NARROW: Final[Any] = {"width": 320, "height": 640}
# How the name of the picture ends; the first is the look in which a page is left.
LOOKS: Final[list[tuple[str, Any, Any]]] = [
    ("", "light", DESK),
    ("-dark", "dark", DESK),
    ("-phone", "light", _PHONE),
    ("-phone-dark", "dark", _PHONE),
    ("-narrow", "light", _NARROW),
]
# Charts and observers have drawn themselves anew.
_TWO_FRAMES = "() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))"


def hide_scroll_bars(page: Page) -> None:
    """Else a picture of the whole page is as much narrower as one is wide, and is cut there."""
    page.context.new_cdp_session(page).send("Emulation.setScrollbarsHidden", {"hidden": True})


def settle(page: Page) -> None:
    """Let the page draw itself anew."""
    page.evaluate(_TWO_FRAMES)


def take_pictures(
    page: Page, name: str, *, is_full: bool = True, settled: Callable[[Page], object] = settle
) -> list[Path]:
    """The page as it is now, in every look; `is_full`: with what is below the fold. Nothing where nobody asked."""
    if not IS_WANTED:
        return []
    hide_scroll_bars(page)
    return [_take(page, name, look, is_full, settled) for look in reversed(LOOKS)]


def _take(page: Page, name: str, look: tuple[str, Any, Any], is_full: bool, settled: Callable[[Page], object]) -> Path:
    ending, scheme, size = look
    FOLDER.mkdir(parents=True, exist_ok=True)
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size(size)
    settled(page)
    path = FOLDER / f"{name}{ending}.png"
    page.screenshot(path=path, full_page=is_full)
    return path
