"""The page in its states, as pictures, those of the README among them (`make pictures`)."""

from collections.abc import Callable
from pathlib import Path

from e2e.chromium import REFUSED
from e2e.looks import DESK, take_pictures
from e2e.machine import Machine, watch_until_saved
from e2e.service import Service


def test_the_page_can_be_seen_in_each_of_its_states(service: Service, start_machine: Callable[..., Machine]) -> None:
    taken: list[Path] = []
    machine = start_machine(is_as_shipped=True)
    tab = machine.new_tab()

    def take_picture(name: str) -> None:
        taken.extend(take_pictures(tab.page, name))

    tab.page.set_viewport_size(DESK)
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
    tab = refused.open_tab()
    tab.page.get_by_test_id("record").click()
    tab.page.get_by_test_id("problem").wait_for(state="visible")
    tab.wait_for_state("ready", "idle")
    tab.wait(lambda: "recording" not in tab.rows.values(), "no row to be left of it")
    take_picture("permission-refused")
    assert taken, "say in HOLDFAST_SCREENSHOTS where the pictures go"
    assert all(path.stat().st_size > 1_000 for path in taken)
