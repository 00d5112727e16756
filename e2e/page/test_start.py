"""The page's start: whole or not at all, and always with words."""

from pathlib import Path

import pytest
from playwright.sync_api import Page

from e2e.page.built_site import lay_out_again
from e2e.page.site_server import SiteServer, serving
from e2e.recorder_page import READY_LIMIT_S, RecorderPage


def opened(page: Page, site: SiteServer) -> RecorderPage:
    recorder = RecorderPage(page, site.url)
    recorder.visit()
    return recorder


def test_the_page_loads_to_ready_under_its_policy_and_asks_its_own_origin_for_everything(
    page: Page, site: SiteServer
) -> None:
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.context.on("request", lambda request: asked.append(request.url))
    recorder = opened(page, site)
    shown = recorder.shown
    assert shown["testid"] == "recorder"
    recorder.wait_for_state("ready", limit_s=READY_LIMIT_S)
    for name in ("slices-captured", "slices-durable", "bytes-captured"):
        assert recorder.shown[name] == "0"
    for name in ("chunks-sealed", "chunks-acknowledged", "chunks-verified", "chunks-cleared"):
        assert recorder.shown[name] == "0"
    assert recorder.shown["online"] == "true"
    recorder.wait(
        lambda: recorder.shown["recovering"] == "false", "nothing to be recovered"
    )  # after Record is possible
    assert page.get_by_test_id("record").is_enabled()
    assert not [line for line in said if "Content Security Policy" in line]
    # Nothing is resolved at run time.
    addresses = [address for address in asked if not address.startswith(("blob:", "data:"))]
    assert addresses and all(address.startswith(site.url) for address in addresses)
    assert not [address for address in addresses if "micropip" in address or "pyodide-lock" in address]


def test_first_paint_does_not_wait_for_the_runtime(page: Page, site: SiteServer) -> None:
    # Given a runtime that never arrives, the page is there, says what it does, and shows no Record to press.
    page.route("**/pyodide.asm.wasm", lambda _: None)
    recorder = opened(page, site)
    recorder.wait(lambda: page.locator("#start").is_visible(), "the progress bar")
    assert recorder.state == "loading"
    assert "Loading the recorder" in recorder.words
    assert page.get_by_test_id("record").is_disabled()
    assert page.get_by_test_id("source-camera").is_enabled()


@pytest.mark.parametrize(
    "ending",
    ["/worker.js", "pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip", "wasm32.whl", "any.whl"],
)
def test_a_damaged_file_fails_the_start_by_name(page: Page, site: SiteServer, ending: str) -> None:
    site.damaged.add(ending)
    words = _wait_for_failure(opened(page, site))
    assert ending in words
    assert "Try again" in words


@pytest.mark.parametrize("ending", ["/worker.js", "pyodide.asm.wasm", "python_stdlib.zip", "wasm32.whl"])
def test_a_missing_file_fails_the_start_by_name(page: Page, site: SiteServer, ending: str) -> None:
    site.missing.add(ending)
    words = _wait_for_failure(opened(page, site))
    assert ending in words
    assert "404" in words


def test_try_again_starts_anew_once_the_file_is_there_and_whole(page: Page, site: SiteServer) -> None:
    try_again = page.get_by_role("button", name="Try again")
    site.missing.add("python_stdlib.zip")
    recorder = opened(page, site)
    _wait_for_failure(recorder)
    site.missing.clear()
    site.damaged.add("python_stdlib.zip")  # and from then on in the HTTP cache, where the address lasts for a year
    try_again.click()
    recorder.wait(lambda: "arrived damaged" in recorder.words, "the spoiled file to be named")
    site.damaged.clear()
    try_again.click()
    recorder.wait_for_state("ready", limit_s=READY_LIMIT_S)


def test_a_page_whose_script_never_runs_says_so_by_itself(page: Page, site: SiteServer) -> None:
    site.damaged.add("page.js")  # the browser refuses it, because its digest stands in index.html
    session = page.context.new_cdp_session(page)
    session.send("Animation.enable")
    session.send("Animation.setPlaybackRate", {"playbackRate": 100})  # the style sheet waits 12 s before it speaks
    recorder = opened(page, site)
    stuck = page.locator(".start-stuck")
    recorder.wait(stuck.is_visible, "the words that need no script")
    assert "reload the page" in stuck.inner_text()
    assert recorder.state == "loading"


def test_a_browser_without_a_recorder_is_told_before_anything_is_loaded(page: Page, site: SiteServer) -> None:
    page.add_init_script("delete window.MediaRecorder")
    words = _wait_for_failure(opened(page, site))
    assert "cannot record" in words
    assert not [path for path in site.requests if path.endswith(".wasm")]


def test_an_address_that_is_not_secure_is_explained(page: Page, site: SiteServer) -> None:
    page.add_init_script("Object.defineProperty(window, 'isSecureContext', { value: false })")
    assert "https" in _wait_for_failure(opened(page, site))


def test_a_worker_that_dies_as_it_begins_is_said(page: Page, built_site: Path, tmp_path: Path) -> None:
    dying = lay_out_again(built_site, tmp_path, worker_begins_with="throw new Error('made to fail');\n")
    with serving(dying) as site:
        assert "made to fail" in _wait_for_failure(opened(page, site))


def test_storage_that_is_refused_is_said_before_record_is_enabled(page: Page, built_site: Path, tmp_path: Path) -> None:
    # As in a private window of Firefox: the worker's own storage refuses.
    refusal = "StorageManager.prototype.getDirectory = () => Promise.reject(new DOMException('no', 'SecurityError'));\n"
    with serving(lay_out_again(built_site, tmp_path, worker_begins_with=refusal)) as site:
        words = _wait_for_failure(opened(page, site))
    assert "storage" in words.lower()


def _wait_for_failure(recorder: RecorderPage) -> str:
    recorder.wait(lambda: recorder.state == "failed", "the failure", READY_LIMIT_S)
    page = recorder.page
    failure = page.locator("#failure")
    recorder.wait(failure.is_visible, "its words")
    assert page.get_by_test_id("record").is_disabled()
    words = failure.inner_text()
    assert words.startswith("Holdfast cannot start")
    return words
