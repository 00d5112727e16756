"""The docs say what the code says: every problem code, every setting, every word of the Makefile, no dead link."""

import ast
import re
from pathlib import PurePosixPath

import pytest

from protocol.errors import STATUS_OF_CODE, ErrorCode, is_final
from tests.tidy.source_files import ROOT, list_files, list_python, list_text, read

PAGES = [path for path in list_files() if path.endswith(".md")]
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")
# `server/storage/pack_format.py`, `tests/tidy/`: what a page names of this repository.
_PATH = re.compile(
    r"`((?:protocol|client_py|server|web|web_build|scripts|tests|e2e|loadtest|docs|requirements)/[\w./-]*)`"
)
# `tests/tidy/test_docs.py::test_no_link_is_dead`: the test that shows a rule.
_TEST = re.compile(r"`((?:tests|e2e)/[\w./-]+\.py)::(\w+)`")
_BUILT = ("web/dist",)  # made by `make build`, never tracked
_CODE_ROW = re.compile(r"^\| `([a-z-]+)` \| (\d{3}) \| (yes)? ?\|", re.MULTILINE)
_SETTING = re.compile(r"\bHOLDFAST_[A-Z0-9_]+\b")


def find_undocumented_codes(page: str) -> list[str]:
    """Codes whose row in the table of problems is missing or says another status or verdict."""
    rows = {code: (int(status), bool(final)) for code, status, final in _CODE_ROW.findall(page)}
    expected = {code.value: (STATUS_OF_CODE[code], is_final(code)) for code in ErrorCode}
    return sorted(code for code in expected | rows if rows.get(code) != expected.get(code))


def find_dead_links(page: str, folder: PurePosixPath) -> list[str]:
    """Relative links, from a page in `folder`, to files or headings that are not there."""
    dead = []
    for target in ("".join(groups) for groups in _LINK.findall(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        if not leads_somewhere(page, folder, path, anchor):
            dead.append(target)
    return dead


def leads_somewhere(page: str, folder: PurePosixPath, path: str, anchor: str) -> bool:
    """Whether there is such a file and, where an anchor is given, such a heading in it (or in `page` itself)."""
    if path:
        file = ROOT / folder / path
        if not file.exists():
            return False
        page = file.read_text(encoding="utf-8") if anchor else ""
    return not anchor or anchor in list_anchors(page)


def list_anchors(page: str) -> set[str]:
    """The anchors that a page's headings get where it is shown."""
    headings = re.findall(r"^#+ +(.+?) *$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def list_settings() -> set[str]:
    """Every HOLDFAST_ variable that code reads: whole strings in Python, mentions in Makefile, .ci and scripts."""
    found: set[str] = set()
    for path in list_python():
        for node in ast.walk(ast.parse(read(path))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and _SETTING.fullmatch(node.value):
                found.add(node.value)
    for path in list_text():
        if path == "Makefile" or path.startswith((".ci/", "loadtest/")) or path.endswith(".sh"):
            found.update(_SETTING.findall(read(path)))
    return found


def test_every_problem_code_is_documented_with_its_status_and_verdict() -> None:
    assert find_undocumented_codes(read("docs/PROTOCOL.md")) == []


def test_every_setting_is_documented() -> None:
    pages = " ".join(read(page) for page in PAGES)
    documented = set(_SETTING.findall(pages))
    assert list_settings() - documented == set()


def test_every_setting_in_the_docs_exists() -> None:
    documented = {name for page in PAGES for name in _SETTING.findall(read(page)) if not name.endswith("_")}
    assert documented - list_settings() == set()


@pytest.mark.parametrize("page", PAGES)
def test_no_link_is_dead(page: str) -> None:
    assert find_dead_links(read(page), PurePosixPath(page).parent) == []


def find_dead_paths(page: str) -> list[str]:
    """Files and folders of this repository that a page names and that are not there."""
    named = [path for path in _PATH.findall(page) if not path.startswith(_BUILT)]
    return [path for path in named if not (ROOT / path).exists()]


@pytest.mark.parametrize("page", PAGES)
def test_no_named_file_is_gone(page: str) -> None:
    assert find_dead_paths(read(page)) == []


def find_absent_tests(page: str) -> list[str]:
    """Tests that a page names as `tests/…/test_….py::test_…` and that are not there."""
    absent = []
    for path, name in _TEST.findall(page):
        file = ROOT / path
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        if not re.search(rf"^(async )?def {name}\(", text, re.MULTILINE):
            absent.append(f"{path}::{name}")
    return absent


@pytest.mark.parametrize("page", PAGES)
def test_every_named_test_exists(page: str) -> None:
    assert find_absent_tests(read(page)) == []


def test_every_word_of_the_makefile_is_in_the_readme_or_in_help() -> None:
    makefile = read("Makefile")
    words = set(re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)[0].split())
    assert words == set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    mentioned = {word for page in PAGES for word in re.findall(r"\bmake ([a-z-]+)\b`", read(page))}
    assert mentioned <= words


def test_a_planted_gap_is_found() -> None:
    page = read("docs/PROTOCOL.md")
    assert find_undocumented_codes(page.replace("`overloaded` | 503", "`overloaded` | 500")) == ["overloaded"]
    assert find_undocumented_codes(page.replace("`chunk-differs` | 409 | yes", "`chunk-differs` | 409 | ")) == [
        "chunk-differs"
    ]
    assert find_undocumented_codes(page.replace("| `draining`", "| draining")) == ["draining"]
    assert find_undocumented_codes(page + "\n| `invented` | 400 | | x |\n") == ["invented"]
    dead = "[a](nowhere.md) [b](PROTOCOL.md#nothing) ![c](no.png) [d](#none) [e](https://example.org/x) [f](FORMATS.md)"
    assert find_dead_links(dead, PurePosixPath("docs")) == ["nowhere.md", "PROTOCOL.md#nothing", "no.png", "#none"]
    named = (
        "`tests/tidy/test_docs.py::test_gone` `tests/gone.py::test_x` `tests/tidy/test_docs.py::test_no_link_is_dead`"
    )
    assert find_absent_tests(named) == ["tests/tidy/test_docs.py::test_gone", "tests/gone.py::test_x"]
    assert find_dead_paths("`server/gone.py` `tests/tidy/` `web/dist/x` `protocol/ids.py`") == ["server/gone.py"]
