"""What a story that failed leaves in .build/e2e-artifacts/: what its pages said and showed."""

import contextlib
import re
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Page

ARTIFACTS: Final = Path(".build/e2e-artifacts")
REPORTS: Final = pytest.StashKey[dict[str, pytest.TestReport]]()


def folder_of_failure(node: pytest.Item) -> Path | None:
    """The folder for what a failed story leaves; None while it went well."""
    if all(report.passed for report in node.stash.get(REPORTS, {}).values()):
        return None
    folder = ARTIFACTS / re.sub(r"[^\w.-]+", "_", node.nodeid)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def save_page(page: Page, stem: Path) -> None:
    """Its data-* and its words, then its picture, which takes longer."""
    with contextlib.suppress(Exception):  # it may be dead, and the story's own failure counts
        shown: dict[str, str] = page.evaluate("() => ({ ...document.body.dataset, words: document.body.innerText })")
        stem.with_suffix(".txt").write_text("\n".join(f"{name}: {value}" for name, value in shown.items()))
        page.screenshot(path=stem.with_suffix(".png"), full_page=True, timeout=5_000)
