"""The page in each of its states, looked through by axe: nothing serious, light and dark, on a phone and on a desk."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from e2e.looks import take_pictures
from e2e.page.built_site import ROOT
from e2e.page.puppet import RECORDING_ID, Puppet, a_row, a_view

AXE: Path = ROOT / "node_modules" / "axe-core" / "axe.min.js"
OTHER_ID = RECORDING_ID[:-1] + "2"
THIRD_ID = RECORDING_ID[:-1] + "3"
FOURTH_ID = RECORDING_ID[:-1] + "4"
# One of every state that a row can be in, and of what stands in it then.
ROWS: list[dict[str, Any]] = [
    {"state": "recording", "isLive": True, "bytesCaptured": 4_200_000, "bytesLocal": 4_200_000, "durationMs": 95_000},
    {"state": "parked", "chunksSealed": 4, "chunksParked": 1, "problem": "chunk 3 is set aside: it differs"}
    | {"play": "device", "bytesCaptured": 2_400_000, "bytesLocal": 600_000},
    {"state": "saved", "chunksSealed": 9, "bytesCaptured": 9_000_000, "bytesLocal": 9_000_000, "play": "device"},
    {"state": "uploading", "chunksSealed": 4, "chunksAcknowledged": 1, "title": "A talk", "bytesCaptured": 4_000_000}
    | {"bytesLocal": 4_000_000, "play": "device", "durationMs": 3_661_000, "mimeType": "video/webm"},
    {"state": "uploaded", "bytesCaptured": 800_000, "bytesLocal": 800_000, "play": "device"},
    {"state": "verified", "bytesCaptured": 800_000, "play": "server", "durationMs": 40_000},
    {"state": "complete", "isCertified": True, "play": "server", "durationMs": 61_000, "bytesCaptured": 950_000}
    | {"title": "Interview with the keeper of the lighthouse at the northern harbour, second part"},
    {"state": "damaged", "isCertified": True, "play": "server", "durationMs": 61_000, "bytesCaptured": 950_000}
    | {"mediaNote": "The last 3 seconds could not be read."},
    {"state": "stalled", "play": "server", "durationMs": 61_000, "bytesCaptured": 950_000},
    {"state": "elsewhere", "play": "server", "bytesCaptured": 950_000},
    {"state": "deleting", "play": "device", "bytesCaptured": 950_000},
]


def findings(puppet: Puppet) -> list[str]:
    """What axe finds serious or worse, in words."""
    # Where the page's clock is the test's, axe's own timers wait for it.
    puppet.page.evaluate(
        """() => {
            window.found = null;
            axe.run({ resultTypes: ["violations"] }).then((found) => { window.found = found });
        }"""
    )

    def look() -> Any:
        puppet.page.clock.run_for(100)
        return puppet.page.evaluate("() => window.found?.violations")

    (violations,) = puppet.wait(lambda: [found] if (found := look()) is not None else [], "axe")
    return [
        f"{each['id']}: {each['help']}: {[node['html'] for node in each['nodes']][:3]}"
        for each in violations
        if each["impact"] in ("serious", "critical")
    ]


def draw(page: Page) -> None:
    """Frames come with the test's clock."""
    page.clock.run_for(200)


def show_ready(puppet: Puppet) -> None:
    puppet.tell(a_view())


def show_help(puppet: Puppet) -> None:
    puppet.page.get_by_test_id("help").click()
    puppet.wait(lambda: puppet.words("help-dialog") != "", "the help")


def show_countdown(puppet: Puppet) -> None:
    puppet.tell(a_view())
    puppet.wait(lambda: puppet.page.get_by_test_id("choose-countdown").is_visible(), "the page again")
    puppet.page.get_by_test_id("choose-countdown").select_option("10")
    puppet.ask_to_capture(source="camera")
    puppet.tell(a_view(state="recording", current=a_row()))
    puppet.wait(lambda: puppet.words("countdown") != "", "the countdown")


def show_recording(puppet: Puppet) -> None:
    def has_begun() -> bool:
        puppet.page.clock.run_for(100)  # the countdown's end, unless it came while axe looked
        return int(puppet.shown["slicesCaptured"]) > 0 and puppet.words("level") != ""

    puppet.wait(has_begun, "the level")


