"""What a page starts from: one script, one style sheet and one worker, of pinned files alone."""

import re
from pathlib import Path

import pytest

from tests.build.test_site import write_files
from web_build.bundle import ENTRIES, bundle
from web_build.node_tool import find_node
from web_build.pinned_files import check_library_files
from web_build.refusal import BuildError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def web(tmp_path: Path) -> Path:
    files = {
        "page.js": 'import { html } from "lit-html";\nimport { name } from "./shim/a.js";\nconsole.log(html, name);\n',
        "page.css": '@import "./styles/a.css";\n',
        "worker.js": 'import { name } from "./shim/a.js";\nconsole.log(name);\n',
        "shim/a.js": "export const name = `a name`;\n",
        "styles/a.css": "a { color: red; }\n",
        "ops/ops.js": "console.log(1);\n",
        "ops/ops.css": '@import "../styles/a.css";\n',
    }
    return write_files(tmp_path / "web", files)


def bundle_of(web: Path, out: str = "out") -> dict[str, Path]:
    return bundle(
        find_node(),
        web=web,
        libraries=check_library_files(ROOT),
        node_modules=ROOT / "node_modules",
        out=web.parent / out,
    )


def test_each_entry_becomes_one_file_that_imports_nothing(web: Path) -> None:
    bundles = bundle_of(web)
    assert set(bundles) == set(ENTRIES)
    for path in bundles.values():
        assert not re.search(r"^\s*(@?import|export)\b", path.read_text(), re.MULTILINE), path
    for name in ("page.js", "worker.js"):
        assert "a name" in bundles[name].read_text()
    for name in ("page.css", "ops/ops.css"):
        assert "color: red" in bundles[name].read_text()
    assert "SPDX-License-Identifier: BSD-3-Clause" in bundles["page.js"].read_text()  # lit-html's


def test_the_same_sources_give_the_same_bytes(web: Path) -> None:
    before, after = bundle_of(web), bundle_of(web, "again")
    assert [path.read_bytes() for path in before.values()] == [path.read_bytes() for path in after.values()]


def test_a_library_that_is_not_pinned_is_refused_by_name(web: Path) -> None:
    (web / "shim" / "a.js").write_text('export { cache as name } from "lit-html/directives/cache.js";\n')
    with pytest.raises(BuildError, match=r"(?s)lit-html/directives/cache\.js, which is not pinned.*page-files\.txt"):
        bundle_of(web)


@pytest.mark.parametrize("name", ENTRIES)
def test_a_missing_entry_is_refused(web: Path, name: str) -> None:
    (web / name).unlink()
    with pytest.raises(BuildError, match=rf"web/{re.escape(name)} is missing"):
        bundle_of(web)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("shim/a.js", "export const name = ;\n"),
        ("page.js", 'import "./gone.js";\n'),
        ("page.css", '@import "./gone.css";'),
    ],
)
def test_what_cannot_be_bundled_is_refused_with_file_and_line(web: Path, name: str, text: str) -> None:
    (web / name).write_text(text)
    with pytest.raises(BuildError, match=rf"(?s)bundle\.mjs failed:.*{re.escape(name)}:1:"):
        bundle_of(web)
