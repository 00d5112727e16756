"""The operator: sees at a glance whether anything is at risk, and finds where every chunk lies, with keys alone too."""

import os
from pathlib import Path
from typing import Literal

import httpx
import pytest
from playwright.sync_api import Page, expect

from e2e.looks import take_pictures
from e2e.machine import Machine, watch_until_saved
from e2e.service import Service

REVERIFY_S = 20  # the audit is to find a lost object before the browser asks about it again
AXE = Path(__file__).resolve().parents[1] / "node_modules" / "axe-core" / "axe.min.js"
# The page's policy lets no foreign script in; axe runs as a script of the driver.
_RUN_AXE = (
    "async () => (await axe.run()).violations.map((v) => [v.impact, v.id, v.nodes.map((n) => n.target).join(' ')])"
)


_ROOM_LEFT_BY_CHARTS = """() => Math.min(...[...document.querySelectorAll("#charts figure")].map(
    (figure) => figure.clientWidth - figure.querySelector(".u-wrap").offsetWidth))"""


@pytest.fixture(scope="module")
def recorded() -> list[str]:
    """What the module's stories have recorded to be looked at."""
    return []


@pytest.fixture
def recording_id(service: Service, machine: Machine, recorded: list[str]) -> str:
    """A complete recording of many chunks; the stories share it, and the last that looks at it may damage it."""
    if not recorded:
        tab = machine.open_tab()
        recording_id, take = machine.record(tab)
        watch_until_saved(tab, take, 25)
        tab.stop()
        tab.wait_for_row(recording_id, "complete")
        recorded.append(recording_id)
    return recorded[0]


def open_ops(machine: Machine, **viewport: int) -> Page:
    page = machine.browser.new_page()
    if viewport:
        page.set_viewport_size(viewport)  # type: ignore[arg-type]
    page.goto(f"{machine.url}/ops")
    expect(page.locator('[data-testid="ops"]')).to_have_attribute("data-state", "shown")
    return page


def assert_nothing_is_beyond_the_edge(page: Page) -> None:
    """Neither of the page nor of a table in it, at the narrowest width that WCAG 2.2 (1.4.10) asks for."""
    assert page.viewport_size is not None and page.viewport_size["width"] == 320
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert page.evaluate(
        "[...document.querySelectorAll('.scroll')].every((each) => each.scrollWidth <= each.clientWidth)"
    )


def test_the_operator_sees_receipts_as_they_come_and_that_nothing_is_at_risk(
    service: Service, machine: Machine
) -> None:
    page = open_ops(machine)
    for number in range(40):
        body = {"chunkId": f"ops-{number}-{os.urandom(8).hex()}", "data": "x" * 500}
        assert httpx.post(f"{service.url}/api/chunks/upload", json=body, trust_env=False).status_code == 200
    receipts = page.locator("#tiles > div", has=page.get_by_text("Receipts", exact=True)).locator("dd")
    expect(receipts).not_to_contain_text("0.0", timeout=30_000)
    checks = page.locator("#checks .mark").all_inner_texts()
    assert len(checks) >= 4
    assert set(checks) == {"ok"}
    expect(page.locator("#charts figure")).to_have_count(4)
    # Also drawn anew, in the colours of the night, each chart keeps to its own room, and says what it is pointed at.
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(_ROOM_LEFT_BY_CHARTS) >= 0
    page.locator("#charts .u-over").first.hover()
    expect(page.locator("#charts figcaption").first).to_contain_text(" at ")
    page.emulate_media(color_scheme="light")
    for name in ("audit", "scrub", "collect"):
        page.get_by_test_id(f"run-{name}").click()
        expect(page.get_by_test_id(f"last-{name}")).to_contain_text("Ended", timeout=30_000)
    take_pictures(page, "ops")


def test_the_operator_sees_that_the_server_is_away_and_that_it_is_back(service: Service, machine: Machine) -> None:
    page = open_ops(machine)
    service.gate.away()
    # What is still to be seen is no longer so, and says since when.
    expect(page.locator("#verdict")).to_contain_text(
        "The server does not answer. Below is how it was at", timeout=30_000
    )
    take_pictures(page, "ops-away")
    service.gate.back()
    expect(page.locator('[data-testid="ops"]')).to_have_attribute("data-state", "shown", timeout=30_000)


