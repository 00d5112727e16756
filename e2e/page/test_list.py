"""The list of recordings with a puppet for a worker: one list of two sources, however long, and its rows."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from playwright.sync_api import Locator, Route

from e2e.page.puppet import RECORDING_ID, Puppet, a_row, a_view

ROWS_IN_DOCUMENT_MAX = 200
PAGE_ROWS = 500
HEIGHT = "document.documentElement.scrollHeight"


def id_of(number: int) -> str:
    return f"{RECORDING_ID[:-4]}{number:04d}"


def listed_row(number: int, **changes: Any) -> dict[str, Any]:
    """A row of the server's list; a higher number is older."""
    return a_row(
        recordingId=id_of(number),
        state="complete",
        title=f"Talk {number}",
        startedAtMs=1_780_000_000_000 - number * 60_000,
        bytesCaptured=1_000_000,
        isCertified=True,
        play="server",
        **changes,
    )


def listed(*rows: dict[str, Any], **changes: Any) -> dict[str, Any]:
    message = {"type": "listed", "rows": list(rows), "gone": [], "hasMore": False, "isWaiting": False}
    return message | changes


def row(puppet: Puppet, number: int) -> Locator:
    return puppet.page.locator(f'[data-testid="recordings"] [data-recording-id="{id_of(number)}"]')


def shown(puppet: Puppet) -> list[str]:
    return puppet.page.locator(".row-title").all_inner_texts()


def test_local_recordings_and_the_servers_are_one_list_and_this_devices_word_counts(puppet: Puppet) -> None:
    here = a_row(recordingId=id_of(2), state="uploading", title="Talk 2", startedAtMs=1_780_000_000_000 - 120_000)
    puppet.tell(a_view(recordings=[here]))
    puppet.wait_to_hear("list-more")
    puppet.tell(listed(listed_row(1), listed_row(2), listed_row(3)))
    puppet.wait(lambda: shown(puppet) == ["Talk 1", "Talk 2", "Talk 3"], "one list, newest first")
    puppet.wait(lambda: row(puppet, 2).get_attribute("data-state") == "uploading", "this device's word")
    puppet.tell(listed(gone=[id_of(3)]))
    puppet.wait(lambda: shown(puppet) == ["Talk 1", "Talk 2"], "the row to go")


def test_a_still_that_does_not_come_leaves_no_broken_picture_and_is_asked_for_again(puppet: Puppet) -> None:
    puppet.wait_to_hear("list-more")
    puppet.tell(listed(listed_row(1, hasPoster=True, mimeType="video/webm")))
    still = row(puppet, 1).locator(".row-poster")
    puppet.wait(lambda: "is-missing" in (still.get_attribute("class") or ""), "the still to be missed")
    assert not still.is_visible()
    picture = b'<svg xmlns="http://www.w3.org/2000/svg" width="4" height="3"/>'
    puppet.page.route("**/poster", lambda route: route.fulfill(body=picture, content_type="image/svg+xml"))
    puppet.let_time_pass(15_000)
    puppet.wait(still.is_visible, "the still")


