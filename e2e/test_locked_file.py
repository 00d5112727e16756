"""A dead tab's file handle can linger: recovery reads and sends what lies behind it, and removes it later."""

from pathlib import Path

from e2e.machine import Machine, assert_kept, watch_until_saved
from e2e.network_gate import drop_api
from e2e.service import Service

HOLDER = Path(__file__).with_name("file_holder.mjs")
ASK = """(message) => new Promise((resolve) => {
    window.holder.onmessage = ({ data }) => resolve(data);
    window.holder.postMessage(message);
})"""
FOLDERS = """async () => Array.fromAsync(
    (await (await navigator.storage.getDirectory()).getDirectoryHandle("holdfast")).keys())"""


def test_a_recording_whose_files_are_locked_reaches_the_bucket_and_goes_when_the_lock_does(
    service: Service, machine: Machine
) -> None:
    # Given a dead tab's recording, and somebody who still holds every file of it
    tab = machine.open_tab()
    service.gate.rule = drop_api
    recording_id, take = machine.record(tab)
    promised = watch_until_saved(tab, take, 15)
    machine.kill_tabs()
    page = machine.browser.new_page()
    page.route(
        "**/file_holder.mjs", lambda route: route.fulfill(body=HOLDER.read_text(), content_type="text/javascript")
    )
    page.goto(f"{service.url}/build.json")
    page.evaluate("() => { window.holder = new Worker('/file_holder.mjs', { type: 'module' }); }")
    assert page.evaluate(ASK, recording_id) >= 2

    # When the page opens
    service.gate.back()
    tab = machine.open_tab()

    # Then it is read, sent, certified and listed, though nothing of it can be written or removed
    tab.wait_for_row(recording_id, "complete", limit_s=120)
    assert_kept(service.stores, recording_id, take, promised)
    assert recording_id in page.evaluate(FOLDERS)

    # And its space is freed when the lock is gone
    page.evaluate(ASK, "release")
    tab.wait(lambda: recording_id not in page.evaluate(FOLDERS), "the folder to go", 90)
    page.close()
