"""The page's own JavaScript stays small, and does nothing that its Content-Security-Policy forbids."""

import json
import re
import struct
from pathlib import Path
from typing import Final

WEB = Path(__file__).resolve().parents[2] / "web"
# Rules belong to Python; docs/PAGE.md names these numbers.
CODE_LINES_MAX: Final = 750  # the window's wiring, the shim, the worker: what stands between a slice and Python
VIEW_LINES_MAX: Final = 1_000  # what only shows
LOADER_LINES_MAX: Final = 40  # what Pyodide lacks to start from a memory with an extension in it


def scripts() -> list[Path]:
    found = sorted(path for path in WEB.rglob("*") if path.suffix in (".js", ".mjs") and "dist" not in path.parts)
    assert len(found) > 5
    return found


def code_lines_of(path: Path) -> int:
    """Without empty ones and comments."""
    return sum(1 for line in path.read_text().splitlines() if not re.fullmatch(r"\s*(//.*)?", line))


def test_the_windows_code_stays_small() -> None:
    lines = {True: 0, False: 0}
    for path in scripts():
        if path.name != "texts.js" and path.parent != WEB / "ops":  # words are no code, and that page is another
            is_view = path.parent == WEB / "view"
            lines[is_view] += code_lines_of(path)
    assert lines[False] <= CODE_LINES_MAX
    assert code_lines_of(WEB.parent / "web_build" / "restore_snapshot.mjs") <= LOADER_LINES_MAX
    assert lines[True] <= VIEW_LINES_MAX
    words = (WEB.parent / "docs" / "PAGE.md").read_text()
    assert f"under {CODE_LINES_MAX} lines" in words
    assert f"under {VIEW_LINES_MAX:,} lines" in words
    assert f"under {LOADER_LINES_MAX} lines" in words


def test_nothing_is_evaluated_or_written_as_markup() -> None:
    forbidden = re.compile(r"\b(eval|innerHTML|outerHTML|insertAdjacentHTML|document\.write|new Function)\b")
    for path in scripts():
        assert not forbidden.search(path.read_text()), path


def test_the_page_itself_holds_no_script_and_no_style() -> None:
    index = (WEB / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)", index)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", index)


def test_the_pages_first_words_are_those_that_are_ready_to_translate() -> None:
    """index.html repeats them, because they are seen before any script runs."""
    index, texts = (WEB / "index.html").read_text(), (WEB / "texts.js").read_text()
    for name, pattern in (
        ("page", r'data-text="(\w+)">([^<]+)<'),
        ("label", r'data-label="(\w+)" aria-label="([^"]+)"'),
    ):
        block = re.search(rf"\n  {name}: \{{\n(.*?)\n  \}},\n", texts, re.DOTALL)
        assert block is not None
        translatable = dict(re.findall(r'^    (\w+): "(.*)",$', block[1], re.MULTILINE))
        assert dict(re.findall(pattern, index)) == translatable


def test_no_word_of_the_page_stands_anywhere_but_where_it_can_be_translated() -> None:
    words = re.compile(r"""["'`>]([A-Z][a-z]+(?:[ ,.][^"'`<>]*)?)["'`<]""")
    keys = {"Escape"}
    for path in scripts():
        if path.name != "texts.js" and path.parent != WEB / "ops":
            code = re.sub(r"(?m)(^|\s)//.*$", "", path.read_text())
            assert set(words.findall(code)) <= keys, path


def test_what_changes_by_itself_is_heard_too() -> None:
    """A screen reader is told by live regions: at once of a loss of protection, in its turn of everything else."""
    index = (WEB / "index.html").read_text()
    roles = {
        "alert": ["failure", "alarm", "problem"],
        "status": [
            "state-text",
            "verdict",
            "calm",
            "earlier-text",
            "countdown",
            "recordings-empty",
            "toasts",
            "server",
        ],
        "timer": ["elapsed"],  # never read out by itself
        "meter": ["level-bar"],
    }
    for role, ids in roles.items():
        for name in ids:
            assert re.search(rf'<\w+(?=[^>]*\bid="{name}")(?=[^>]*\brole="{role}")', index), (role, name)


def test_the_page_can_be_installed() -> None:
    manifest = json.loads((WEB / "holdfast.webmanifest").read_text())
    assert (manifest["start_url"], manifest["scope"], manifest["display"]) == ("/", "/", "standalone")
    for icon in manifest["icons"]:
        content = (WEB / icon["src"]).read_bytes()
        if icon["type"] == "image/png":  # its head says its size
            width, height = struct.unpack(">II", content[16:24])
            assert icon["sizes"] == f"{width}x{height}"
    assert {"192x192", "512x512"} <= {icon["sizes"] for icon in manifest["icons"]}


def test_every_state_of_the_view_has_its_words() -> None:
    texts = (WEB / "texts.js").read_text()
    states = re.search(r"state: \{(.*?)\}", texts, re.DOTALL)
    rows = re.search(r"row: \{(.*?)\}", texts, re.DOTALL)
    assert states is not None and rows is not None
    for state in ("loading", "ready", "recording", "stopping", "idle", "failed"):
        assert f"{state}:" in states[1], state
    for state in ("recording", "saved", "uploading", "uploaded", "verified", "complete", "parked", "deleting"):
        assert f"{state}:" in rows[1], state
    for state in ("elsewhere", "stalled", "damaged"):
        assert f"{state}:" in rows[1], state