def test_thousands_of_recordings_are_loaded_as_one_scrolls_and_the_document_stays_small(puppet: Puppet) -> None:
    puppet.page.set_viewport_size({"width": 1000, "height": 800})
    total = 5_000
    for asked in range(total // PAGE_ROWS):
        puppet.wait_to_hear("list-more", count=asked + 1)
        first = asked * PAGE_ROWS
        rows = [listed_row(number) for number in range(first, first + PAGE_ROWS)]
        height = puppet.page.evaluate(HEIGHT)
        puppet.tell(listed(*rows, hasMore=first + PAGE_ROWS < total))
        puppet.wait(partial(_is_higher, puppet, height + 5_000), "the rows")
        if asked < 2:  # nobody scrolls: a few screens are enough
            puppet.wait(lambda: len(puppet.heard("list-more")) <= 2, "no page that nobody wants")
        puppet.page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        assert puppet.page.locator(".row").count() <= ROWS_IN_DOCUMENT_MAX
    last = total - 1
    puppet.wait(lambda: row(puppet, last).count() and row(puppet, last).is_visible(), "the oldest recording")
    assert row(puppet, last).get_attribute("aria-setsize") == str(total)
    puppet.page.get_by_test_id("search").fill("talk 4321")
    puppet.wait(lambda: shown(puppet) == ["Talk 4321"], "the one that is sought")
    puppet.page.get_by_test_id("search").fill("")
    puppet.wait(lambda: shown(puppet)[:1] == ["Talk 0"], "all of them again")


def test_a_search_looks_through_the_pages_that_were_never_shown(puppet: Puppet) -> None:
    puppet.wait_to_hear("list-more")
    puppet.tell(listed(*(listed_row(number) for number in range(PAGE_ROWS)), hasMore=True))
    puppet.wait(lambda: len(shown(puppet)) > 10, "the first page")
    puppet.page.get_by_test_id("search").fill("talk 750")
    puppet.wait(lambda: "Looking through older" in puppet.words("more"), "the words that it looks")
    puppet.wait_to_hear("list-more", count=2)
    puppet.tell(listed(*(listed_row(number) for number in range(PAGE_ROWS, 2 * PAGE_ROWS))))
    puppet.wait(lambda: shown(puppet) == ["Talk 750"], "the one that is sought")
    puppet.page.get_by_test_id("search").fill("nothing like it")
    puppet.wait(lambda: "Looking through older" in puppet.words("more"), "the words that it looks")
    puppet.tell(listed())
    puppet.wait(lambda: "No recording matches" in puppet.page.locator("main").inner_text(), "the words")


def test_a_state_and_days_are_sought_here_and_asked_of_the_server(puppet: Puppet) -> None:
    page = puppet.page
    old = {"startedAtMs": 1_600_000_000_000, "title": "An old one", "state": "damaged"}
    rows = [listed_row(1), listed_row(2), listed_row(3) | old]
    puppet.tell(listed(*rows))
    puppet.wait(lambda: len(shown(puppet)) == 3, "the rows")
    page.get_by_text("Filter", exact=True).click()
    page.get_by_test_id("filter-state").select_option(label="Needs a look")
    puppet.wait(lambda: shown(puppet) == ["An old one"], "what needs a look")
    sought = puppet.wait_to_hear("search-list")[-1]
    assert (sought["query"], sought["states"]) == ("", ["stalled", "damaged"])

    # Days, in whichever order they are given, each with all of its hours
    page.get_by_test_id("filter-to").fill("2020-09-12")
    puppet.wait(lambda: shown(puppet) == [], "nothing so old")
    puppet.tell(listed())
    puppet.wait(lambda: "No recording is in this state" in page.locator("main").inner_text(), "the words")
    page.get_by_test_id("filter-from").fill("2020-09-13")
    puppet.wait(lambda: shown(puppet) == ["An old one"], "that day")
    began = page.evaluate("() => new Date(2020, 8, 12).getTime()")
    days = {"startedFromMs": began, "startedBeforeMs": began + 2 * 24 * 3_600_000}
    puppet.wait(lambda: days.items() <= puppet.heard("search-list")[-1].items(), "a search for both days")
    page.get_by_test_id("filter-clear").click()
    puppet.wait(lambda: len(shown(puppet)) == 3, "all of them again")
    every = {"type": "search-list", "query": "", "states": []}
    puppet.wait(lambda: puppet.heard("search-list")[-1] == every, "a search for every one")
    assert page.evaluate("() => document.activeElement.tagName") == "SUMMARY"


def test_a_list_that_does_not_come_is_calm_information_and_what_is_here_is_shown(puppet: Puppet) -> None:
    puppet.tell(a_view(recordings=[a_row(title="Here", state="saved")]))
    puppet.wait_to_hear("list-more")
    puppet.tell(listed(hasMore=True, isWaiting=True))
    puppet.wait(lambda: "does not come at the moment" in puppet.words("more"), "the words")
    puppet.wait(lambda: shown(puppet) == ["Here"], "what is here")
    assert puppet.words("alarm") == ""


def test_delete_can_be_undone_for_a_moment_and_then_is_sent(puppet: Puppet) -> None:
    puppet.tell(listed(listed_row(1), listed_row(2)))
    puppet.wait(lambda: len(shown(puppet)) == 2, "the rows")
    row(puppet, 1).get_by_test_id("delete").click()
    puppet.wait(lambda: shown(puppet) == ["Talk 2"], "the row to go")
    assert "“Talk 1” will be deleted" in puppet.words("toast")
    focused = "() => document.activeElement.dataset.testid"
    assert puppet.page.evaluate(focused) == "undo"
    puppet.page.keyboard.press("Enter")
    puppet.wait(lambda: shown(puppet) == ["Talk 1", "Talk 2"], "the row to be back")
    assert puppet.page.evaluate(focused) == "delete"
    puppet.let_time_pass(20_000, beating=1)
    assert puppet.heard("delete-recording") == []
    row(puppet, 2).get_by_test_id("delete").click()
    puppet.let_time_pass(10_000, beating=1)
    assert [each["recordingId"] for each in puppet.wait_to_hear("delete-recording")] == [id_of(2)]
    assert puppet.words("toast") == ""


def test_a_tab_that_is_closed_in_the_moment_of_undo_has_deleted_nothing(puppet: Puppet) -> None:
    puppet.tell(listed(listed_row(1)))
    puppet.wait(lambda: len(shown(puppet)) == 1, "the row")
    row(puppet, 1).get_by_test_id("delete").click()
    puppet.wait(lambda: shown(puppet) == [], "the row to go")
    listener = puppet.page.context.new_page()  # hears what the closing tab says
    listener.goto(puppet.page.url.rsplit("/", 1)[0] + "/build.json")
    listener.evaluate(
        "() => { window.heard = []; new BroadcastChannel('puppet').onmessage = ({ data }) => window.heard.push(data) }"
    )
    puppet.page.goto("about:blank")
    kinds = listener.evaluate("() => window.heard.map(({ message }) => message?.type)")
    listener.close()
    assert "delete-recording" not in kinds


def test_a_title_is_edited_by_keyboard_and_escape_thinks_better_of_it(puppet: Puppet) -> None:
    page = puppet.page
    puppet.tell(listed(listed_row(1)))
    puppet.wait(lambda: len(shown(puppet)) == 1, "the row")
    for key, expected in (("Escape", []), ("Enter", ["The new one"])):
        row(puppet, 1).get_by_test_id("rename").focus()
        page.keyboard.press("Enter")
        puppet.wait(lambda: page.evaluate("document.activeElement.dataset.testid") == "title", "the field")
        page.keyboard.type("The new one")
        page.keyboard.press(key)
        puppet.wait(lambda: page.evaluate("document.activeElement.dataset.testid") == "rename", "the button again")
        puppet.wait_to_hear("rename", count=len(expected))
        assert [each["title"] for each in puppet.heard("rename")] == expected
    assert shown(puppet) == ["The new one"], "also before the server has answered"


def test_the_certificate_is_shown_in_words_and_can_be_taken_away(puppet: Puppet) -> None:
    counts = {"chunk_count": 12, "byte_count": 3_000_000}
    certificate = json.dumps({"certified_at": "2026-01-02T03:04:05Z", "root": "ab" * 32, **counts})

    def answer(route: Route) -> None:
        route.fulfill(status=200, content_type="application/json", body=certificate)

    puppet.page.route("**/certificate", answer)
    puppet.tell(listed(listed_row(1)))
    puppet.wait(lambda: len(shown(puppet)) == 1, "the row")
    row(puppet, 1).get_by_test_id("certificate").click()
    for words in ("Talk 1", "12 chunks, 3.0 MB", "ab" * 32):
        puppet.wait(partial(_says, puppet, "certificate-dialog", words), words)
    link = puppet.page.get_by_test_id("certificate-file")
    assert link.get_attribute("download") == f"{id_of(1)}-certificate.json"


def test_what_was_set_aside_says_why_and_can_be_tried_again(puppet: Puppet) -> None:
    parked = a_row(state="parked", chunksSealed=3, chunksParked=1, problem="chunk 2 is set aside: it differs")
    puppet.tell(a_view(recordings=[parked]))
    puppet.wait(lambda: "it differs" in puppet.page.locator("main").inner_text(), "the reason")
    puppet.page.get_by_test_id("retry").click()
    assert puppet.wait_to_hear("retry-parked")[0]["recordingId"] == RECORDING_ID
    with puppet.page.expect_download() as download:
        puppet.page.get_by_test_id("download-held").click()
        puppet.wait_to_hear("read-held")
        held = {"type": "held", "recordingId": RECORDING_ID, "run": 0, "mimeType": "audio/webm", "isSound": True}
        for index in (0, 1):
            puppet.tell(held | {"chunkIndex": index, "content": [index] * 3})
            puppet.wait_to_hear("read-held", count=index + 2)
        puppet.tell({"type": "nothing-held", "recordingId": RECORDING_ID, "chunkIndex": 2, "message": ""})
    began = datetime.fromtimestamp(a_row()["startedAtMs"] / 1_000, UTC).astimezone()
    assert download.value.suggested_filename == f"Recording {began:%Y-%m-%d %H-%M}.webm", "as the server would name it"
    assert [each["chunkIndex"] for each in puppet.heard("read-held")] == [0, 1, 2]


def test_a_new_worker_lists_anew_and_a_reading_that_it_cannot_finish_is_given_up(puppet: Puppet) -> None:
    puppet.tell(a_view(recordings=[a_row(state="saved", play="device", chunksSealed=1)]))
    puppet.wait_to_hear("list-more")
    puppet.tell(listed())
    puppet.page.get_by_test_id("play").click()
    puppet.wait_to_hear("read-held")
    puppet.hang()
    puppet.let_time_pass(12_000)
    puppet.come_up(epoch=2)
    puppet.wait(partial(_says, puppet, "player", "started anew"), "the words in the player")
    puppet.wait_to_hear("list-more", epoch=2)


def test_a_list_is_asked_of_the_worker_that_comes_and_not_of_one_that_died_young(puppet: Puppet) -> None:
    puppet.wait_to_hear("list-more")
    puppet.tell(listed())
    puppet.stop_clock()

    for epoch in (1, 2):
        puppet.tell({"type": "failed", "message": "out of memory"}, epoch, is_heard=False)
        # The third comes after a rest, so that the page draws itself while there is none.
        puppet.wait(partial(_hears, puppet, "boot", epoch + 1), "the next worker")
    puppet.come_up(epoch=3)
    puppet.wait(partial(_hears, puppet, "list-more", 3), "the wish for the list")


def test_what_is_asked_while_there_is_no_worker_is_told_to_the_next_and_no_reading_waits_for_it(puppet: Puppet) -> None:
    puppet.tell(a_view(bytesFreeable=5, recordings=[a_row(state="saved", play="device", chunksSealed=1)]))
    puppet.wait_to_hear("list-more")
    puppet.tell(listed())
    puppet.wait(puppet.page.get_by_test_id("rename").is_visible, "the row")
    puppet.stop_clock()
    puppet.tell({"type": "failed", "message": "out of memory"}, is_heard=False)
    puppet.wait(partial(_hears, puppet, "boot", 2), "the next worker")
    puppet.tell({"type": "failed", "message": "out of memory"}, epoch=2, is_heard=False)
    # The third comes after a rest, in which there is none.
    puppet.wait(lambda: puppet.shown["state"] == "loading", "the word that there is none")
    puppet.page.clock.run_for(100)
    assert puppet.page.locator("#start-text").inner_text() == "Starting the recorder again"
    puppet.page.get_by_test_id("rename").click()
    puppet.page.get_by_test_id("title").fill("A title")
    puppet.page.get_by_test_id("title").press("Enter")
    puppet.page.locator("#free-space").click()
    puppet.page.get_by_test_id("play").click()
    puppet.wait(partial(_says, puppet, "player", "started anew"), "the words in the player")
    puppet.page.clock.resume()
    puppet.come_up(epoch=3)
    assert [message["title"] for message in puppet.wait_to_hear("rename", epoch=3)] == ["A title"]
    puppet.wait_to_hear("free-space", epoch=3)
    assert puppet.heard("read-held", epoch=3) == []


def _is_higher(puppet: Puppet, height: int) -> bool:
    return bool(puppet.page.evaluate(HEIGHT) > height)


def _hears(puppet: Puppet, kind: str, epoch: int) -> bool:
    puppet.page.clock.run_for(100)
    return bool(puppet.heard(kind, epoch))


def _says(puppet: Puppet, test_id: str, words: str) -> bool:
    return words in puppet.words(test_id)


def test_the_list_is_found_by_whoever_cannot_see_it(open_puppet: Callable[..., Puppet]) -> None:
    puppet = open_puppet()
    puppet.page.set_viewport_size({"width": 320, "height": 100})  # it begins some screens further down
    puppet.come_up(recordings=[a_row(title="Here", state="saved")])
    puppet.wait(lambda: len(shown(puppet)) == 1, "the row")
    items = puppet.page.get_by_role("list", name="Recordings").get_by_role("listitem")
    assert items.count() == 1
    assert items.first.get_attribute("aria-posinset") == "1"
