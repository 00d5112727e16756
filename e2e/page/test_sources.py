"""What to record, chosen before Record: devices by name, quality, and a preview that proves that something is heard."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page

from e2e.page.puppet import RECORDING_ID, Puppet, a_row, a_view

# Every stream and recorder that the page asks for, and what it asked for.
WITNESS = """
window.asked = [];
for (const name of ["getUserMedia", "getDisplayMedia"]) {
    const open = MediaDevices.prototype[name];
    MediaDevices.prototype[name] = async function (wanted) {
        window.asked.push([name, JSON.parse(JSON.stringify(wanted))]);
        if (window.refusal) throw new DOMException("refused by the test", window.refusal);
        return name === "getDisplayMedia" ? this.getUserMedia({ video: true }) : open.call(this, wanted);
    };
}
const Recorder = window.MediaRecorder;
window.MediaRecorder = class extends Recorder {
    constructor(stream, options) {
        super(stream, options);
        window.recorded = { options, tracks: stream.getTracks().map(({ kind }) => kind).sort() };
    }
};
"""


# How a picture is turned where it is shown.
TURNED = "(video) => getComputedStyle(video).transform"


def asked(page: Page) -> list[tuple[str, dict[str, Any]]]:
    read: list[tuple[str, dict[str, Any]]] = page.evaluate("() => window.asked")
    return read


def choose(page: Page, source: str) -> None:
    page.locator("label", has=page.get_by_test_id(f"source-{source}")).click()


def test_nothing_is_listened_to_before_the_person_asks_for_it(open_puppet: Callable[..., Puppet]) -> None:
    puppet = open_puppet(before=WITNESS)
    puppet.come_up()
    puppet.wait(lambda: puppet.page.get_by_test_id("check").is_visible(), "the button")
    for source in ("camera", "screen", "microphone"):
        choose(puppet.page, source)
    assert asked(puppet.page) == []
    assert puppet.words("level") == ""


def test_the_check_proves_before_record_that_something_is_heard_and_seen(open_puppet: Callable[..., Puppet]) -> None:
    puppet = open_puppet(before=WITNESS)
    puppet.come_up()
    page = puppet.page
    choose(page, "camera")
    page.get_by_test_id("check").click()
    puppet.wait(lambda: page.get_by_test_id("preview").is_visible(), "the picture")

    def is_heard() -> bool:
        page.clock.run_for(60)  # the level is shown by the page's clock, sound comes with the device's
        return puppet.words("level") == "Sound is coming in."

    puppet.wait(is_heard, "the sound")
    # As in a mirror; what is recorded is the stream, which nothing turns.
    assert page.get_by_test_id("preview").evaluate(TURNED) == "matrix(-1, 0, 0, 1, 0, 0)"
    # The microphone alone has no picture.
    choose(page, "microphone")
    puppet.wait(lambda: not page.get_by_test_id("preview").is_visible(), "the picture to go")
    page.get_by_test_id("check").click()
    puppet.wait(lambda: puppet.words("level") == "", "the end of the check")


def test_what_was_heard_in_the_check_is_what_is_recorded(open_puppet: Callable[..., Puppet]) -> None:
    puppet = open_puppet(before=WITNESS)
    puppet.come_up()
    puppet.page.get_by_test_id("check").click()
    puppet.wait(lambda: puppet.words("level") != "", "the level")
    puppet.open_capture()
    puppet.wait_to_hear("slice")
    assert len(asked(puppet.page)) == 1, "the stream of the check goes on as the recording's"
    assert not puppet.page.get_by_test_id("choose-quality").is_visible()
    # After the recording the check goes on, because the person had asked for it.
    puppet.tell({"type": "capture-stop"})
    puppet.wait_to_hear("capture-ended")
    puppet.tell(a_view(state="idle"))
    puppet.wait(lambda: len(asked(puppet.page)) == 2, "the check again")


def test_devices_are_chosen_by_name_and_the_choice_is_remembered(open_puppet: Callable[..., Puppet]) -> None:
    puppet = open_puppet(before=WITNESS)
    puppet.come_up()
    page = puppet.page
    choose(page, "camera")
    page.get_by_test_id("check").click()  # devices have names once the browser was asked
    names = page.get_by_test_id("choose-microphone").locator("option")
    puppet.wait(lambda: names.count() >= 3, "the fake microphones")
    chosen = names.nth(2).inner_text()
    assert "Fake Audio Input" in chosen
    page.get_by_test_id("choose-microphone").select_option(label=chosen)
    puppet.wait(lambda: "An hour takes about 1.2 GB" in puppet.words("hour"), "what an hour takes")
    page.get_by_test_id("choose-quality").select_option("high")
    puppet.wait(lambda: "An hour takes about 3.7 GB" in puppet.words("hour"), "what it takes then")
    wanted = page.get_by_test_id("choose-microphone").input_value()
    puppet.wait(lambda: asked(page)[-1][1]["audio"].get("deviceId") == {"ideal": wanted}, "that microphone")
    page.reload()
    Puppet(page, puppet.site).come_up()
    puppet.wait(lambda: page.get_by_test_id("source-camera").is_checked(), "the camera still chosen")
    puppet.wait(lambda: page.get_by_test_id("choose-microphone").input_value() == wanted, "the same microphone")
    puppet.wait(lambda: page.get_by_test_id("preview").is_visible(), "the check, where the browser allows it")
    puppet.open_capture(source="camera")
    recorded = page.evaluate("() => window.recorded")
    assert recorded["options"]["videoBitsPerSecond"] == 8_000_000


@pytest.mark.parametrize(
    ("sound", "kinds"), [("microphone", ["audio", "video"]), ("none", ["video"]), ("system", ["video"])]
)
def test_a_screen_is_recorded_with_its_own_sound_a_microphones_or_none(
    open_puppet: Callable[..., Puppet], sound: str, kinds: list[str]
) -> None:
    puppet = open_puppet(before=WITNESS)
    puppet.come_up()
    choose(puppet.page, "screen")
    puppet.page.get_by_test_id("choose-screenSound").select_option(sound)
    puppet.open_capture(source="screen")
    assert puppet.page.evaluate("() => window.recorded.tracks") == kinds
    puppet.wait(lambda: puppet.page.get_by_test_id("preview").is_visible(), "the picture")
    assert puppet.page.get_by_test_id("preview").evaluate(TURNED) == "none", "words on a screen are read"
    (wanted,) = [wish for name, wish in asked(puppet.page) if name == "getDisplayMedia"]
    assert bool(wanted["audio"]) == (sound == "system")


def test_a_refused_check_says_what_to_do_and_is_not_tried_by_itself_again(open_puppet: Callable[..., Puppet]) -> None:
    puppet = open_puppet(before=WITNESS + "window.refusal = 'NotAllowedError';")
    puppet.come_up()
    puppet.page.get_by_test_id("check").click()
    puppet.wait(lambda: "was not allowed to record" in puppet.words("problem"), "the words")
    assert puppet.page.get_by_test_id("check").get_attribute("aria-pressed") == "false"
    puppet.page.reload()
    Puppet(puppet.page, puppet.site).come_up()
    puppet.wait(lambda: puppet.page.get_by_test_id("check").is_visible(), "the page again")
    assert asked(puppet.page) == []


def test_a_choice_that_cannot_be_read_is_none(open_puppet: Callable[..., Puppet]) -> None:
    puppet = open_puppet(before='localStorage.setItem(\'holdfast-choice\', \'{"source": "moon", "quality": 7\');')
    puppet.come_up()
    puppet.wait(lambda: puppet.shown["state"] == "ready", "the page")
    assert puppet.page.get_by_test_id("source-microphone").is_checked()


def test_a_countdown_comes_before_the_first_slice_and_can_be_called_off(open_puppet: Callable[..., Puppet]) -> None:
    puppet = open_puppet(before=WITNESS)
    puppet.come_up()
    page = puppet.page
    puppet.wait(lambda: page.get_by_test_id("choose-countdown").is_visible(), "the choice")
    assert page.get_by_test_id("choose-countdown").input_value() == "0", "nobody waits who did not ask for it"
    page.get_by_test_id("choose-countdown").select_option("3")
    puppet.stop_clock()

    def shows(words: str) -> bool:
        page.clock.run_for(100)
        return puppet.words("countdown") == words

    puppet.ask_to_capture()
    puppet.tell(a_view(state="recording", current=a_row(), recordings=[a_row(isLive=True)]))
    puppet.wait(lambda: shows("3"), "the first number")
    assert page.locator(".row").count() == 0, "what may never be recorded is no recording yet"
    puppet.wait(lambda: shows("2"), "the second")
    assert "Recording is about to begin" in puppet.words("verdict")
    assert puppet.words("stop") == ""
    page.keyboard.press("Escape")
    puppet.wait_to_hear("stop")
    puppet.tell({"type": "capture-stop"})
    puppet.wait(lambda: not shows("2") and puppet.heard("capture-ended"), "the end")
    assert puppet.heard("capture-ended")[0]["slicesCaptured"] == 0
    assert not page.evaluate("() => window.recorded"), "no recorder was ever made"

    puppet.tell({"type": "release-capture-lock", "recordingId": RECORDING_ID})
    puppet.ask_to_capture()
    puppet.wait(lambda: shows("1"), "the last number")
    assert puppet.heard("capture-started") == []
    page.clock.run_for(1_000)
    puppet.wait(lambda: shows("") and puppet.heard("capture-started"), "the recording")
    puppet.wait(lambda: shows("") and page.locator(".row").count() == 1, "its row")
