"""What people do with the page, from their first click on: real server, real media, real Chromium."""

from pathlib import Path

from playwright.sync_api import Page

from e2e.looks import settle, take_pictures
from e2e.machine import Machine, watch_until_saved
from e2e.network_gate import drop_api
from e2e.service import Service

# The list at the head of what is seen.
_TO_LIST = "() => document.getElementById('recordings-section').scrollIntoView()"
KEPT = {"keep_verified_s": 3_600}


def show_list(page: Page) -> None:
    """Where a picture is taken of what is below the fold."""
    page.evaluate(_TO_LIST)
    settle(page)


def played_s(page: Page) -> float:
    """How far the player has come; 0 while it has nothing."""
    return float(page.evaluate("() => document.querySelector('[data-testid=media]')?.currentTime ?? 0"))


def test_a_newcomer_records_and_watches_it_with_three_clicks(service: Service, machine: Machine) -> None:
    tab = machine.open_tab(**KEPT)
    page = tab.page
    page.get_by_test_id("record").click()
    tab.wait_for_count("slices-durable", 20)
    recording_id = tab.recording_id
    page.get_by_test_id("stop").click()
    tab.wait_for_state("idle")
    tab.row(recording_id).get_by_test_id("play").click()
    tab.wait(lambda: played_s(page) > 0.5, "it to play")
    take_pictures(tab.page, "player", is_full=False)
    page.get_by_test_id("close").click()

    # Whoever comes back later finds it whole: certified, with its length, and it can be sought in.
    tab.wait_for_row(recording_id, "complete")
    tab.wait(lambda: "00:0" in tab.row(recording_id).inner_text(), "its length")
    tab.wait(lambda: tab.row(recording_id).locator(".row-peaks").count() == 1, "its waveform", limit_s=90)
    tab.row(recording_id).get_by_test_id("certificate").click()
    tab.wait(lambda: "Root of the digests" in tab.words, "the certificate")
    take_pictures(tab.page, "certificate", is_full=False)
    page.keyboard.press("Escape")
    tab.row(recording_id).get_by_test_id("play").click()
    media = page.get_by_test_id("media")
    tab.wait(lambda: media.evaluate("(media) => Number.isFinite(media.duration) && media.duration"), "its duration")
    middle = media.evaluate("(media) => (media.currentTime = media.duration / 2)")
    tab.wait(lambda: played_s(page) >= middle and not media.evaluate("(media) => media.seeking"), "the middle")


def test_a_recording_is_watched_while_it_is_still_being_made(service: Service, machine: Machine) -> None:
    tab = machine.open_tab(**KEPT)
    recording_id, take = machine.record(tab, "camera")
    watch_until_saved(tab, take, 20)
    tab.wait_for_count("chunks-sealed", 3)
    tab.row(recording_id).get_by_test_id("play").click()
    tab.wait(lambda: played_s(tab.page) > 0.3, "it to play")
    assert "Still being recorded" in tab.words
    captured = tab.count("slices-captured")
    tab.wait(lambda: tab.count("slices-durable") > captured + 10, "recording to go on")
    take_pictures(tab.page, "played-while-recording", is_full=False)
    tab.page.get_by_test_id("close").click()
    tab.stop()
    tab.wait_for_row(recording_id, "complete")
    assert service.stores.read_recording(recording_id) == take.content


def test_a_deletion_is_undone_and_another_is_not(service: Service, machine: Machine) -> None:
    tab = machine.open_tab(undo_s=4, **KEPT)
    recording_id, take = machine.record(tab)
    watch_until_saved(tab, take, 5)
    tab.stop()
    tab.wait_for_row(recording_id, "complete")
    tab.delete(recording_id)
    tab.wait(lambda: recording_id not in tab.rows, "the row to go")
    tab.page.get_by_test_id("undo").click()
    tab.wait_for_row(recording_id, "complete")
    assert service.stores.recording_state(recording_id) == "complete"
    tab.delete(recording_id)
    tab.wait(lambda: service.stores.recording_state(recording_id) == "deleted", "the ledger to hold the tombstone")
    tab.wait(lambda: recording_id not in tab.rows, "nothing of it")