def show_list(puppet: Puppet) -> None:
    rows = [
        a_row(state="parked", chunksSealed=4, chunksParked=1, problem="chunk 3 is set aside", play="device"),
        a_row(recordingId=OTHER_ID, state="uploading", chunksSealed=4, chunksAcknowledged=1, title="A talk"),
        a_row(recordingId=THIRD_ID, state="complete", isCertified=True, play="server", durationMs=61_000),
    ]
    puppet.page.keyboard.press("Escape")  # closes the help
    alarm = "This device is full. Free some space before you record."
    words = {"server": "The server does not answer.", "storage": "This browser keeps it.", "bytesFreeable": 5_000_000}
    puppet.tell(a_view(state="idle", current=rows[2], recordings=rows, alarm=alarm, **words))
    puppet.wait(lambda: puppet.page.locator(".row").count() == 3, "the rows")
    puppet.page.locator(".row").nth(0).get_by_test_id("delete").click()
    puppet.page.locator(".row").nth(0).get_by_test_id("rename").click()


def show_rows(puppet: Puppet) -> None:
    puppet.page.keyboard.press("Escape")  # the title stays as it is
    puppet.page.get_by_test_id("undo").click()
    ids = [f"{RECORDING_ID[:-3]}{100 + number}" for number in range(len(ROWS))]
    begun = a_row()["startedAtMs"]
    rows = [
        a_row(recordingId=recording_id, startedAtMs=begun - 4_000_000 * number, **row)
        for number, (recording_id, row) in enumerate(zip(ids, ROWS, strict=True))
    ]
    puppet.tell(a_view(state="idle", recordings=rows, storage="This browser keeps it.", bytesFreeable=5_000_000))
    puppet.wait(lambda: puppet.page.locator(".row").count() == len(ROWS), "the rows")


def show_nothing_found(puppet: Puppet) -> None:
    puppet.page.get_by_test_id("search").fill("zebra")
    puppet.tell({"type": "listed", "rows": [], "gone": [], "hasMore": False, "isWaiting": False})
    puppet.wait(lambda: "No recording matches" in puppet.page.locator("main").inner_text(), "the words")
    puppet.page.get_by_text("Filter", exact=True).click()


def show_certificate(puppet: Puppet) -> None:
    puppet.page.get_by_test_id("search").fill("")
    counts = {"chunk_count": 1_234, "byte_count": 3_000_000}
    certificate = {"certified_at": "2026-01-02T03:04:05Z", "root": "ab" * 32, **counts}
    puppet.page.route("**/certificate", lambda route: route.fulfill(json=certificate))
    puppet.page.get_by_test_id("certificate").first.click()
    puppet.wait(lambda: "1,234 chunks" in puppet.words("certificate-dialog"), "the certificate")


def show_player(puppet: Puppet) -> None:
    puppet.page.keyboard.press("Escape")  # closes the certificate
    saved = a_row(recordingId=FOURTH_ID, state="saved", play="device", chunksSealed=1)
    puppet.tell(a_view(recordings=[saved]))
    puppet.wait(lambda: puppet.page.locator(".row").count() == 1, "the row")
    puppet.page.get_by_test_id("play").click()
    puppet.wait(lambda: puppet.words("player") != "", "the player")


def show_failure(puppet: Puppet) -> None:
    puppet.page.keyboard.press("Escape")  # closes the player
    puppet.tell(a_view(state="failed", alarm="Nothing can be saved in this window."))
    puppet.wait(lambda: puppet.shown["state"] == "failed", "the failure")


STATES: list[Callable[[Puppet], None]] = [
    show_ready,
    show_help,
    show_list,
    show_rows,
    show_nothing_found,
    show_certificate,
    show_player,
    show_failure,
    show_countdown,
    show_recording,
]
DIALOGS = (show_help, show_certificate, show_player)


@pytest.mark.parametrize(
    ("scheme", "width"), [("light", 1280), ("dark", 390)], ids=["light-on-a-desk", "dark-on-a-phone"]
)
def test_axe_finds_nothing_serious_in_any_state(open_puppet: Callable[..., Puppet], scheme: Any, width: int) -> None:
    puppet = open_puppet()
    puppet.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    puppet.page.set_viewport_size({"width": width, "height": 800})
    puppet.page.evaluate(AXE.read_text())
    found = {"loading": findings(puppet)}
    puppet.come_up()
    puppet.wait(lambda: puppet.shown["state"] == "ready", "the page")
    for show in STATES:
        show(puppet)
        found[show.__name__] = findings(puppet)
        if scheme == "light":
            take_pictures(
                puppet.page, f"page-{show.__name__[5:].replace('_', '-')}", is_full=show not in DIALOGS, settled=draw
            )
    assert found == {name: [] for name in found}
    moving = "[...document.querySelectorAll('*')].filter((each) => getComputedStyle(each).animationName !== 'none')"
    assert puppet.page.evaluate(f"{moving}.length") == 0, (
        "who asked for less motion sees none, a recording's lamp neither"
    )
