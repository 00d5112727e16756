"""web/dist: hashed names, digests in index.html, a manifest of everything, and a stamp that believes only digests."""

import base64
import hashlib
import json
import re
from pathlib import Path

import pytest

from web_build import site, stamp
from web_build.refusal import BuildError

INDEX = f"""<head>
<link rel="icon" href="icons/a.svg">
<link rel="manifest" href="holdfast.webmanifest">
<link rel="stylesheet" href="page.css">
{site._MARKER}
</head><a href="#here">here</a><script type="module" async src="page.js"></script>"""


@pytest.fixture
def web(tmp_path: Path) -> Path:
    web = tmp_path / "web"
    files = {
        "index.html": INDEX,
        "page.js": "'page';",
        "page.css": "a {}",
        "worker.js": "",
        "service_worker.js": f"{site._SERVICE_WORKER_MARKER}\n",
        "holdfast.webmanifest": "{}",
        "icons/a.svg": "<svg/>",
        "dist/old.txt": "of an earlier build",
    }
    return write_files(web, files)


def write_files(folder: Path, files: dict[str, str]) -> Path:
    """The folder, with these texts in it by name."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def lay_out(web: Path, name: str = "site") -> Path:
    root = web.parent
    for part in site.RUNTIME_FILES:
        (root / part).write_text(part)
    (root / "a.whl").write_text("wheel")
    folder = root / name
    folder.mkdir()
    runtime = {part: root / part for part in site.RUNTIME_FILES}
    lock = {"packages": {"a": {"file_name": "a.whl"}}, "odd": "</script>"}
    files = site.lay_out(
        folder,
        web=web,
        bundles={name: web / name for name in site.PAGE_BUNDLES},
        runtime=runtime,
        wheels={"a.whl": root / "a.whl"},
        lock=lock,
    )
    site.write_manifest(folder, files, {})
    return folder


def boot_of(folder: Path) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="build">(.*?)</script>', (folder / "index.html").read_text())
    assert found is not None
    boot: dict[str, object] = json.loads(found[1])
    return boot


def integrity_of(path: Path) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(path.read_bytes()).digest()).decode()


def test_everything_but_index_and_service_worker_lies_in_folders_named_by_their_content(web: Path) -> None:
    folder = lay_out(web)
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    plain = {re.sub(r"-[0-9a-f]{16}/", "/", name) for name in names}
    assert plain == {
        "index.html",
        "service_worker.js",
        "build.json",
        "assets/page/page.js",
        "assets/page/page.css",
        "assets/page/worker.js",
        "assets/page/holdfast.webmanifest",
        "assets/page/icons/a.svg",
        "assets/packages/a.whl",
        *(f"assets/runtime/{name}" for name in site.RUNTIME_FILES),
    }


def test_a_changed_file_changes_the_name_of_its_folder_alone(web: Path) -> None:
    before = {path.name for path in (lay_out(web) / "assets").iterdir()}
    (web / "worker.js").write_text("'another';")
    after = {path.name for path in (lay_out(web, "again") / "assets").iterdir()}
    assert [name.split("-")[0] for name in before - after] == ["page"]
    assert len(before & after) == 2


def test_the_index_names_every_script_and_style_with_its_digest(web: Path) -> None:
    folder = lay_out(web)
    index = (folder / "index.html").read_text()
    checked = dict(re.findall(r'(?:href|src)="([^"]+)" integrity="([^"]+)"', index))
    assert {Path(name).name for name in checked} == {"page.js", "page.css"}
    for name, integrity in checked.items():
        assert integrity == integrity_of(folder / name)
    assert re.search(r'<link rel="icon" href="assets/page-[0-9a-f]{16}/icons/a\.svg">', index)
    assert '<a href="#here">' in index


def test_the_boot_description_lists_every_file_under_assets(web: Path) -> None:
    folder = lay_out(web)
    boot = boot_of(folder)
    files = boot["files"]
    assert isinstance(files, dict)
    assert set(files) == {path.relative_to(folder).as_posix() for path in folder.glob("assets/**/*") if path.is_file()}
    for name, expected in files.items():
        assert expected == {"size": (folder / name).stat().st_size, "integrity": integrity_of(folder / name)}
    assert boot["worker"] in files
    assert boot["lock"] == {"packages": {"a": {"file_name": "a.whl"}}, "odd": "</script>"}


def test_the_service_worker_keeps_every_file_of_its_build_and_the_index_by_their_digests(web: Path) -> None:
    folder = lay_out(web)
    boot = boot_of(folder)
    found = re.fullmatch(r"const BUILD = (.*);\n", (folder / "service_worker.js").read_text(), re.DOTALL)
    assert found is not None
    files = boot["files"]
    assert isinstance(files, dict)
    digests = {name: file["integrity"] for name, file in files.items()}
    expected = {"name": boot["name"], "files": {"": integrity_of(folder / "index.html"), **digests}}
    assert json.loads(found[1]) == expected


@pytest.mark.parametrize("name", ["index.html", "worker.js"])
def test_a_change_gives_the_build_another_name_and_the_same_again_the_same(web: Path, name: str) -> None:
    before = boot_of(lay_out(web))["name"]
    assert boot_of(lay_out(web, "again"))["name"] == before
    (web / name).write_text((web / name).read_text() + " ")
    assert boot_of(lay_out(web, "changed"))["name"] != before


def test_a_service_worker_without_its_place_for_the_build_is_refused(web: Path) -> None:
    (web / "service_worker.js").write_text("const BUILD = {};")
    with pytest.raises(BuildError, match=r"web/service_worker\.js has lost its line"):
        lay_out(web)


def test_a_reference_to_what_is_not_there_is_refused(web: Path) -> None:
    (web / "index.html").write_text(INDEX.replace("page.css", "other.css"))
    with pytest.raises(BuildError, match=r"web/index\.html refers to other\.css"):
        lay_out(web)


@pytest.mark.parametrize("name", ["holdfast.webmanifest", "icons/a.svg"])
def test_what_installing_the_page_needs_is_missed_by_name(web: Path, name: str) -> None:
    (web / name).unlink()
    with pytest.raises(BuildError, match=rf"web/index\.html refers to {re.escape(name)}"):
        lay_out(web)


def test_a_missing_service_worker_is_refused(web: Path) -> None:
    (web / "service_worker.js").unlink()
    with pytest.raises(BuildError, match=r"web/service_worker\.js is missing"):
        lay_out(web)


def test_a_file_of_unknown_type_is_refused(web: Path) -> None:
    (web / "icons" / "notes.txt").write_text("")
    with pytest.raises(BuildError, match=r"notes\.txt has no media type"):
        lay_out(web)


def test_the_manifest_tells_a_whole_site_from_a_damaged_one(web: Path) -> None:
    folder = lay_out(web)
    note = web.parent / "stamp"
    assert not stamp.is_current(folder, note, "inputs")
    stamp.write(note, "inputs")
    assert stamp.is_current(folder, note, "inputs")
    assert not stamp.is_current(folder, note, "other inputs")
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + b"?" if whole else b"?")
        assert not stamp.is_current(folder, note, "inputs"), path
        path.unlink()
        assert not stamp.is_current(folder, note, "inputs"), path
        path.write_bytes(whole)
    assert stamp.is_current(folder, note, "inputs")


def test_every_source_of_the_page_is_an_input_and_what_was_built_is_not(tmp_path: Path) -> None:
    names = [
        "build_pyodide.py",
        "web_build/site.py",
        "web/page.js",
        "web/design/deep/a.css",
        "web/ops/ops.js",
        "package-lock.json",
        "web/index.html",
        "web/service_worker.js",
        "protocol/wire.py",
        "client_py/core/queue.py",
        "requirements/pyodide.txt",
        "node_modules/pyodide/pyodide.mjs",
    ]
    for name in [*names, "web/dist/index.html", "server/app.py"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    before = stamp.hash_inputs(tmp_path, "1")
    assert stamp.hash_inputs(tmp_path, "2") != before
    for name in ("web/dist/index.html", "server/app.py"):
        (tmp_path / name).write_text("changed")
        assert stamp.hash_inputs(tmp_path, "1") == before, name
    for name in names:
        (tmp_path / name).write_text("changed")
        assert stamp.hash_inputs(tmp_path, "1") != before, name
        (tmp_path / name).write_text(name)