def test_a_full_disk_is_an_alarm_that_says_what_to_do_and_offers_a_file(service: Service, machine: Machine) -> None:
    tab = machine.open_tab(chunk_bytes=1_048_576, chunk_ms=2_000, **KEPT)
    service.gate.away()  # nothing can be cleared meanwhile
    # The browser grants a file its room a MiB at a time; a picture fills that in seconds.
    tab.choose("camera")
    tab.page.get_by_test_id("choose-quality").select_option("high")
    recording_id, take = machine.record(tab)
    watch_until_saved(tab, take, 10)
    session = tab.page.context.new_cdp_session(tab.page)
    # As much as is used already: not one byte more.
    session.send("Storage.overrideQuotaForOrigin", {"origin": service.url, "quotaSize": 1})
    alarm = tab.page.get_by_test_id("alarm")
    tab.wait(lambda: alarm.is_visible() and "full" in alarm.inner_text(), "the alarm")
    tab.wait(lambda: "keep this tab open" in tab.page.get_by_test_id("verdict").inner_text(), "the words to wait")
    tab.wait(lambda: tab.page.locator("#keep-file").is_visible(), "the offer of a file")
    take_pictures(tab.page, "full-disk")
    # The file holds exactly what is in this tab's memory alone, so that nothing is lost whatever comes.
    with tab.page.expect_download() as download:
        tab.page.locator("#keep-file").click()
    kept = Path(download.value.path()).read_bytes()
    saved = take.first(tab.count("slices-durable"))
    assert take.content[len(saved) :].startswith(kept)
    assert len(kept) > 0
    # With room again the alarm ends by itself, and everything reaches the bucket.
    session.send("Storage.overrideQuotaForOrigin", {"origin": service.url})
    tab.wait(lambda: not alarm.is_visible(), "the end of the alarm")
    service.gate.back()
    tab.stop()
    tab.wait_for_row(recording_id, "complete")
    tab.wait(lambda: take.is_whole, "the witness to have every slice")
    assert service.stores.read_recording(recording_id) == take.content


def test_the_laptop_is_closed_and_the_next_day_brings_everything_by_itself(service: Service, machine: Machine) -> None:
    # Given an outage and two recordings, the second cut off by the lid
    tab = machine.open_tab(**KEPT)
    service.gate.rule = drop_api
    first, take = machine.record(tab)
    watch_until_saved(tab, take, 10)
    take_pictures(tab.page, "recording-in-an-outage")
    assert not tab.page.get_by_test_id("alarm").is_visible()
    tab.stop()
    second, take = machine.record(tab)
    promised = watch_until_saved(tab, take, 10)
    machine.kill_browser()

    # When the page is opened the next day, then it says what it does and needs nothing
    machine.start_browser()
    tab = machine.open_tab(**KEPT)
    earlier = tab.page.get_by_test_id("earlier")
    tab.wait(lambda: earlier.is_visible() and "2 recordings from earlier" in earlier.inner_text(), "the words")
    take_pictures(tab.page, "recovering")
    service.gate.back()
    for recording_id in (first, second):
        tab.wait_for_row(recording_id, "complete", limit_s=120)
    tab.wait(lambda: not earlier.is_visible(), "nothing more to say")
    assert service.stores.read_recording(second)[: len(take.first(promised))] == take.first(promised)


def test_five_thousand_recordings_are_found_and_the_page_stays_light(service: Service, machine: Machine) -> None:
    with service.stores.more_recordings(5_000, title="Lecture"):
        tab = machine.open_tab(**KEPT)
        page = tab.page
        tab.wait(lambda: len(tab.rows) >= 30, "the first rows")
        page.get_by_test_id("search").fill("lecture 1017")
        tab.wait(lambda: page.get_by_text("Lecture 1017", exact=True).count() == 1, "an old one")
        # The server found it: it did not have to be looked for in fifty pages.
        assert page.get_by_test_id("more").is_visible()
        page.get_by_test_id("search").fill("")
        tab.wait(lambda: len(tab.rows) >= 30, "all of them again")
        # Its oldest day, which no scrolling has reached, is found by that day; those that are complete are others.
        page.get_by_text("Filter", exact=True).click()
        page.get_by_test_id("filter-to").fill("2020-01-01")
        tab.wait(lambda: page.get_by_text("Lecture 1439", exact=True).count() == 1, "the newest of that day")
        page.get_by_test_id("filter-state").select_option(label="Not finished")
        take_pictures(page, "search", is_full=False, settled=show_list)
        for _ in range(3):
            page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
            tab.wait(lambda: len(tab.rows) <= 200, "a document that stays small")
        page.get_by_test_id("filter-state").select_option(label="Complete")
        tab.wait(lambda: tab.rows == {} and not page.get_by_test_id("more").is_visible(), "none of them")
        page.close()
