"""The page as `make build` left it in web/dist: read, laid out again with a fault, or booted by a test's worker."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from e2e.page.site_server import SiteServer
from web_build import pinned_files
from web_build import site as site_layout
from web_build.snapshot import EXTENSION_NAME, MEMORY_NAME, Snapshot

ROOT = Path(__file__).resolve().parents[2]
BUILT_SITE = ROOT / "web" / "dist"


def read_build(site: Path) -> dict[str, Any]:
    """The description of its files that a built index.html carries."""
    block = re.search(r'<script type="application/json" id="build">(.*?)</script>', (site / "index.html").read_text())
    assert block is not None
    build: dict[str, Any] = json.loads(block[1])
    return build


def lay_out_again(built_site: Path, folder: Path, *, worker_begins_with: str = "", memory: Path | None = None) -> Path:
    """The same site with a line of the test at the head of the worker, or another memory, and digests to match."""
    build = read_build(built_site)
    web = folder / "web"
    shutil.copytree(ROOT / "web", web, ignore=shutil.ignore_patterns("dist"))
    worker = web / "worker.mjs"
    worker.write_text(worker_begins_with + worker.read_text())
    runtime = {path.name: path for path in (built_site / build["runtime"]).iterdir()}
    wheels = {path.name: path for path in (built_site / build["packages"]).iterdir() if path.suffix == ".whl"}
    (folder / "site").mkdir()
    libraries = pinned_files.check_library_files(ROOT)
    folder_of_memory = built_site / build["snapshot"]["folder"]
    site_layout.lay_out(
        folder / "site",
        web=web,
        runtime=runtime,
        wheels=wheels,
        lock=build["lock"],
        libraries=libraries,
        snapshot=Snapshot(
            memory=memory or folder_of_memory / MEMORY_NAME,
            extension=folder_of_memory / EXTENSION_NAME,
            link=build["snapshot"]["link"],
        ),
    )
    return folder / "site"


def a_line(slowness: float) -> str:
    """A head for the worker, whose files seem to come so many times as slowly: its clock says how fast they are."""
    return f"performance.now = ((now) => () => {slowness} * now())(performance.now.bind(performance));\n"


def run_in_worker(page: Page, site: SiteServer, modules: dict[str, Path], entry: str) -> Any:
    """Boot the built runtime in a worker of the page, with `modules` importable, and run `entry` there.

    `entry` is Python whose last expression is a JSON text.
    """
    request = {
        "build": read_build(site.folder),
        "base": f"{site.url}/",
        "modules": {name: path.read_text() for name, path in modules.items()},
        "entry": entry,
    }
    # The worker is the test's own file, put in place of a path of the site.
    script = (Path(__file__).parent / "python_worker.mjs").read_text()
    page.route(
        f"{site.url}/python_worker.mjs", lambda route: route.fulfill(body=script, content_type="text/javascript")
    )
    page.goto(f"{site.url}/build.json")
    answer = page.evaluate(
        """(request) => new Promise((resolve) => {
            const worker = new Worker("/python_worker.mjs", { type: "module" });
            worker.onmessage = ({ data }) => resolve(data);
            worker.onerror = (event) => resolve({ error: event.message || "the worker did not load" });
            worker.postMessage(request);
        })""",
        request,
    )
    assert "error" not in answer, answer["error"]
    return json.loads(answer["result"])
