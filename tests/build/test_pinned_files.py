"""What others wrote goes into the page only with the digest that is pinned; a refusal says which and why."""

import hashlib
from pathlib import Path

import pytest

from web_build import pinned_files
from web_build.refusal import BuildError


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with one runtime file and one wheel pinned."""
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "pyodide-files.txt").write_text(f"# reason\n{digest(b'wasm')}  pyodide.asm.wasm\n")
    (tmp_path / "requirements" / "pyodide.txt").write_text(
        f"# reason\nmsgspec==0.22.0 \\\n    --hash=sha256:{digest(b'wheel')}\n"
    )
    (tmp_path / "node_modules" / "pyodide").mkdir(parents=True)
    (tmp_path / "node_modules" / "pyodide" / "pyodide.asm.wasm").write_bytes(b"wasm")
    return tmp_path


WHEEL = "msgspec-0.22.0-cp314-cp314-pyemscripten_2026_0_wasm32.whl"


def test_the_pinned_files_are_given_by_name(root: Path) -> None:
    path = root / "node_modules" / "pyodide" / "pyodide.asm.wasm"
    assert pinned_files.check_runtime_files(root) == {"pyodide.asm.wasm": path}


def test_a_library_is_named_by_its_path_and_checked_like_the_runtime(root: Path) -> None:
    (root / "requirements" / "page-files.txt").write_text(f"{digest(b'lit')}  lit-html/lit-html.js\n")
    path = root / "node_modules" / "lit-html" / "lit-html.js"
    path.parent.mkdir()
    path.write_bytes(b"lit")
    assert pinned_files.check_library_files(root) == {"lit-html/lit-html.js": path}
    path.write_bytes(b"lot")
    with pytest.raises(BuildError, match=r"(?s)lit-html\.js is not the pinned file.*requirements/page-files\.txt"):
        pinned_files.check_library_files(root)


def test_a_missing_runtime_file_is_named_with_what_to_run(root: Path) -> None:
    (root / "node_modules" / "pyodide" / "pyodide.asm.wasm").unlink()
    with pytest.raises(BuildError, match=r"(?s)node_modules/pyodide/pyodide\.asm\.wasm is missing.*npm ci"):
        pinned_files.check_runtime_files(root)


def test_a_damaged_runtime_file_is_named_with_both_digests(root: Path) -> None:
    (root / "node_modules" / "pyodide" / "pyodide.asm.wasm").write_bytes(b"wasn")
    with pytest.raises(BuildError) as refusal:
        pinned_files.check_runtime_files(root)
    words = str(refusal.value)
    assert all(part in words for part in ("pyodide.asm.wasm", digest(b"wasm"), digest(b"wasn"), "npm ci"))


def test_a_wheel_in_the_cache_is_not_fetched_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = root / "wheels"
    cache.mkdir()
    (cache / WHEEL).write_bytes(b"wheel")
    monkeypatch.setattr(pinned_files, "_pip_download", lambda *_: pytest.fail("pip was asked"))
    assert pinned_files.fetch_wheels(root, cache, say=print) == {"msgspec": cache / WHEEL}


def test_a_damaged_wheel_in_the_cache_is_reported_and_fetched_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = root / "wheels"
    cache.mkdir()
    (cache / WHEEL).write_bytes(b"whee")
    said: list[str] = []
    monkeypatch.setattr(pinned_files, "_pip_download", lambda _, folder: (folder / WHEEL).write_bytes(b"wheel"))
    assert pinned_files.fetch_wheels(root, cache, said.append) == {"msgspec": cache / WHEEL}
    assert digest(b"wheel") in said[0]
    assert digest(b"whee") in said[0]


def test_a_wheel_that_never_comes_right_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pinned_files, "_pip_download", lambda *_: None)
    with pytest.raises(BuildError, match=rf"(?s)msgspec 0\.22\.0 with sha256 {digest(b'wheel')}.*next: "):
        pinned_files.fetch_wheels(root, root / "wheels", say=print)


def test_what_pip_said_is_passed_on(root: Path) -> None:
    # No index is asked: the requirements file itself is what pip refuses.
    (root / "requirements" / "pyodide.txt").write_text("--no-such-option\n")
    with pytest.raises(BuildError, match=r"(?s)pip could not fetch.*no-such-option.*next: "):
        pinned_files._pip_download(root / "requirements" / "pyodide.txt", root)


def test_msgspec_is_the_servers_version() -> None:
    repository = Path(__file__).resolve().parents[2]
    pins = pinned_files._PINNED_WHEEL.findall((repository / "requirements" / "pyodide.txt").read_text())
    versions = {name: version for name, version, _ in pins}
    assert f"msgspec=={versions['msgspec']}\n" in (repository / "requirements" / "run.in").read_text()
