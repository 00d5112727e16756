"""The page in its states, as pictures for the README: into HOLDFAST_SCREENSHOTS (default .build/screenshots)."""

import os
from collections.abc import Callable
from pathlib import Path

from e2e.chromium import REFUSED
from e2e.machine import Machine, watch_until_saved
from e2e.recorder_page import RecorderPage
from e2e.service import Service

FOLDER = Path(os.environ.get("HOLDFAST_SCREENSHOTS", ".build/screenshots"))
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
# Without a wish for pictures one of each state is enough to know that it can be drawn.
LOOKS = [("", "light", DESK)]
if "HOLDFAST_SCREENSHOTS" in os.environ:
    LOOKS += [("-dark", "dark", DESK), ("-phone", "light", PHONE), ("-phone-dark", "dark", PHONE)]


def new_tab(machine: Machine) -> RecorderPage:
    """Without scroll bars: else a picture of the whole page is as much narrower as one is wide, and is cut there."""
    tab = machine.new_tab()
    tab.page.context.new_cdp_session(tab.page).send("Emulation.setScrollbarsHidden", {"hidden": True})
    return tab


def test_the_page_can_be_seen_in_each_of_its_states(service: Service, start_machine: Callable[..., Machine]) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    taken: list[str] = []
    machine = start_machine(is_as_shipped=True)
    tab = new_tab(machine)

    def take_picture(name: str) -> None:
        for look, scheme, size in reversed(LOOKS):
            tab.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            tab.page.set_viewport_size(size)  # type: ignore[arg-type]
            tab.page.screenshot(path=FOLDER / f"{name}{look}.png", full_page=True)
            taken.append(f"{name}{look}")

    tab.page.set_viewport_size(DESK)  # type: ignore[arg-type]
    tab.visit(keep_verified_s=3_600)
    take_picture("loading")
    tab.wait_for_state("ready", "idle", limit_s=90)
    take_picture("ready")
    tab.choose("camera")
    tab.page.get_by_test_id("check").click()
    tab.wait(lambda: tab.page.get_by_test_id("preview").is_visible(), "the picture")
    tab.wait(lambda: "Sound is coming in" in tab.words, "the sound")
    take_picture("check")
    tab.page.get_by_test_id("check").click()
    tab.page.get_by_test_id("choose-countdown").select_option("10")
    tab.page.get_by_test_id("record").click()
    tab.wait(lambda: tab.page.get_by_test_id("countdown").is_visible(), "the countdown")
    take_picture("countdown")
    tab.page.get_by_test_id("cancel").click()
    tab.wait_for_state("ready", "idle")
    begun = {"recording", "saved", "uploading"}  # the list also holds what others recorded
    tab.wait(lambda: not begun & set(tab.rows.values()), "nothing of a recording that never began")
    tab.page.get_by_test_id("choose-countdown").select_option("0")
    tab.page.get_by_test_id("help").click()
    take_picture("help")
    tab.page.keyboard.press("Escape")
    tab.choose("microphone")
    first, take = machine.record(tab)
    watch_until_saved(tab, take, 20)
    take_picture("recording")
    tab.stop()
    tab.wait_for_row(first, "complete")
    first, take = machine.record(tab, "camera")
    watch_until_saved(tab, take, 20)
    take_picture("recording-camera")
    tab.pause()
    tab.wait(lambda: tab.shown.get("paused") == "true", "the pause")
    take_picture("paused")
    tab.stop()
    tab.wait_for_row(first, "complete")
    take_picture("complete")

    service.gate.away()
    machine.browser.context.set_offline(True)
    second, take = machine.record(tab)
    watch_until_saved(tab, take, 10)
    take_picture("recording-offline")
    tab.stop()
    tab.wait_for_row(second, "saved", "uploading")
    take_picture("saved-offline")
    machine.browser.context.set_offline(False)
    tab.wait(lambda: tab.shown["online"] == "true", "the page to notice")
    take_picture("server-away")
    service.gate.back()
    tab.wait_for_row(second, "complete", limit_s=120)

    tab.wait(
        lambda: tab.row(first).locator(".row-poster").count() == 1, "the poster of the camera's recording", limit_s=90
    )
    tab.wait(lambda: tab.row(second).locator(".row-poster, .row-peaks").count() == 1, "the second one's", limit_s=90)
    take_picture("list")

    refused = start_machine(flags=REFUSED)
    tab = new_tab(refused).open()
    tab.page.get_by_test_id("record").click()
    tab.page.get_by_test_id("problem").wait_for(state="visible")
    tab.wait_for_state("ready", "idle")
    tab.wait(lambda: "recording" not in tab.rows.values(), "no row to be left of it")
    take_picture("permission-refused")
    assert all((FOLDER / f"{name}.png").stat().st_size > 1_000 for name in taken)
