"""The operator's page is laid out by itself: hashed names, digests, nothing of it in the recorder's offline files."""

import base64
import hashlib
import re
from pathlib import Path

import pytest

from tests.build.test_site import boot_of, lay_out, web, write_files
from web_build.ops_site import OPS_BUNDLES, lay_out_ops
from web_build.refusal import BuildError

__all__ = ["web"]

INDEX = """<head>
    <link rel="icon" href="icons/holdfast.svg">
    <link rel="stylesheet" href="ops.css">
    <script type="module" src="ops.js"></script>
  </head><a href="#now">Now</a>"""


@pytest.fixture
def ops_web(web: Path) -> Path:
    files = {
        "ops/index.html": INDEX,
        "ops/ops.js": "'ops';",
        "ops/ops.css": "b {}",
        "icons/holdfast.svg": "<svg/>",
    }
    return write_files(web, files)


def lay_out_page(web: Path, name: str = "ops-site") -> Path:
    folder = web.parent / name
    folder.mkdir(exist_ok=True)
    lay_out_ops(folder, web=web, bundles={name: web / name for name in OPS_BUNDLES})
    return folder


def integrity_of(path: Path) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(path.read_bytes()).digest()).decode()


def test_every_reference_leads_to_a_file_of_its_folder_with_its_digest(ops_web: Path) -> None:
    site = lay_out_page(ops_web)
    page = (site / "ops.html").read_text()
    references = re.findall(r'(?:href|src)="(assets/[^"]+)"(?: integrity="([^"]+)")?', page)
    assert {name.partition("/")[2].partition("/")[2] for name, _ in references} == {
        "icons/holdfast.svg",
        "ops.css",
        "ops.js",
    }
    for name, digest in references:
        assert (site / name).is_file()
        if not name.endswith(".svg"):
            assert digest == integrity_of(site / name)


def test_a_changed_file_changes_the_folder(ops_web: Path) -> None:
    before = {path.name for path in (lay_out_page(ops_web) / "assets").iterdir()}
    (ops_web / "ops" / "ops.js").write_text("'changed';")
    after = {path.name for path in (lay_out_page(ops_web, "again") / "assets").iterdir()}
    assert not before & after


def test_a_reference_to_nothing_and_a_missing_file_are_refused_in_words(ops_web: Path) -> None:
    index = ops_web / "ops" / "index.html"
    index.write_text(INDEX.replace("ops.css", "other.css"))
    with pytest.raises(BuildError, match=r"web/ops/index\.html refers to other\.css"):
        lay_out_page(ops_web)
    index.write_text(INDEX)
    (ops_web / "icons" / "holdfast.svg").unlink()
    with pytest.raises(BuildError, match=r"web/icons/holdfast\.svg is missing"):
        lay_out_page(ops_web)


def test_the_recorder_keeps_nothing_of_it_for_use_without_a_network(ops_web: Path) -> None:
    site = lay_out(ops_web)
    assert not [name for name in boot_of(site)["files"] if "ops" in name]  # type: ignore[attr-defined]
    assert "ops" not in (site / "service_worker.js").read_text()


def test_the_page_holds_no_script_and_no_style_of_its_own() -> None:
    index = (Path(__file__).resolve().parents[2] / "web" / "ops" / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)", index)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", index)
