"""The start from the memory snapshot, and the ordinary one whenever something is wrong with it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page

from e2e.page.built_site import lay_out_again, read_build
from e2e.page.site_server import SiteServer
from e2e.page.test_offline import wait_for_offline_use
from e2e.recorder_page import READY_LIMIT_S, RecorderPage


def open_again(recorder: RecorderPage) -> None:
    wait_for_offline_use(recorder)
    recorder.page.reload()
    recorder.wait_for_state("ready", "idle", limit_s=READY_LIMIT_S)


def test_a_page_that_is_kept_starts_from_its_snapshot_and_records(page: Page, site: SiteServer) -> None:
    recorder = RecorderPage(page, site.url).open()
    assert recorder.shown["started-from"] == "files"
    open_again(recorder)
    assert recorder.shown["started-from"] == "snapshot"
    recorder.record()
    recorder.wait_for_count("slices-durable", 10)
    recorder.stop()
    assert recorder.count("slices-durable") == recorder.count("slices-captured")
    assert recorder.count("chunks-sealed") >= 1


def of_another_build(snapshot: bytes) -> bytes:
    return snapshot[:16] + bytes(byte ^ 0xFF for byte in snapshot[16:48]) + snapshot[48:]


def cut_short(snapshot: bytes) -> bytes:
    return snapshot[: len(snapshot) // 2]


def with_its_memory_lost(snapshot: bytes) -> bytes:
    return snapshot[: 1 << 20] + bytes(len(snapshot) - (1 << 20))


@pytest.mark.parametrize("spoil", [of_another_build, cut_short, with_its_memory_lost])
def test_a_snapshot_that_cannot_be_used_costs_nothing_but_time(
    page: Page, built_site: Path, site: SiteServer, tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    spoilt = tmp_path / "spoilt"
    spoilt.write_bytes(spoil((built_site / read_build(built_site)["snapshot"]).read_bytes()))
    site.folder = lay_out_again(built_site, tmp_path, snapshot=spoilt)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    recorder = RecorderPage(page, site.url).open()
    open_again(recorder)
    assert recorder.shown["started-from"] == "files"
    assert [line for line in said if line.startswith("the memory snapshot could not be used")]
    recorder.record()
    recorder.wait_for_count("slices-durable", 5)
    recorder.stop()
