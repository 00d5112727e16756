"""The memory snapshot: the same inputs give the same bytes, and what must differ between starts does."""

import json
import random
import sys
from pathlib import Path
from typing import Any

import pytest

import build_pyodide
from web_build import pinned_files
from web_build.client_wheel import write_wheel
from web_build.compiled_library import LIBRARY_NAME, compile_library
from web_build.frozen_modules import FrozenModules
from web_build.node_tool import find_node
from web_build.snapshot import EXTENSION_NAME, MEMORY_NAME, take_snapshot

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "web" / "dist"


def test_library_and_snapshot_made_again_have_the_same_bytes_and_name_no_path_of_this_machine(tmp_path: Path) -> None:
    build_pyodide.build(ROOT)
    boot: dict[str, Any] = json.loads(
        (SITE / "index.html").read_text().split('id="build">', 1)[1].split("</script>")[0]
    )
    folder = ROOT / ".build" / "wheels"
    wheels = {name: folder / package["file_name"] for name, package in boot["lock"]["packages"].items()}
    runtime = compile_library(find_node(), pinned_files.check_runtime_files(ROOT), tmp_path / "runtime")
    library = runtime[LIBRARY_NAME].read_bytes()
    assert library == (SITE / boot["runtime"] / LIBRARY_NAME).read_bytes()
    order = {name: wheels[name] for name in ("msgspec", "holdfast-client")}
    again = take_snapshot(find_node(), runtime, order, boot["lock"], tmp_path)
    kept = SITE / boot["snapshot"]["folder"]
    assert again.memory.read_bytes() == (kept / MEMORY_NAME).read_bytes()
    assert again.extension.read_bytes() == (kept / EXTENSION_NAME).read_bytes()
    assert again.link == boot["snapshot"]["link"]
    assert not [name for name in (ROOT, tmp_path) if str(name).encode() in again.memory.read_bytes() + library]


@pytest.fixture
def frozen(tmp_path: Path) -> FrozenModules:
    """A wheel's modules, frozen."""
    sources = {
        "frozen_sample/__init__.py": b"from frozen_sample.inner import answer",
        "frozen_sample/inner.py": b"answer = 42",
        "frozen_sample/later.py": b"answer = 43",
    }
    frozen = FrozenModules()
    frozen.freeze(write_wheel(sources, "1", tmp_path).read_bytes())
    return frozen


def test_frozen_modules_are_imported_without_their_wheel(frozen: FrozenModules, tmp_path: Path) -> None:
    frozen.install(str(tmp_path / "extensions"))
    try:
        import frozen_sample  # type: ignore[import-not-found]

        assert frozen_sample.answer == 42
        assert frozen_sample.inner.__spec__.origin == "frozen_sample/inner.py"
        assert frozen.find_spec("no_such_module") is None
        frozen.forget()
        assert frozen.find_spec("frozen_sample.inner") is None
        assert frozen.find_spec("frozen_sample.later") is not None
    finally:
        sys.meta_path.remove(frozen)


def test_random_is_seeded_anew_at_every_start(frozen: FrozenModules) -> None:
    drawn = []
    for _ in range(2):
        random.seed(0)  # the state in the snapshot
        frozen.wake()
        drawn.append(random.random())
    assert drawn[0] != drawn[1]
