"""A recording with the real client in the page and no server at all: everything is saved on the device."""

from playwright.sync_api import Page, expect

from e2e.recorder_page import RecorderPage


def test_every_slice_is_durable_though_there_is_no_server(page: Page, recorder: RecorderPage) -> None:
    recorder.open()
    recording_id = recorder.record()
    recorder.wait_for_count("slices-durable", 15)
    recorder.stop()
    shown = recorder.shown
    assert shown["slices-durable"] == shown["slices-captured"]
    assert int(shown["bytes-captured"]) > 0
    assert int(shown["chunks-sealed"]) >= 2
    assert shown["chunks-acknowledged"] == "0"
    assert set(recorder.rows) == {recording_id}
    # The server's absence is information, the words say that the tab may be closed, and nothing questions that.
    recorder.wait(page.get_by_test_id("calm").is_visible, "the calm words about the server")
    assert not page.get_by_test_id("alarm").is_visible()
    recorder.wait(lambda: "You can close this tab" in page.get_by_test_id("verdict").inner_text(), "the verdict")


def test_a_recording_is_there_again_after_a_reload(page: Page, recorder: RecorderPage) -> None:
    recorder.open()
    recording_id = recorder.record()
    recorder.wait_for_count("slices-durable", 10)
    recorder.stop()
    captured = recorder.count("bytes-captured")
    page.reload()
    recorder.wait_for_state("ready", "idle", limit_s=90)
    recorder.wait(lambda: recording_id in recorder.rows, "the recording in the list")
    row = page.locator(f'[data-recording-id="{recording_id}"].row')
    assert "on this device" in row.inner_text()
    assert captured > 0


def test_a_worker_that_dies_in_a_recording_costs_no_slice(page: Page, recorder: RecorderPage) -> None:
    page.clock.install()
    recorder.open()
    recording_id = recorder.record()
    recorder.wait_for_count("slices-durable", 10)
    page.workers[0].evaluate("() => self.close()")
    durable = recorder.count("slices-durable")
    # The window's own seconds, nothing waits for them: silence is shown after 2 and the worker replaced after 10.
    for _ in range(4):
        page.clock.run_for(1_000)
    recorder.wait(lambda: page.get_by_test_id("alarm").is_visible(), "the alarm while nobody saves")
    for _ in range(10):
        page.clock.run_for(1_000)
    recorder.wait(lambda: recorder.count("slices-durable") > durable + 10, "a new worker to save slices", 90)
    assert recorder.recording_id == recording_id
    recorder.wait(lambda: not page.get_by_test_id("alarm").is_visible(), "the end of the alarm")
    recorder.stop()
    shown = recorder.shown
    assert shown["slices-durable"] == shown["slices-captured"]
    assert set(recorder.rows) == {recording_id}


def test_a_worker_that_runs_out_of_memory_is_replaced_and_costs_no_slice(page: Page, recorder: RecorderPage) -> None:
    # Given a worker whose memory cannot grow any more, and a slice larger than all it has
    page.add_init_script("""
        const Native = MediaRecorder;
        window.MediaRecorder = class extends Native {
            constructor(...given) { super(...given); window.recorder = this; }
        };
    """)
    recorder.open()
    recording_id = recorder.record()
    recorder.wait_for_count("slices-durable", 5)
    page.workers[0].evaluate(
        "() => { WebAssembly.Memory.prototype.grow = () => { throw new RangeError('out of memory'); }; }"
    )
    large = page.evaluate(
        """() => {
            const data = new Blob([new Uint8Array(48 << 20).fill(7)]);
            window.recorder.ondataavailable({ data });
            return Number(document.body.dataset.slicesCaptured);
        }"""
    )
    # Then the next worker, which has memory again, is given it and everything after it
    recorder.wait(lambda: recorder.count("slices-durable") > large + 5, "a new worker to save slices", 90)
    assert [worker.evaluate("self.name") for worker in page.workers] == ["holdfast-2"]
    recorder.stop()
    shown = recorder.shown
    assert shown["slices-durable"] == shown["slices-captured"]
    assert int(shown["bytes-captured"]) > 48 << 20
    assert recorder.rows.keys() == {recording_id}


def test_pause_and_resume_are_shown_and_nothing_is_captured_in_between(page: Page, recorder: RecorderPage) -> None:
    recorder.open()
    recorder.record()
    recorder.wait_for_count("slices-durable", 5)
    recorder.pause()
    recorder.wait(lambda: recorder.shown["paused"] == "true", "the pause")
    recorder.wait(lambda: recorder.count("slices-durable") == recorder.count("slices-captured"), "all saved")
    expect(page.locator("#state-text")).to_have_text("Paused")
    captured = recorder.count("slices-captured")
    recorder.pause()
    recorder.wait_for_count("slices-durable", captured + 5)
    expect(page.locator("#state-text")).to_have_text("Recording")
    recorder.stop()


def test_a_recording_is_deleted_after_the_moment_of_undo_and_only_then(page: Page, recorder: RecorderPage) -> None:
    recorder.open(undo_s=3)
    recording_id = recorder.record()
    recorder.wait_for_count("slices-durable", 3)
    row = page.locator(f'[data-recording-id="{recording_id}"].row')
    assert row.get_by_test_id("delete").is_disabled()  # it is being recorded
    recorder.stop()
    recorder.delete(recording_id)
    page.get_by_test_id("undo").click()
    assert recording_id in recorder.rows
    recorder.delete(recording_id)
    page.get_by_test_id("toast").wait_for(state="detached")
    recorder.wait(lambda: recorder.rows.get(recording_id) in (None, "deleting"), "the recording to go")
