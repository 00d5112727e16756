"""What the page shows of the worker's View, with a puppet for a worker: every word where a person looks for it."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from playwright.sync_api import expect

from e2e.page.puppet import RECORDING_ID, Puppet, a_row, a_view

OTHER_ID = RECORDING_ID[:-1] + "2"


def shows(puppet: Puppet, words: str) -> bool:
    return words in puppet.page.locator("body").inner_text()


def test_the_roots_counts_are_those_of_the_current_recording(puppet: Puppet) -> None:
    current = a_row(
        slicesCaptured=9,
        slicesDurable=8,
        chunksSealed=7,
        chunksAcknowledged=6,
        chunksVerified=5,
        chunksCleared=4,
        bytesCaptured=3_000,
    )
    puppet.tell(a_view(state="idle", isOnline=False, isRecovering=True, current=current, recordings=[current]))
    puppet.wait(lambda: puppet.shown["state"] == "idle", "idle")
    expected = {
        "testid": "recorder",
        "state": "idle",
        "recordingId": RECORDING_ID,
        "slicesCaptured": "9",
        "slicesDurable": "8",
        "chunksSealed": "7",
        "chunksAcknowledged": "6",
        "chunksVerified": "5",
        "chunksCleared": "4",
        "bytesCaptured": "3000",
        "online": "false",
        "recovering": "true",
    }
    assert expected.items() <= puppet.shown.items()
    for words in ("9 slices", "3.0 KB", "8 of 9 slices", "6 of 7 chunks", "5 of 7 chunks"):
        puppet.wait(partial(shows, puppet, words), words)


def test_figures_are_drawn_ten_times_a_second_at_most_and_another_state_at_once(puppet: Puppet) -> None:
    clock, draws = puppet.page.clock, "window.draws"
    puppet.stop_clock()

    def tell(captured: int, state: str) -> None:
        current = a_row(slicesCaptured=captured, slicesDurable=captured)
        puppet.tell(a_view(state=state, current=current, recordings=[current]))
        puppet.wait(lambda: puppet.shown["slicesCaptured"] == str(captured), f"{captured} slices")

    tell(1, "idle")
    clock.run_for(500)
    puppet.page.evaluate(
        """() => {
            window.draws = 0;
            const options = { subtree: true, childList: true, characterData: true };
            new MutationObserver(() => (window.draws += 1)).observe(document.getElementById("path"), options);
        }"""
    )
    for captured in range(2, 12):
        tell(captured, "idle")
        clock.run_for(10)
    assert puppet.page.evaluate(draws) <= 2
    clock.run_for(200)
    assert shows(puppet, "11 slices")
    assert 1 <= puppet.page.evaluate(draws) <= 3
    tell(12, "idle")
    clock.run_for(40)  # a frame or two: that was drawn after a rest, and the next figure would wait
    tell(13, "ready")
    clock.run_for(40)
    assert shows(puppet, "13 slices")


UPLOADING = {"state": "uploading", "chunksSealed": 3, "chunksAcknowledged": 1, "slicesCaptured": 5, "slicesDurable": 5}
UPLOADED = UPLOADING | {"state": "uploaded", "chunksAcknowledged": 3, "chunksVerified": 2}
COMPLETE = UPLOADED | {"state": "complete", "chunksVerified": 3}
PARKED = COMPLETE | {"state": "parked", "chunksAcknowledged": 2, "chunksVerified": 2, "chunksParked": 1}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (UPLOADING, "You can close this tab now Everything is saved on this device. Uploading"),
        (UPLOADED, "You can close this tab now Everything is saved on this device and uploaded."),
        (COMPLETE, "You can close this tab now Everything is uploaded and verified."),
        (PARKED, "The server refused some chunks for good."),
        (UPLOADING | {"slicesDurable": 3}, "Wait: keep this tab open 2 slices not saved"),
    ],
)
def test_a_glance_says_whether_the_tab_may_be_closed(puppet: Puppet, row: dict[str, Any], words: str) -> None:
    current = a_row(**row)
    puppet.tell(a_view(state="idle", current=current, recordings=[current]))
    puppet.wait(lambda: words in " ".join(puppet.words("verdict").split()), words)


def test_the_path_tells_how_long_the_oldest_slice_has_waited_to_be_saved(puppet: Puppet) -> None:
    def waits_s() -> int:
        found = re.search(r"the oldest waits (\d+) s", puppet.words("oldest-unsaved"))
        return int(found[1]) if found else 0

    puppet.open_capture()
    puppet.wait_to_hear("slice")
    puppet.let_time_pass(3_000, beating=1)
    puppet.wait(lambda: waits_s() >= 3, "the age of the oldest slice")
    assert "Wait: keep this tab open" in puppet.words("verdict")
    puppet.tell({"type": "durable", "recordingId": RECORDING_ID, "sliceNumber": len(puppet.heard("slice")) + 50})
    puppet.wait(lambda: "Safe so far" in puppet.words("verdict"), "the comfort after it")
    assert "none waits over 1 s" in puppet.words("oldest-unsaved")


def test_the_level_says_that_sound_is_coming_in(puppet: Puppet) -> None:
    assert puppet.words("level") == ""
    puppet.open_capture()  # the fake microphone beeps each second

    def is_heard() -> bool:
        puppet.page.clock.run_for(50)  # frames come with the page's clock, sound with the device's
        return puppet.words("level") == "Sound is coming in."

    puppet.wait(is_heard, "the sound")


def test_silence_is_said_before_a_whole_talk_is_recorded_without_sound(open_puppet: Callable[..., Puppet]) -> None:
    muted = """
        const getUserMedia = MediaDevices.prototype.getUserMedia;
        MediaDevices.prototype.getUserMedia = async function (...args) {
            const stream = await getUserMedia.apply(this, args);
            for (const track of stream.getAudioTracks()) track.enabled = false;
            return stream;
        };
    """
    puppet = open_puppet(before=muted)
    puppet.come_up()
    puppet.open_capture()
    puppet.let_time_pass(6_000, beating=1)
    puppet.wait(lambda: puppet.words("level").startswith("No sound is coming in."), "the words about silence")


def test_no_sentence_comforts_under_an_alarm(puppet: Puppet) -> None:
    current = a_row(**COMPLETE)
    puppet.tell(a_view(state="idle", current=current, recordings=[current], alarm="This device is full."))
    puppet.wait(lambda: puppet.words("alarm") == "This device is full.", "the alarm")
    assert puppet.words("verdict") == ""


def test_the_server_being_away_is_calm_information(puppet: Puppet) -> None:
    puppet.tell(a_view(server="The server does not answer."))
    puppet.wait(lambda: puppet.words("calm") == "The server does not answer.", "the words")
    assert puppet.words("alarm") == ""
    puppet.tell(a_view(isOnline=False))
    puppet.wait(lambda: puppet.words("calm").startswith("No network."), "the words about the network")
    puppet.tell(a_view())
    puppet.wait(lambda: puppet.words("calm") == "", "nothing to say")


def test_recordings_from_earlier_are_told_with_how_far_they_are(puppet: Puppet) -> None:
    earlier = [
        a_row(state="uploading", chunksSealed=6, chunksAcknowledged=4, chunksVerified=3),
        a_row(recordingId=OTHER_ID, state="saved", chunksSealed=4),
    ]
    puppet.tell(a_view(recordings=earlier))
    puppet.wait(lambda: "2 recordings from earlier are being checked" in puppet.words("earlier"), "the words")
    assert "3 of 10 chunks" in puppet.words("earlier")
    puppet.tell(a_view(recordings=[a_row(state="complete"), a_row(recordingId=OTHER_ID, state="complete")]))
    puppet.wait(lambda: puppet.words("earlier") == "", "nothing to say")


def test_rows_name_their_state_and_what_lies_on_the_device(puppet: Puppet) -> None:
    rows = [
        a_row(recordingId=RECORDING_ID, state="parked", chunksParked=2, bytesCaptured=2_000_000, bytesLocal=500_000),
        a_row(recordingId=OTHER_ID, state="recording", isLive=True, title="A talk", bytesCaptured=999),
    ]
    puppet.tell(a_view(recordings=rows))
    puppet.wait(lambda: puppet.page.locator(".row").count() == 2, "two rows")
    first, second = puppet.page.locator(".row").all()
    assert first.get_attribute("data-state") == "parked"
    assert "2.0 MB, 500 KB of it on this device" in first.inner_text()
    assert "2 chunks refused by the server" in first.inner_text()
    assert "A talk" in second.inner_text()
    # It is live, and not here.
    assert "Recording in another tab" in second.inner_text()
    assert second.get_by_test_id("delete").is_disabled()
    assert first.get_by_test_id("delete").is_enabled()


def test_a_row_that_changes_keeps_its_place_and_the_keyboards(puppet: Puppet) -> None:
    rows = [a_row(recordingId=OTHER_ID, state="uploading"), a_row(state="uploading")]
    puppet.tell(a_view(recordings=rows))
    puppet.wait(lambda: puppet.page.locator(".row").count() == 2, "two rows")
    row = puppet.page.locator(f'.row[data-recording-id="{RECORDING_ID}"]')
    row.get_by_test_id("delete").focus()
    puppet.tell(a_view(recordings=[a_row(recordingId=OTHER_ID, state="complete"), a_row(state="verified")]))
    puppet.wait(lambda: shows(puppet, "Verified") and shows(puppet, "Complete"), "the new states")
    focused = "() => document.activeElement.closest('.row')?.dataset.recordingId"
    assert puppet.page.evaluate(focused) == RECORDING_ID
    puppet.tell(a_view(recordings=[a_row(state="verified")]))
    puppet.wait(lambda: puppet.page.locator(".row").count() == 1, "one row")
    assert puppet.page.evaluate(focused) == RECORDING_ID


def test_space_is_freed_by_a_button_that_says_how_much(puppet: Puppet) -> None:
    assert not puppet.page.get_by_test_id("free-space").is_visible()
    puppet.tell(a_view(storage="12 MB used", bytesFreeable=1_820_000))
    puppet.wait(lambda: puppet.words("free-space") == "Free up 1.8 MB", "the button")
    assert shows(puppet, "12 MB used")
    puppet.page.get_by_test_id("free-space").click()
    puppet.wait_to_hear("free-space")


def test_a_recording_is_made_with_the_keyboard_alone(puppet: Puppet) -> None:
    page = puppet.page
    page.get_by_test_id("source-microphone").focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_test_id("source-camera").is_checked()
    focused = "() => document.activeElement.dataset.testid"
    for _ in range(10):  # past the devices
        page.keyboard.press("Tab")
        if page.evaluate(focused) == "record":
            break
    page.keyboard.press("Enter")
    assert puppet.wait_to_hear("record")[0]["source"] == "camera"
    puppet.open_capture(source="camera")
    puppet.wait(lambda: page.evaluate(focused) == "pause", "the focus on what took Record's place")
    puppet.wait(lambda: re.fullmatch(r"Recording \d\d:\d\d · Holdfast", page.title()), "the title of the tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    puppet.wait_to_hear("stop")
    puppet.tell({"type": "capture-stop"})
    puppet.wait_to_hear("capture-ended")
    puppet.tell({"type": "release-capture-lock", "recordingId": RECORDING_ID})
    puppet.tell(a_view(state="idle"))
    puppet.wait(lambda: page.evaluate(focused) == "record", "the focus back on Record")
    assert page.title() == "Holdfast"


def test_keys_do_what_the_help_says_and_can_be_turned_off(puppet: Puppet) -> None:
    page = puppet.page
    page.keyboard.press("?")
    puppet.wait(lambda: "Alt + R" in puppet.words("help-dialog"), "the help")
    assert "survives a closed tab" in puppet.words("help-dialog")
    page.keyboard.press("Alt+KeyR")  # not behind a dialog
    page.keyboard.press("Escape")
    assert puppet.words("help-dialog") == ""
    page.keyboard.press("/")
    assert page.evaluate("() => document.activeElement.id") == "search"
    page.keyboard.type("?/")
    assert page.get_by_test_id("search").input_value() == "?/"
    assert puppet.heard("record") == []
    page.get_by_test_id("source-microphone").focus()
    page.keyboard.press("Alt+KeyR")
    puppet.wait_to_hear("record")
    puppet.open_capture()
    puppet.wait(lambda: puppet.words("stop") != "", "what can be pressed")
    page.keyboard.press("Alt+KeyP")
    puppet.wait_to_hear("pause")
    page.get_by_test_id("help").click()
    page.get_by_test_id("keys-on").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("Alt+KeyS")
    page.keyboard.press("?")
    assert puppet.words("help-dialog") == ""
    page.get_by_test_id("help").click()
    page.get_by_test_id("keys-on").check()
    page.keyboard.press("Escape")
    page.keyboard.press("Alt+KeyS")
    assert len(puppet.wait_to_hear("stop")) == 1


@pytest.mark.parametrize("height", [900, 320])
def test_what_a_dialog_says_is_hidden_by_nothing_and_its_buttons_are_always_seen(puppet: Puppet, height: int) -> None:
    page = puppet.page
    page.set_viewport_size({"width": 320, "height": height})
    puppet.tell(a_view(recordings=[a_row(state="saved", play="device", chunksSealed=1)]))
    puppet.wait(lambda: page.locator(".row").count() == 1, "the row")
    for opener, dialog, words in (("play", "#player", ".player-words"), ("help", "#help-dialog", ".help-body")):
        page.get_by_test_id(opener).click()
        expect(page.locator(f"{dialog} {words}")).not_to_be_empty()
        boxes = """(dialog, [words, to]) => {
            dialog.scrollTo(0, to);
            return [words, ".dialog-buttons"].map((each) => dialog.querySelector(each).getBoundingClientRect());
        }"""
        _, buttons = page.locator(dialog).evaluate(boxes, [words, 0])
        assert buttons["bottom"] <= height, f"{dialog} opens with its buttons out of sight"
        said, buttons = page.locator(dialog).evaluate(boxes, [words, 10_000])
        assert said["bottom"] <= buttons["top"], f"{dialog} hides the end of its words"
        page.keyboard.press("Escape")


def test_everything_that_can_be_pressed_has_a_name(puppet: Puppet) -> None:
    puppet.tell(a_view(recordings=[a_row(state="complete")], bytesFreeable=1_000))
    puppet.wait(lambda: puppet.page.locator(".row").count() == 1, "the row")
    nameless = puppet.page.evaluate(
        """() => [...document.querySelectorAll("button, input, progress, dialog, section, ul, ol")]
            .filter((element) => element.checkVisibility())
            .filter((element) => !(element.ariaLabel || element.ariaLabelledByElements?.length || element.labels?.length
                || element.textContent.trim() || element.ariaHidden))
            .map((element) => element.outerHTML)"""
    )
    assert nameless == []


def test_the_words_of_the_buttons_stay_whole_on_a_narrow_phone(puppet: Puppet) -> None:
    puppet.page.set_viewport_size({"width": 320, "height": 640})
    puppet.open_capture()
    puppet.tell({"type": "capture-pause"})
    resume = puppet.page.get_by_role("button", name="Resume")
    puppet.wait(resume.is_visible, "the buttons of a pause")
    lines = """(button) => {
        const words = document.createRange();
        words.selectNodeContents(button);
        return words.getClientRects().length;
    }"""
    assert resume.evaluate(lines) == 1


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_is_cut_off_at_any_width(open_puppet: Callable[..., Puppet], width: int) -> None:
    puppet = open_puppet()
    puppet.page.set_viewport_size({"width": width, "height": 720})
    long = "Interviewwiththelighthousekeeperofthenorthernharbour" * 3
    rows = [a_row(state="parked", title=long, problem=long, chunksParked=1, bytesLocal=5)]
    storage = "Storage is protected from eviction by the browser, 4,123 MB of it are used by Holdfast"
    puppet.come_up(state="idle", current=rows[0], recordings=rows, alarm=long, server=long, storage=storage)
    puppet.wait(lambda: puppet.page.locator(".row").count() == 1, "the row")
    assert puppet.page.evaluate("() => document.documentElement.scrollWidth") <= width
