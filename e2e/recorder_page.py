"""The recorder as a person uses it, through nothing but the data-testid and data-* of its root element.

Every wait is for a condition, with a limit generous enough for a slow and busy machine; a wait that
fails says what the page showed instead.
"""

import time
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlencode

from playwright.sync_api import Locator, Page

T = TypeVar("T")

READY_LIMIT_S = 90.0  # the runtime boots from an empty cache on a busy machine
STEP_LIMIT_S = 60.0

# Small chunks soon, so that a recording of seconds has many of them.
QUICK: dict[str, int | str] = {
    "slice_ms": 100,
    "chunk_bytes": 16_384,
    "chunk_ms": 500,
    "verify_after_s": 0,
    "keep_verified_s": 0,
    "undo_s": 0,  # what is deleted goes at once
}


def wait_until(page: Page, holds: Callable[[], T], what: str, limit_s: float, shown: Callable[[], object]) -> T:
    """The first true value of `holds`; else an `AssertionError` with what was waited for and what is `shown`."""
    deadline = time.monotonic() + limit_s
    while True:
        value = holds()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {limit_s:.0f} s for: {what}; shown instead: {shown()}")
        page.wait_for_timeout(50)  # lets the browser's messages in; the condition decides, not the time


class RecorderPage:
    """One tab with the recorder in it."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url

    def open(self, **settings: int | str) -> "RecorderPage":
        """Open the page, with `QUICK` settings unless others are given, and wait until Record is enabled."""
        self.visit(**settings)
        self.wait_for_state("ready", "idle", limit_s=READY_LIMIT_S)
        return self

    def visit(self, **settings: int | str) -> None:
        """Open the page without waiting for its worker."""
        self.page.goto(f"{self.url}/?{urlencode(QUICK | settings)}")

    # -- what it shows

    @property
    def shown(self) -> dict[str, str]:
        """The root's data-*, by their names with hyphens; empty while there is no root."""
        read: dict[str, str] = self.page.evaluate(
            """() => {
                const root = document.querySelector('[data-testid="recorder"]');
                const names = root ? root.getAttributeNames().filter((name) => name.startsWith("data-")) : [];
                return Object.fromEntries(names.map((name) => [name.slice(5), root.getAttribute(name)]));
            }"""
        )
        return read

    @property
    def state(self) -> str:
        return self.shown.get("state", "")

    @property
    def recording_id(self) -> str:
        return self.shown.get("recording-id", "")

    def count(self, name: str) -> int:
        """A counter such as `slices-durable`; 0 while there is none."""
        return int(self.shown.get(name) or 0)

    @property
    def rows(self) -> dict[str, str]:
        """The recordings list: state by recording_id."""
        read: dict[str, str] = self.page.evaluate(
            """() => Object.fromEntries(
                [...document.querySelectorAll('[data-testid="recordings"] [data-recording-id]')]
                    .map((row) => [row.dataset.recordingId, row.dataset.state]))"""
        )
        return read

    @property
    def words(self) -> str:
        """Everything a person can read on the page."""
        return self.page.locator("body").inner_text()

    # -- what a person does

    def choose(self, source: str) -> None:
        """Choose what to record: microphone, camera, screen."""
        self.page.locator("label", has=self.page.get_by_test_id(f"source-{source}")).click()

    def record(self, source: str = "") -> str:
        """Press Record and wait until the recorder runs; the recording's id."""
        before = self.recording_id
        if source:
            self.choose(source)
        self.page.get_by_test_id("record").click()
        self.wait_for_state("recording")
        self.wait(lambda: self.recording_id not in ("", before), "the new recording's id")
        return self.recording_id

    def stop(self) -> None:
        """Press Stop and wait until every slice is saved."""
        self.page.get_by_test_id("stop").click()
        self.wait_for_state("idle", "ready")

    def pause(self) -> None:
        """Press Pause; pressed again it resumes."""
        self.page.get_by_test_id("pause").click()

    def delete(self, recording_id: str) -> None:
        """Press Delete in the recording's row."""
        self.row(recording_id).get_by_test_id("delete").click()

    def row(self, recording_id: str) -> Locator:
        """The recording's row of the list."""
        return self.page.locator(f'[data-testid="recordings"] [data-recording-id="{recording_id}"]')

    # -- waits

    def wait(self, holds: Callable[[], T], what: str, limit_s: float = STEP_LIMIT_S) -> T:
        """Until the condition holds."""
        return wait_until(self.page, holds, what, limit_s, lambda: {**self.shown, "rows": self.rows})

    def wait_for_state(self, *states: str, limit_s: float = STEP_LIMIT_S) -> None:
        """Until the page is in one of the states; at once a failure where it says `failed` instead."""

        def holds() -> bool:
            state = self.state
            assert state != "failed" or "failed" in states, f"the page failed: {self.words}"
            return state in states

        self.wait(holds, f"state {' or '.join(states)}", limit_s)

    def wait_for_count(self, name: str, at_least: int, limit_s: float = STEP_LIMIT_S) -> int:
        """Until the counter has come so far."""
        self.wait(lambda: self.count(name) >= at_least, f"{name} >= {at_least}", limit_s)
        return self.count(name)

    def wait_for_row(self, recording_id: str, *states: str, limit_s: float = STEP_LIMIT_S) -> None:
        """Until the list shows the recording in one of the states."""
        self.wait(lambda: self.rows.get(recording_id) in states, f"{recording_id} {' or '.join(states)}", limit_s)
