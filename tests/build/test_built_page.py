"""The page as built: proved in Node, nothing to do the second time, and no damaged site passes the proof."""

import gzip
import json
import re
import shutil
import stat
from pathlib import Path

import msgspec
import pytest

import build_pyodide
from web_build import node_tool, proof
from web_build.refusal import BuildError
from web_build.site import BuildManifest
from web_build.snapshot import EXTENSION_NAME, MEMORY_NAME

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "web" / "dist"
SHELL_BYTES_MAX = 150_000


@pytest.fixture(scope="module")
def manifest() -> BuildManifest:
    """What the last build says it wrote; it is brought up to date first."""
    build_pyodide.build(ROOT)
    return msgspec.json.decode((SITE / "build.json").read_bytes(), type=BuildManifest)


def test_unchanged_inputs_are_nothing_to_do(manifest: BuildManifest, capsys: pytest.CaptureFixture[str]) -> None:
    assert build_pyodide.build(ROOT) is False
    assert capsys.readouterr().out == "page: web/dist is up to date\n"


def test_the_page_holds_no_package_that_is_only_needed_to_build_it(manifest: BuildManifest) -> None:
    wheels = [Path(file.path).name.split("-")[0] for file in manifest.files if file.path.endswith(".whl")]
    assert sorted(wheels) == ["holdfast_client", "msgspec"]
    assert not [file.path for file in manifest.files if "micropip" in file.path or "pyodide-lock" in file.path]


def test_the_pages_shell_is_small_beside_the_runtime(manifest: BuildManifest) -> None:
    """What is fetched before and beside Python: the page, its styles, scripts, libraries and icons."""
    shell = [file for file in manifest.files if not re.match(r"assets/(runtime|packages|ops)-|ops\.html", file.path)]
    shell = [file for file in shell if not file.path.endswith((MEMORY_NAME, EXTENSION_NAME))]
    assert {re.sub(r"assets/(page|snapshot)-[0-9a-f]{16}/|icons/.*", "", file.path) for file in shell} == {
        "",  # the icons
        "index.html",
        "service_worker.js",
        "holdfast.webmanifest",
        "page.css",
        "page.js",
        "worker.js",
        "restore_snapshot.mjs",
    }
    assert sum(min([file.size, *file.encodings.values()]) for file in shell) < SHELL_BYTES_MAX


def test_compressed_variants_hold_the_same_bytes(manifest: BuildManifest) -> None:
    wasm = next(file for file in manifest.files if file.path.endswith(".wasm"))
    assert set(wasm.encodings) == {"br", "gzip"}
    assert wasm.media_type == "application/wasm"
    for file in manifest.files:
        if "gzip" in file.encodings:
            assert gzip.decompress((SITE / f"{file.path}.gz").read_bytes()) == (SITE / file.path).read_bytes()
        for suffix in file.encodings:
            variant = SITE / f"{file.path}.{'gz' if suffix == 'gzip' else suffix}"
            assert variant.stat().st_size == file.encodings[suffix] < file.size


def test_the_proof_runs_the_client_and_the_golden_files_under_the_pages_python(manifest: BuildManifest) -> None:
    answer = proof.prove(SITE, node_tool.find_node(), ROOT)
    assert answer == {
        "python": "3.14.2",
        "packages": ["holdfast-client", "msgspec"],
        "checks": ["imports.py", "codec.py", "check_golden.py"],
    }


@pytest.mark.parametrize("ending", ["python_stdlib.zip", "any.whl", "/worker.js"])
def test_a_damaged_file_does_not_pass_the_proof(manifest: BuildManifest, tmp_path: Path, ending: str) -> None:
    copy = tmp_path / "site"
    shutil.copytree(SITE, copy)
    (damaged,) = (path for path in copy.rglob("*") if path.as_posix().endswith(ending))
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    with pytest.raises(BuildError, match=rf"(?s){ending}: expected \d+ bytes with sha256-.*found"):
        proof.prove(copy, node_tool.find_node(), ROOT)


def test_a_package_that_does_not_load_does_not_pass_the_proof(manifest: BuildManifest, tmp_path: Path) -> None:
    copy = tmp_path / "site"
    shutil.copytree(SITE, copy)
    index = copy / "index.html"
    index.write_text(index.read_text().replace('"file_name":"msgspec-', '"file_name":"no-such-'))
    with pytest.raises(BuildError, match="packages of the lock did not load: msgspec"):
        proof.prove(copy, node_tool.find_node(), ROOT)


def test_a_node_that_is_too_old_is_refused_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = tmp_path / "node"
    node.write_text("#!/bin/sh\necho v18.19.0\n")
    node.chmod(node.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr("shutil.which", lambda _: str(node))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(BuildError, match=r"(?s)No Node 20 or newer.*v18\.19\.0.*requirements/node\.txt"):
        node_tool.find_node()


def test_a_failing_script_is_reported_with_its_own_words(tmp_path: Path) -> None:
    script = tmp_path / "broken.mjs"
    script.write_text("throw new Error('no such thing');")
    with pytest.raises(BuildError, match=r"(?s)broken\.mjs failed:.*no such thing"):
        node_tool.run_script(node_tool.find_node(), script, {})


def test_the_lock_names_exactly_the_files_that_are_served(manifest: BuildManifest) -> None:
    index = (SITE / "index.html").read_text()
    boot = json.loads(index.split('id="build">', 1)[1].split("</script>", 1)[0])
    served = {Path(file.path).name: file.sha256 for file in manifest.files if file.path.endswith(".whl")}
    locked = {package["file_name"]: package["sha256"] for package in boot["lock"]["packages"].values()}
    assert locked == served