def test_the_page_is_whole_at_320_px_and_axe_finds_nothing_serious(
    service: Service, machine: Machine, recording_id: str
) -> None:
    page = open_ops(machine, width=320, height=700)
    page.goto(f"{machine.url}/ops#recording={recording_id}&from=0")
    page.locator('[data-testid="places"] button').first.click()
    expect(page.get_by_test_id("opened-chunk").locator("pre")).to_be_visible()
    assert_nothing_is_beyond_the_edge(page)
    page.evaluate(AXE.read_text())
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for scheme in schemes:
        page.emulate_media(color_scheme=scheme)
        serious = [found for found in page.evaluate(_RUN_AXE) if found[0] in ("serious", "critical")]
        assert serious == [], scheme


def test_where_a_chunk_lies_is_found_by_keys_alone_and_a_lost_object_shows_as_gone(
    service: Service, machine: Machine, recording_id: str
) -> None:
    held = service.stores.chunks(recording_id)
    wanted = held[len(held) // 2]
    page = open_ops(machine)
    page.get_by_label("Recording or chunkId").focus()
    page.keyboard.type(recording_id)
    page.keyboard.press("Tab")
    page.keyboard.press("Control+A")
    page.keyboard.type(str(wanted.chunk_index))
    page.keyboard.press("Enter")
    row = page.locator(f'[data-testid="places"] tr[data-chunk="{wanted.chunk_index}"]')
    expect(row).to_contain_text(wanted.key)
    row.locator("button").focus()
    page.keyboard.press("Enter")
    opened = page.get_by_test_id("opened-chunk")
    expect(opened).to_be_focused()
    expect(opened).to_contain_text(wanted.sha256)
    expect(opened).to_contain_text("their digest is right")
    shown: str = opened.locator("pre").inner_text()
    body = service.stores.read(wanted)
    assert "".join(line[6:53].replace(" ", "") for line in shown.splitlines()) == body[:256].hex()
    take_pictures(page, "ops-chunk")

    # The same address, after somebody emptied the bucket behind our back
    service.stores.remove(wanted.key)
    page.reload()
    row.locator("button").click()
    expect(page.get_by_test_id("object-gone")).to_be_visible()
    expect(page.locator("#verdict")).to_have_attribute("data-kind", "alarm", timeout=30_000)
    take_pictures(page, "ops-gone")


def test_the_operator_finds_a_lost_object_and_watches_it_heal(service: Service, machine: Machine) -> None:
    # Given a complete recording whose bytes the browser still holds, and an object that somebody removed
    page = open_ops(machine)
    tab = machine.open_tab(keep_verified_s=3_600, reverify_s=REVERIFY_S)
    recording_id, take = machine.record(tab)
    watch_until_saved(tab, take, 15)
    tab.stop()
    tab.wait_for_row(recording_id, "complete")
    lost = service.stores.chunks(recording_id)[1]
    service.stores.remove(lost.key)

    # When the operator runs an audit
    page.get_by_test_id("run-audit").click()
    findings = f"{service.url}/api/findings?recording_id={recording_id}"
    tab.wait(lambda: httpx.get(findings, trust_env=False).json()["findings"], "it to find the lost object")

    # Then the finding says what is lost and what to do, and the head of the page that something is
    kinds = page.get_by_test_id("finding-kinds")
    expect(kinds).to_contain_text("missing", timeout=60_000)
    expect(kinds).to_contain_text("asked for again")
    expect(page.get_by_test_id("last-audit")).to_contain_text("Objects missing")
    expect(page.locator("#verdict")).to_have_attribute("data-kind", "alarm")
    take_pictures(page, "ops-finding")

    # And it heals by itself, because the browser sends the bytes again
    tab.wait(lambda: service.stores.recording_state(recording_id) == "complete", "the recording to be whole again")
    open_ones = f"{findings}&resolved=false"
    tab.wait(lambda: httpx.get(open_ones, trust_env=False).json()["findings"] == [], "its finding to be settled")
    page.goto(f"{machine.url}/ops#recording={recording_id}&from={lost.chunk_index}")
    page.reload()
    page.locator(f'[data-testid="places"] tr[data-chunk="{lost.chunk_index}"] button').click()
    expect(page.get_by_test_id("opened-chunk")).to_contain_text("their digest is right")
    assert service.stores.read_recording(recording_id) == take.content
    # A finding's row is as narrow as a phone.
    page.set_viewport_size({"width": 320, "height": 700})
    expect(page.get_by_text("The newest findings")).to_be_visible()
    tab.wait(lambda: page.evaluate("document.documentElement.scrollWidth") <= 320, "the charts to follow")
    assert_nothing_is_beyond_the_edge(page)
