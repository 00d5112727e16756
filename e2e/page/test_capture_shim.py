"""The window's capture shim, with a puppet for a worker: what it numbers, keeps and reports.

Time in the window is Playwright's clock, so that no test waits for something to be silent.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from playwright.sync_api import Dialog

from e2e.page.built_site import import_source
from e2e.page.puppet import RECORDING_ID, Puppet, a_view, numbers_of

# ---------------------------------------------------------------- the start


def test_the_boot_message_carries_epoch_formats_and_the_settings_of_the_query(
    open_puppet: Callable[..., Puppet],
) -> None:
    puppet = open_puppet("?slice_ms=100&keep_verified_s=0&source=camera")
    boot = puppet.wait_to_hear("boot")[0]
    assert boot["epoch"] == 1
    assert boot["isOnline"] is True
    assert boot["settings"] == {"slice_ms": "100", "keep_verified_s": "0", "source": "camera"}
    assert "audio/webm;codecs=opus" in boot["formats"] and "video/webm" in boot["formats"]
    assert "liveRecordingId" not in boot
    assert puppet.page.get_by_test_id("source-camera").is_checked()


def test_settings_by_query_count_on_loopback_hosts_only(puppet: Puppet) -> None:
    program = """({ readSettings }, hostname) => readSettings({ hostname, search: "?slice_ms=100" })"""

    def read(hostname: str) -> Any:
        return import_source(puppet.page, puppet.site, "shim/settings.js", program, hostname)

    assert read("localhost") == {"slice_ms": "100"}
    assert read("127.0.0.1") == {"slice_ms": "100"}
    assert read("holdfast.example") == {}
    assert read("localhost.example") == {}


def test_the_worker_that_fails_before_it_ever_ran_is_not_followed_by_another(
    open_puppet: Callable[..., Puppet],
) -> None:
    puppet = open_puppet()
    puppet.wait_to_hear("boot")
    puppet.tell({"type": "failed", "message": "Storage is blocked in this window."})
    puppet.wait(lambda: puppet.shown["state"] == "failed", "failed")
    assert "Storage is blocked in this window." in puppet.page.locator("#failure").inner_text()
    assert puppet.page.get_by_test_id("record").is_disabled()
    puppet.page.clock.run_for(120_000)
    assert puppet.heard("boot", epoch=2) == []


# ---------------------------------------------------------------- slices


def test_slices_are_numbered_in_order_from_the_first_and_none_is_empty(puppet: Puppet) -> None:
    puppet.open_capture()
    slices = puppet.wait_to_hear("slice", count=8)
    assert numbers_of(slices) == list(range(len(slices)))
    assert all(message["size"] > 0 for message in slices)
    assert {(message["recordingId"], message["run"]) for message in slices} == {(RECORDING_ID, 0)}
    started = puppet.heard("capture-started")[0]
    assert started["mimeType"] == "audio/webm;codecs=opus"


def test_the_page_shows_a_slice_as_saved_only_when_the_worker_said_durable(puppet: Puppet) -> None:
    puppet.open_capture()
    puppet.wait_to_hear("slice", count=5)
    puppet.wait(lambda: int(puppet.shown["slicesCaptured"]) >= 5, "five captured slices")
    assert puppet.shown["slicesDurable"] == "0"
    puppet.tell({"type": "durable", "recordingId": RECORDING_ID, "sliceNumber": 2})
    puppet.wait(lambda: puppet.shown["slicesDurable"] == "3", "three durable slices")
    # Another recording's word changes nothing here.
    puppet.tell({"type": "durable", "recordingId": RECORDING_ID.replace("1", "2"), "sliceNumber": 4})
    puppet.tell({"type": "durable", "recordingId": RECORDING_ID, "sliceNumber": 3})
    puppet.wait(lambda: puppet.shown["slicesDurable"] == "4", "four durable slices")


def test_a_second_run_goes_on_counting_where_the_first_ended(puppet: Puppet) -> None:
    puppet.open_capture()
    puppet.wait_to_hear("slice", count=3)
    puppet.tell({"type": "capture-stop"})
    ended = puppet.wait_to_hear("capture-ended")[0]
    assert ended["isRequested"] is True
    captured = ended["slicesCaptured"]
    assert captured == len(puppet.heard("slice"))
    puppet.open_capture(run=1, slice_number=captured)
    puppet.wait_to_hear("slice", count=captured + 3)
    slices = puppet.heard("slice")
    assert numbers_of(slices) == list(range(len(slices)))
    assert {message["run"] for message in slices[captured:]} == {1}


def test_pause_hands_over_the_open_slice_and_stops_the_clock(puppet: Puppet) -> None:
    puppet.open_capture()
    puppet.wait_to_hear("slice", count=2)
    puppet.page.get_by_test_id("pause").click()
    puppet.wait_to_hear("pause")
    puppet.tell({"type": "capture-pause"})
    puppet.wait(lambda: puppet.shown["paused"] == "true", "the pause")
    elapsed = puppet.page.locator("#elapsed").inner_text()
    puppet.page.clock.run_for(5_000)
    assert puppet.page.locator("#elapsed").inner_text() == elapsed
    puppet.page.get_by_test_id("pause").click()
    puppet.wait_to_hear("resume")
    puppet.tell({"type": "capture-resume"})
    puppet.wait(lambda: puppet.shown["paused"] == "false", "the end of the pause")
    count = len(puppet.heard("slice"))
    puppet.wait_to_hear("slice", count=count + 2)


def test_a_device_that_is_taken_away_ends_the_run_without_being_asked(open_puppet: Callable[..., Puppet]) -> None:
    puppet = open_puppet(
        before="""
        const native = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        navigator.mediaDevices.getUserMedia = async (wanted) => (window.stream = await native(wanted));
        """
    )
    puppet.come_up()
    puppet.open_capture()
    puppet.wait_to_hear("slice", count=2)
    puppet.page.evaluate("() => window.stream.getTracks().forEach((track) => track.stop())")
    ended = puppet.wait_to_hear("capture-ended")[0]
    assert ended["isRequested"] is False
    assert ended["slicesCaptured"] == len(puppet.heard("slice"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("NotAllowedError", "was not allowed to record"),
        ("NotFoundError", "No such device was found"),
        ("NotReadableError", "busy"),
        ("AbortError", "could not begin (AbortError: made up)"),
    ],
)
def test_a_refused_capture_is_told_to_the_worker_and_to_the_person(
    open_puppet: Callable[..., Puppet], name: str, words: str
) -> None:
    puppet = open_puppet(
        before=f"""
        navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("made up", "{name}"));
        """
    )
    puppet.come_up()
    puppet.wait(lambda: puppet.shown["state"] == "ready", "ready")
    puppet.page.get_by_test_id("record").click()
    assert puppet.wait_to_hear("record")[0]["source"] == "microphone"
    puppet.tell(_CAPTURE_OPEN)
    failed = puppet.wait_to_hear("capture-failed")[0]
    assert (failed["recordingId"], failed["run"], failed["name"]) == (RECORDING_ID, 0, name)
    puppet.wait(lambda: words in puppet.words("problem"), words)
    # Pressed again, the former refusal is gone from the page.
    puppet.page.get_by_test_id("record").click()
    puppet.wait_to_hear("record", count=2)
    puppet.wait(lambda: puppet.words("problem") == "", "no words")


_CAPTURE_OPEN = {
    "type": "capture-open",
    "recordingId": RECORDING_ID,
    "run": 0,
    "source": "microphone",
    "mimeTypes": ["audio/webm;codecs=opus"],
    "timesliceMs": 100,
    "sliceNumber": 0,
}


def test_stop_while_the_browser_still_asks_for_permission_ends_the_run_at_once(
    open_puppet: Callable[..., Puppet],
) -> None:
    puppet = open_puppet(
        before="""
        const native = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        navigator.mediaDevices.getUserMedia = async (wanted) => {
            await new Promise((answer) => { window.allow = answer; });
            return (window.stream = await native(wanted));
        };
        """
    )
    puppet.come_up()
    puppet.tell(_CAPTURE_OPEN)
    puppet.wait(lambda: puppet.page.evaluate("() => Boolean(window.allow)"), "the browser's question")
    puppet.tell({"type": "capture-stop"})
    puppet.page.evaluate("() => window.allow()")
    ended = puppet.wait_to_hear("capture-ended")[0]
    assert (ended["isRequested"], ended["slicesCaptured"]) == (True, 0)
    states = puppet.page.evaluate("() => window.stream.getTracks().map((track) => track.readyState)")
    assert set(states) == {"ended"}


def test_a_recorder_that_falls_silent_is_asked_for_its_data_and_then_reported(
    open_puppet: Callable[..., Puppet],
) -> None:
    puppet = open_puppet(
        before="""
        window.asked = 0;
        window.MediaRecorder = class extends MediaRecorder {
            start() { super.start(); }  // without a timeslice it hands over nothing by itself
            requestData() { window.asked += 1; }
        };
        """
    )
    puppet.come_up()
    puppet.open_capture()
    puppet.let_time_pass(4_000, beating=1)
    assert puppet.page.evaluate("() => window.asked") >= 1
    assert puppet.heard("capture-note") == []
    puppet.let_time_pass(3_000, beating=1)
    note = puppet.wait_to_hear("capture-note")[0]
    assert note["kind"] == "silence"
    puppet.wait(lambda: "delivered nothing" in puppet.words("alarm"), "the alarm")


def test_a_silent_recorder_is_stopped_and_the_next_run_takes_its_stream_where_the_worker_says_so(
    open_puppet: Callable[..., Puppet],
) -> None:
    puppet = open_puppet(
        before="""
        window.streams = [];
        const native = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        navigator.mediaDevices.getUserMedia = async (wanted) => {
            const stream = await native(wanted);
            window.streams.push(stream);
            return stream;
        };
        """
    )
    puppet.come_up()
    puppet.open_capture()
    states = "() => window.streams.map((stream) => stream.getTracks()[0].readyState)"
    for run, keeps_stream, expected in ((0, True, ["live"]), (1, False, ["ended", "live"])):
        puppet.wait(partial(_has_slice_of, puppet, run), f"a slice of run {run}")
        restart = {"type": "capture-restart", "recordingId": RECORDING_ID, "keepsStream": keeps_stream}
        puppet.tell(restart | {"run": run + 5})  # of no run that is open
        puppet.tell(restart | {"run": run})
        ended = puppet.wait_to_hear("capture-ended", count=run + 1)[run]
        assert (ended["run"], ended["isRequested"], ended["isRestarted"]) == (run, False, True)
        puppet.open_capture(run=run + 1, slice_number=ended["slicesCaptured"])
        assert puppet.page.evaluate(states) == expected
    puppet.tell(restart | {"run": 2, "keepsStream": True})
    puppet.wait_to_hear("capture-ended", count=3)
    puppet.tell({"type": "release-capture-lock", "recordingId": RECORDING_ID})
    puppet.wait(lambda: puppet.page.evaluate(states) == ["ended", "ended"], "the stream that nobody took to end")


def _has_slice_of(puppet: Puppet, run: int) -> bool:
    return any(message["run"] == run for message in puppet.heard("slice"))


def test_what_track_and_recorder_say_is_noted(open_puppet: Callable[..., Puppet]) -> None:
    puppet = open_puppet(
        before="""
        const native = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        navigator.mediaDevices.getUserMedia = async (wanted) => (window.stream = await native(wanted));
        const Native = MediaRecorder;
        window.MediaRecorder = class extends Native {
            constructor(...given) { super(...given); window.recorder = this; }
        };
        """
    )
    puppet.come_up()
    puppet.open_capture()
    for event in ("mute", "unmute"):
        puppet.page.evaluate("(name) => window.stream.getTracks()[0].dispatchEvent(new Event(name))", event)
    puppet.page.evaluate("() => window.recorder.dispatchEvent(new Event('error'))")  # Chromium's has no error in it
    notes = puppet.wait_to_hear("capture-note", count=3)
    expected = [("muted", "audio"), ("unmuted", "audio"), ("recorder-error", "")]
    assert [(note["kind"], note["message"]) for note in notes] == expected


def test_a_recorder_that_never_emits_is_reported_though_it_says_that_it_records(
    open_puppet: Callable[..., Puppet],
) -> None:
    # As Chromium's muxer does while one of two tracks gives nothing: `start` comes, and no slice ever.
    puppet = open_puppet(
        before="""
        window.MediaRecorder = class extends MediaRecorder {
            set ondataavailable(_) {}
        };
        """
    )
    puppet.come_up()
    puppet.open_capture()
    puppet.let_time_pass(8_000, beating=1)
    assert [note["kind"] for note in puppet.wait_to_hear("capture-note")] == ["silence"]
    puppet.wait(lambda: "delivered nothing" in puppet.words("alarm"), "the alarm")
    assert puppet.heard("slice") == []
    # The next run says it anew, and the alarm stands until something comes.
    puppet.tell({"type": "capture-restart", "recordingId": RECORDING_ID, "run": 0, "keepsStream": True})
    puppet.wait_to_hear("capture-ended")
    puppet.open_capture(run=1)
    assert "delivered nothing" in puppet.words("alarm")
    puppet.let_time_pass(6_000, beating=1)
    assert [note["run"] for note in puppet.wait_to_hear("capture-note", count=2)] == [0, 1]


def test_the_screen_is_kept_awake_while_recording_and_no_longer(open_puppet: Callable[..., Puppet]) -> None:
    puppet = open_puppet(
        before="""
        window.awake = 0;
        navigator.storage.persist = async () => { window.isPersistenceAsked = true; return true; };
        WakeLock.prototype.request = async () => {
            window.awake += 1;
            return { release: async () => { window.awake -= 1; } };
        };
        """
    )
    puppet.come_up()
    assert puppet.page.evaluate("window.isPersistenceAsked"), "only a window may ask, and the worker reads the answer"
    assert puppet.page.evaluate("window.awake") == 0
    puppet.open_capture()
    puppet.wait(lambda: puppet.page.evaluate("window.awake") == 1, "the wake lock")
    # The browser drops it when the page is hidden.
    puppet.page.evaluate("() => { window.awake = 0; document.dispatchEvent(new Event('visibilitychange')); }")
    puppet.wait(lambda: puppet.page.evaluate("window.awake") == 1, "the wake lock again")
    puppet.wait_to_hear("nudge")
    puppet.tell({"type": "capture-stop"})
    puppet.wait_to_hear("capture-ended")
    puppet.wait(lambda: puppet.page.evaluate("window.awake") == 0, "its release")
    puppet.page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")
    puppet.wait_to_hear("nudge", count=2)
    assert puppet.page.evaluate("window.awake") == 0


# ---------------------------------------------------------------- leaving


def test_leaving_is_questioned_while_a_slice_is_not_saved_and_not_afterwards(puppet: Puppet) -> None:
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    puppet.page.on("dialog", stay)
    puppet.page.get_by_test_id("record").click()  # browsers ask only someone who has touched the page
    puppet.open_capture()
    puppet.wait_to_hear("slice", count=2)
    puppet.tell(a_view(state="idle"))
    puppet.page.close(run_before_unload=True)
    puppet.wait(lambda: asked == ["beforeunload"], "the question")

    puppet.tell({"type": "capture-stop"})
    captured = puppet.wait_to_hear("capture-ended")[0]["slicesCaptured"]
    puppet.page.close(run_before_unload=True)  # recorded to the end, and still not saved
    puppet.wait(lambda: asked == ["beforeunload"] * 2, "the question again")

    puppet.tell({"type": "durable", "recordingId": RECORDING_ID, "sliceNumber": captured - 1})
    puppet.wait(lambda: puppet.shown["slicesDurable"] == str(captured), "all saved")
    puppet.tell({"type": "release-capture-lock", "recordingId": RECORDING_ID})
    puppet.wait(lambda: puppet.shown["recordingId"] == "", "the worker to have closed it")
    with puppet.page.expect_event("close"):
        puppet.page.close(run_before_unload=True)
    assert asked == ["beforeunload"] * 2
