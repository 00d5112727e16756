"""Builds the page: web/dist, with the pinned Python runtime, the client's wheel and the front end, all self-hosted.

Usage: python build_pyodide.py [--force]     (`make build`; needs `npm ci` to have run)

The result is proved by booting it in Node before it replaces the former one, so web/dist is always a
whole page or absent. Unchanged inputs and an undamaged web/dist end the run at once.
"""

import argparse
import fcntl
import shutil
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from web_build import pinned_files, proof, site, stamp
from web_build.bundle import bundle
from web_build.client_wheel import collect_sources, write_wheel
from web_build.compiled_library import compile_library
from web_build.frozen_lock import freeze_lock
from web_build.node_tool import find_node, run_script
from web_build.ops_site import lay_out_ops
from web_build.refusal import BuildError
from web_build.snapshot import take_snapshot

ROOT = Path(__file__).resolve().parent


def say(line: str) -> None:
    """One line of progress."""
    print(f"page: {line}", flush=True)


def build(root: Path, *, is_forced: bool = False) -> bool:
    """Bring root/web/dist up to date; whether there was anything to do. Raises `BuildError`."""
    started_s = time.monotonic()
    work = root / ".build"
    dist = root / "web" / "dist"
    with _sole_builder(work):
        pinned = pinned_files.check_runtime_files(root)
        libraries = pinned_files.check_library_files(root)
        version = _project_version(root)
        inputs = stamp.hash_inputs(root, version)
        if not is_forced and stamp.is_current(dist, work / "page.stamp", inputs):
            say("web/dist is up to date")
            return False
        node = find_node()
        wheels = pinned_files.fetch_wheels(root, work / "wheels", say)
        fresh = work / "site"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)

        say("compiling Python's standard library")
        runtime = compile_library(node, pinned, work / "runtime")
        say("building the wheel of protocol and client_py")
        client = write_wheel(collect_sources(root), version, work / "wheels")
        say("resolving and freezing the lock in Pyodide")
        page_wheels = {wheel.name: wheel for wheel in (wheels["msgspec"], client)}
        lock = freeze_lock(node, root, runtime, wheels["micropip"], page_wheels)
        say("taking the memory snapshot of a started Python")
        snapshot = take_snapshot(node, runtime, page_wheels, lock, work / "snapshot")
        say("bundling, laying out and compressing the files")
        web = root / "web"
        bundles = bundle(node, web=web, libraries=libraries, node_modules=root / "node_modules", out=work / "bundles")
        lay_out_ops(fresh, web=web, bundles=bundles)
        files = site.lay_out(
            fresh,
            web=web,
            bundles=bundles,
            runtime=runtime,
            wheels=page_wheels,
            lock=lock,
            snapshot=snapshot,
        )
        manifest = site.write_manifest(fresh, files, _compress(fresh, files, node, root, work / "compressed"))
        say("proving it: booting the built files in Node and running the client in them")
        answer = proof.prove(fresh, node, root)

        shutil.rmtree(dist, ignore_errors=True)
        fresh.rename(dist)
        stamp.write(work / "page.stamp", inputs)
    size = sum(file.size for file in manifest.files)
    sent = sum(min([file.size, *file.encodings.values()]) for file in manifest.files)
    say(
        f"web/dist is build {manifest.build}: {len(manifest.files)} files, {size / 1e6:.1f} MB"
        f" ({sent / 1e6:.1f} MB compressed), Python {answer['python']}, {time.monotonic() - started_s:.1f} s"
    )
    return True


def _compress(fresh: Path, files: list[Path], node: Path, root: Path, cache: Path) -> dict[str, dict[str, int]]:
    """Write the variants of everything under assets/; sizes by path relative to the site and coding."""
    cache.mkdir(parents=True, exist_ok=True)
    wanted = [
        {"path": str(fresh / path), "cache": str(cache / pinned_files.sha256_of(fresh / path))}
        for path in files
        if path.parts[0] == "assets"
    ]
    answer: dict[str, dict[str, int]] = run_script(node, root / "web_build" / "compress.mjs", {"files": wanted})
    return {Path(path).relative_to(fresh).as_posix(): sizes for path, sizes in answer.items()}


def _project_version(root: Path) -> str:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    return str(project["version"])


@contextmanager
def _sole_builder(work: Path) -> Iterator[None]:
    """Two builds at once would mix their files; the second waits for the first."""
    work.mkdir(exist_ok=True)
    with (work / "page.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another build is running; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> int:
    """The command line; 1 when the page cannot be built."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--force", action="store_true", help="build even when nothing changed")
    try:
        build(ROOT, is_forced=parser.parse_args().force)
    except BuildError as error:
        print(f"page: cannot be built. {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
