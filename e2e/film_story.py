"""The README's animation, filmed as it happens: one recording, from the check to the day after (`make pictures`).

Frames go into HOLDFAST_SCREENSHOTS/story, FRAMES_PER_S for a second of the animation, however long the page took for
them; what is said in it stands on the page while it is filmed.
"""

import pytest
from playwright.sync_api import Page

from e2e.looks import FOLDER as PICTURES
from e2e.looks import hide_scroll_bars
from e2e.machine import Machine, watch_until_saved
from e2e.network_gate import drop_api
from e2e.recorder_page import RecorderPage
from e2e.service import Service
from scripts.make_pictures import FRAMES_PER_S

FOLDER = PICTURES / "story"
SIDE = {"width": 940, "height": 940}  # little more than the page is wide, so that its words can be read
KEPT = {"keep_verified_s": 3_600}
# Above the page, and above its dialogs.
_CAPTION = """
(words) => {
    let caption = document.getElementById("film-caption");
    if (!caption) {
        caption = document.createElement("div");
        Object.assign(caption, { id: "film-caption", popover: "manual" });
        Object.assign(caption.style, {
            position: "fixed", inset: "auto 0 0 0", width: "100%", border: "0", padding: "13px 24px",
            background: "#0f5c5c", color: "#ffffff", font: "600 25px system-ui, sans-serif", textAlign: "center",
        });
        document.body.append(caption);
    }
    caption.textContent = words;
    // So low that the path of the bytes stands above the caption.
    document.getElementById("preview")?.style.setProperty("max-height", "17rem");
    if (caption.matches(":popover-open")) caption.hidePopover();
    caption.showPopover();
}
"""
_DARK = """
<body style="margin: 0; display: grid; place-items: center; min-height: 100vh; background: #101416; color: #e9eceb">
<pre style="font-size: 32px">$ kill -9 chromium
Killed</pre>
"""


class Film:
    """Frames one after the other in one folder."""

    def __init__(self) -> None:
        FOLDER.mkdir(parents=True, exist_ok=True)
        for frame in FOLDER.glob("*.png"):
            frame.unlink()
        self._count = 0

    def shoot(self, page: Page, words: str, seconds: float) -> None:
        """So many seconds of the animation."""
        for _ in range(round(seconds * FRAMES_PER_S)):
            page.evaluate(_CAPTION, words)
            page.screenshot(path=FOLDER / f"{self._count:03}.png")
            self._count += 1


def new_tab(machine: Machine) -> RecorderPage:
    tab = machine.new_tab()
    tab.page.set_viewport_size(SIDE)  # type: ignore[arg-type]
    hide_scroll_bars(tab.page)
    return tab


@pytest.mark.timeout(900)
def test_the_story_is_filmed(service: Service, machine: Machine) -> None:
    film = Film()
    tab = new_tab(machine)
    tab.open(**KEPT)
    tab.choose("camera")
    tab.page.get_by_test_id("check").click()
    tab.wait(lambda: "Sound is coming in" in tab.words, "the sound")
    film.shoot(tab.page, "Picture and sound are proved before you record.", 2.4)
    tab.page.get_by_test_id("check").click()
    recording_id, take = machine.record(tab)
    film.shoot(tab.page, "Each slice is on this device's disk before it is sent.", 3.4)
    service.gate.rule = drop_api
    tab.wait(lambda: tab.page.get_by_test_id("calm").is_visible(), "the words about the server")
    film.shoot(tab.page, "The network goes away. Recording goes on.", 3.2)
    promised = watch_until_saved(tab, take, 20)
    machine.kill_browser()

    machine.start_browser()
    dark = machine.browser.new_page()
    dark.set_viewport_size(SIDE)  # type: ignore[arg-type]
    dark.set_content(_DARK)
    film.shoot(dark, "The browser is killed, in the middle of it.", 2.0)
    tab = new_tab(machine)
    tab.open(**KEPT)
    tab.wait(lambda: tab.page.get_by_test_id("earlier").is_visible(), "the words about earlier recordings")
    film.shoot(tab.page, "The next day the page is opened again.", 2.4)
    service.gate.back()
    film.shoot(tab.page, "What was saved arrives by itself.", 2.2)
    tab.wait_for_row(recording_id, "complete", limit_s=120)
    tab.wait(lambda: tab.row(recording_id).locator(".row-poster").count() == 1, "its poster", limit_s=90)
    film.shoot(tab.page, "Every byte is verified: it has its certificate.", 2.0)
    tab.row(recording_id).get_by_test_id("play").click()
    tab.wait(lambda: tab.page.evaluate("() => document.querySelector('[data-testid=media]')?.currentTime > 0"), "it")
    film.shoot(tab.page, "And it plays, up to the moment of the kill.", 2.4)
    held = service.stores.read_recording(recording_id)
    assert held[: len(take.first(promised))] == take.first(promised)
