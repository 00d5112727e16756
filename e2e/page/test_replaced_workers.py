"""Dead, hung and slow workers: whom the window replaces, and that no slice is lost on the way.

Time in the window is Playwright's clock, so that no test waits for a worker to be silent.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from playwright.sync_api import Locator

from e2e.page.built_site import import_source
from e2e.page.puppet import RECORDING_ID, Puppet, a_row, a_view, numbers_of


def test_a_hung_worker_is_shown_then_replaced_and_every_slice_it_lost_is_replayed(puppet: Puppet) -> None:
    puppet.open_capture()
    puppet.wait_to_hear("slice", count=4)
    puppet.tell({"type": "durable", "recordingId": RECORDING_ID, "sliceNumber": 1})
    puppet.wait(lambda: puppet.shown["slicesDurable"] == "2", "two durable slices")
    puppet.hang()
    puppet.let_time_pass(4_000)
    puppet.wait(lambda: "not answering" in puppet.words("alarm"), "the alarm")
    assert puppet.heard("boot", epoch=2) == []
    puppet.let_time_pass(10_000)
    boot = puppet.wait_to_hear("boot", epoch=2)[0]
    assert boot["liveRecordingId"] == RECORDING_ID
    assert puppet.shown["state"] == "recording"

    # Its log turned out to hold one slice more than had been reported.
    puppet.tell({"type": "replay-after", "recordingId": RECORDING_ID, "sliceNumber": 2}, epoch=2)
    puppet.tell(a_view(state="recording", current=a_row()), epoch=2)
    captured_so_far = int(puppet.shown["slicesCaptured"])
    replayed = puppet.wait_to_hear("slice", epoch=2, count=captured_so_far - 3)
    assert numbers_of(replayed) == list(range(3, 3 + len(replayed)))
    assert len(puppet.heard("capture-started", epoch=2)) == 1
    puppet.wait(lambda: puppet.words("alarm") == "", "the alarm to end")
    # The recording never stopped: slices go on coming, to the new worker.
    assert puppet.heard("capture-ended", epoch=2) == []
    puppet.wait_to_hear("slice", epoch=2, count=len(replayed) + 2)


def test_a_worker_that_dies_again_and_again_is_given_more_time_each_time(puppet: Puppet) -> None:
    puppet.open_capture()
    # The clock stands but where the test lets time pass: a slow machine makes no silence longer.
    puppet.stop_clock()

    def has_ended() -> bool:
        puppet.page.clock.run_for(100)  # the page draws itself
        return "not answering" not in puppet.words("alarm")

    def let_seconds_pass(count: int) -> None:
        for _ in range(count):
            puppet.page.clock.fast_forward(1_000)  # a tick, on time, and not the sixty frames before it

    for epoch, silence_s in ((1, 10), (2, 20), (3, 40), (4, 60), (5, 60)):
        puppet.hang(epoch)
        let_seconds_pass(silence_s - 5)
        assert puppet.heard("boot", epoch=epoch + 1) == []
        let_seconds_pass(10)
        puppet.wait_to_hear("boot", epoch=epoch + 1)
        puppet.tell(a_view(state="recording", current=a_row()), epoch=epoch + 1)
        puppet.wait(has_ended, "the alarm to end")


def test_a_laptop_that_slept_costs_no_worker_its_life(puppet: Puppet) -> None:
    puppet.open_capture()
    for _ in range(5):
        puppet.page.clock.fast_forward(120_000)  # one late tick, however long it was
    assert puppet.heard("boot", epoch=2) == []
    assert puppet.words("alarm") == ""


def test_a_worker_that_boots_slowly_is_left_in_peace(open_puppet: Callable[..., Puppet]) -> None:
    puppet = open_puppet()
    puppet.wait_to_hear("boot")
    puppet.tell({"type": "booting", "progress": 0.4, "label": "Loading slowly"})
    puppet.wait(lambda: "Loading slowly" in puppet.page.locator("#start-text").inner_text(), "the label")
    puppet.page.clock.run_for(180_000)
    assert puppet.heard("boot", epoch=2) == []
    assert puppet.shown["state"] == "loading"


def test_stop_is_obeyed_though_the_worker_is_dead_and_told_to_the_next_one(puppet: Puppet) -> None:
    puppet.open_capture()
    puppet.wait_to_hear("slice", count=3)
    puppet.hang()
    puppet.let_time_pass(4_000)
    puppet.page.get_by_test_id("stop").click()
    puppet.let_time_pass(12_000)
    puppet.wait_to_hear("boot", epoch=2)
    elapsed = puppet.page.locator("#elapsed").inner_text()
    puppet.tell({"type": "replay-after", "recordingId": RECORDING_ID, "sliceNumber": -1}, epoch=2)
    puppet.wait_to_hear("stop", epoch=2)
    slices = puppet.heard("slice", epoch=2)
    ended = puppet.heard("capture-ended", epoch=2)
    assert numbers_of(slices) == list(range(len(slices)))
    assert [(message["isRequested"], message["slicesCaptured"]) for message in ended] == [(True, len(slices))]
    puppet.page.clock.run_for(3_000)
    assert puppet.page.locator("#elapsed").inner_text() == elapsed


def test_record_pressed_before_a_hung_worker_dies_is_told_to_the_next_one_and_to_no_later_one(puppet: Puppet) -> None:
    puppet.hang()
    puppet.page.get_by_test_id("record").click()
    puppet.let_time_pass(12_000)
    puppet.wait_to_hear("boot", epoch=2)
    # There is nothing to press while nobody would hear it.
    assert puppet.shown["state"] == "loading"
    puppet.wait(puppet.page.get_by_test_id("record").is_disabled, "Record to be out of reach")
    # A wish that kills a worker is not repeated for ever.
    assert len(puppet.wait_to_hear("record", epoch=2)) == 1
    puppet.tell({"type": "failed", "message": "out of memory"}, epoch=2, is_heard=False)
    puppet.let_time_pass(6_000)
    puppet.come_up(epoch=3)
    puppet.wait(lambda: puppet.shown["state"] == "ready", "ready")
    puppet.page.get_by_test_id("record").click()
    assert len(puppet.wait_to_hear("record", epoch=3)) == 1
    # One that says anything after it has heard it.
    puppet.tell(a_view(), epoch=3)
    puppet.hang(epoch=3)
    puppet.let_time_pass(42_000)
    puppet.come_up(epoch=4)
    puppet.page.get_by_test_id("record").click()
    assert len(puppet.wait_to_hear("record", epoch=4)) == 1


def test_what_a_replaced_worker_still_says_is_not_heard(puppet: Puppet) -> None:
    puppet.open_capture()
    puppet.wait_to_hear("slice", count=3)
    puppet.tell({"type": "failed", "message": "out of memory"})
    puppet.let_time_pass(2_000)
    puppet.wait_to_hear("boot", epoch=2)
    puppet.tell({"type": "durable", "recordingId": RECORDING_ID, "sliceNumber": 2}, epoch=1, is_heard=False)
    puppet.tell({"type": "durable", "recordingId": RECORDING_ID, "sliceNumber": 0}, epoch=2)
    puppet.wait(lambda: puppet.shown["slicesDurable"] == "1", "the new worker's word alone")


def test_slices_held_past_the_bound_raise_an_alarm_are_offered_as_a_file_and_recording_goes_on(
    open_puppet: Callable[..., Puppet],
) -> None:
    puppet = open_puppet(
        before="""
        const Native = MediaRecorder;
        window.MediaRecorder = class extends Native {
            constructor(...given) { super(...given); window.recorder = this; }
        };
        """
    )
    puppet.come_up()
    puppet.open_capture()
    puppet.wait_to_hear("slice")  # what is kept begins as the recorder began
    offer = puppet.page.locator("#keep-file")
    give = """([text, size]) => {
        const data = Object.defineProperty(new Blob([text]), "size", { value: size }); // as large as it says it is
        window.recorder.ondataavailable({ data });
    }"""
    for text, is_alarm in (("first of the large ones,", False), ("second of the large ones.", True)):
        puppet.page.evaluate(give, [text, 300 << 20])
        puppet.let_time_pass(1_000, beating=1)
        puppet.wait(partial(_is_alarm_of_memory, puppet, is_alarm), f"the alarm: {is_alarm}")
        puppet.wait(partial(_is_shown, offer, is_alarm), f"the offer of a file: {is_alarm}")
    # What only this tab holds can be had as a file, in order, while the recording goes on.
    with puppet.page.expect_download() as download:
        offer.click()
    assert download.value.suggested_filename == f"holdfast-{RECORDING_ID}-run0.webm"
    kept = Path(download.value.path()).read_bytes()
    assert 0 < kept.index(b"first of the large ones,") < kept.index(b"second of the large ones.")
    captured = int(puppet.shown["slicesCaptured"])
    puppet.wait(lambda: int(puppet.shown["slicesCaptured"]) > captured + 2, "the recorder to go on")
    puppet.tell({"type": "durable", "recordingId": RECORDING_ID, "sliceNumber": captured})
    puppet.wait(lambda: puppet.words("alarm") == "", "the end of the alarm")
    assert not offer.is_visible()


def _is_shown(element: Locator, is_expected: bool) -> bool:
    return element.is_visible() == is_expected


def _is_alarm_of_memory(puppet: Puppet, is_expected: bool) -> bool:
    return ("only in this tab's memory" in puppet.words("alarm")) == is_expected


def test_held_slices_are_offered_as_one_file_a_run(puppet: Puppet) -> None:
    outcome = import_source(
        puppet.page,
        puppet.site,
        "shim/held_slices.js",
        """async ({ HeldSlices, SHIM_BYTES_MAX }) => {
            const held = new HeldSlices("id");
            held.runs.set(0, { started: { type: "capture-started", mimeType: "audio/webm;codecs=opus" } });
            held.runs.set(1, { started: { type: "capture-started", mimeType: "video/mp4" } });
            held.add(0, new Blob(["one"]));
            held.add(0, new Blob(["two"]));
            held.add(1, new Blob(["three"]));
            held.release(0);
            const files = held.asFiles();
            return {
                bound: SHIM_BYTES_MAX, bytesHeld: held.bytesHeld, captured: held.captured, durable: held.durable,
                names: files.map((file) => file.name), types: files.map((file) => file.type),
                texts: await Promise.all(files.map((file) => file.text())),
            };
        }""",
    )
    assert outcome == {
        "bound": 512 * 1024 * 1024,
        "bytesHeld": 8,
        "captured": 3,
        "durable": 1,
        "names": ["holdfast-id-run0.webm", "holdfast-id-run1.mp4"],
        "types": ["audio/webm;codecs=opus", "video/mp4"],
        "texts": ["two", "three"],
    }


# ---------------------------------------------------------------- the capture lock


def test_the_capture_lock_is_held_across_workers_until_the_worker_releases_it(puppet: Puppet) -> None:
    held = """async () => (await navigator.locks.query()).held
        .map((lock) => lock.name).filter((name) => name.startsWith("capture:"))"""
    puppet.tell({"type": "hold-capture-lock", "recordingId": RECORDING_ID})
    puppet.wait_to_hear("capture-lock-held")
    assert puppet.page.evaluate(held) == [f"capture:{RECORDING_ID}"]
    puppet.open_capture()
    puppet.tell({"type": "failed", "message": "died"})
    puppet.let_time_pass(2_000)
    puppet.wait_to_hear("boot", epoch=2)
    assert puppet.page.evaluate(held) == [f"capture:{RECORDING_ID}"]
    puppet.tell({"type": "hold-capture-lock", "recordingId": RECORDING_ID}, epoch=2)
    puppet.wait_to_hear("capture-lock-held", epoch=2)  # it is held already; the new worker is told so
    puppet.tell({"type": "replay-after", "recordingId": RECORDING_ID, "sliceNumber": -1}, epoch=2)
    puppet.tell({"type": "capture-stop"}, epoch=2)
    puppet.wait_to_hear("capture-ended", epoch=2)
    puppet.tell({"type": "release-capture-lock", "recordingId": RECORDING_ID}, epoch=2)
    puppet.wait(lambda: puppet.page.evaluate(held) == [], "the lock to fall free")
