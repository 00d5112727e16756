"""The page as `make build` left it in web/dist: read, laid out again with a fault, or booted by a test's worker."""

import json
import re
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from e2e.page.site_server import SiteServer
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
    runtime = {path.name: path for path in (built_site / build["runtime"]).iterdir()}
    wheels = {path.name: path for path in (built_site / build["packages"]).iterdir() if path.suffix == ".whl"}
    (folder / "site").mkdir()
    folder_of_memory = built_site / build["snapshot"]["folder"]
    site_layout.lay_out(
        folder / "site",
        web=ROOT / "web",
        bundles=bundles_with_worker(
            built_site, folder, worker_begins_with + (built_site / build["worker"]).read_text()
        ),
        runtime=runtime,
        wheels=wheels,
        lock=build["lock"],
        snapshot=Snapshot(
            memory=memory or folder_of_memory / MEMORY_NAME,
            extension=folder_of_memory / EXTENSION_NAME,
            link=build["snapshot"]["link"],
        ),
    )
    return folder / "site"


def bundles_with_worker(built_site: Path, folder: Path, worker: str) -> dict[str, Path]:
    """The page's scripts and styles as they were built, with another worker."""
    built = (built_site / read_build(built_site)["worker"]).parent
    (folder / "worker.js").write_text(worker)
    return {name: built / name for name in site_layout.PAGE_BUNDLES} | {"worker.js": folder / "worker.js"}


def import_source(page: Page, site: SiteServer, name: str, program: str, *arguments: Any) -> Any:
    """What `program`, a function of the exports of a file of web/ that imports nothing, returns in the page."""
    script = (ROOT / "web" / name).read_text()
    address = f"{site.url}/source/{name}"
    page.route(address, lambda route: route.fulfill(body=script, content_type="text/javascript"))
    return page.evaluate(
        f"async ([address, ...given]) => ({program})(await import(address), ...given)", [address, *arguments]
    )


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
