"""The start from the memory snapshot, and the ordinary one whenever something is wrong with it."""

from pathlib import Path

import pytest
from playwright.sync_api import Page

from e2e.page.built_site import a_line, lay_out_again, read_build
from e2e.page.site_server import SiteServer
from e2e.recorder_page import RecorderPage
from web_build.snapshot import EXTENSION_NAME, LOADER, MEMORY_NAME

# The kept snapshot is spoilt where it is kept, from a whole one put beside it.
_SPOIL = """async ([build, path]) => {
    const spoil = (bytes) => SPOIL;
    const cache = await caches.open(`holdfast-${build}`);
    const whole = `${path}?whole`;
    if (!(await cache.match(whole))) await cache.put(whole, await cache.match(path));
    const bytes = new Uint8Array(await (await cache.match(whole)).arrayBuffer());
    await cache.put(path, new Response(spoil(bytes)));
}"""


def test_a_first_visit_starts_from_the_snapshot_once_that_is_loaded_too(
    page: Page, built_site: Path, tmp_path: Path, site: SiteServer
) -> None:
    site.folder = lay_out_again(built_site, tmp_path, worker_begins_with=a_line(0.01))
    recorder = RecorderPage(page, site.url).open()
    assert recorder.shown["started-from"] == "snapshot"
    recorder.record()
    recorder.wait_for_count("slices-durable", 10)
    recorder.stop()
    assert recorder.count("slices-durable") == recorder.count("slices-captured")


def test_a_first_visit_over_a_slow_line_does_not_wait_for_the_snapshot(
    page: Page, built_site: Path, tmp_path: Path, site: SiteServer
) -> None:
    site.folder = lay_out_again(built_site, tmp_path, worker_begins_with=a_line(100))
    site.missing.add("service_worker.js")  # which would load it afterwards
    recorder = RecorderPage(page, site.url).open()
    assert recorder.shown["started-from"] == "files"
    assert not [path for path in site.requests if path.endswith(MEMORY_NAME)]


@pytest.mark.parametrize(
    ("name", "fault"), [(MEMORY_NAME, "hanging"), (EXTENSION_NAME, "damaged"), (LOADER.name, "missing")]
)
def test_a_snapshot_that_does_not_come_whole_is_done_without(
    page: Page, built_site: Path, tmp_path: Path, site: SiteServer, name: str, fault: str
) -> None:
    site.folder = lay_out_again(built_site, tmp_path, worker_begins_with=a_line(0.01))
    if fault == "hanging":
        page.route(f"**/{name}", lambda _: None)
    else:
        getattr(site, fault).add(name)
    assert RecorderPage(page, site.url).open().shown["started-from"] == "files"


def test_a_page_that_is_kept_starts_from_its_snapshot_and_records(recorder: RecorderPage) -> None:
    recorder.open()
    assert recorder.shown["started-from"] == "snapshot"
    recorder.record()
    recorder.wait_for_count("slices-durable", 10)
    recorder.stop()
    assert recorder.count("slices-durable") == recorder.count("slices-captured")
    assert recorder.count("chunks-sealed") >= 1


@pytest.mark.parametrize(
    "spoil",
    [
        "bytes.map((byte, at) => (at < 16 || at >= 48 ? byte : byte ^ 0xff))",
        "bytes.slice(0, bytes.length / 2)",
        "bytes.fill(0, 1 << 20)",
    ],
    ids=["of-another-build", "cut-short", "with-its-memory-lost"],
)
def test_a_snapshot_that_cannot_be_used_costs_nothing_but_time(
    page: Page, built_site: Path, recorder: RecorderPage, spoil: str
) -> None:
    build = read_build(built_site)
    page.goto(f"{recorder.url}/build.json")  # a page of the origin that starts nothing
    page.evaluate(_SPOIL.replace("SPOIL", spoil), [build["name"], build["snapshot"]["folder"] + MEMORY_NAME])
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    recorder.open()
    assert recorder.shown["started-from"] == "files"
    assert [line for line in said if line.startswith("the memory snapshot could not be used")]
    recorder.record()
    recorder.wait_for_count("slices-durable", 5)
    recorder.stop()
