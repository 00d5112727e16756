"""A browser with a lasting profile and the built page, served without the product's server."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, Playwright

from e2e.chromium import ALWAYS, FAKE_DEVICES
from e2e.page.site_server import SiteServer, serving
from web_build import site as site_layout

ROOT = Path(__file__).resolve().parents[2]
BUILT_SITE = ROOT / "web" / "dist"
BOOT_LIMIT_MS = 90_000


@pytest.fixture(scope="session")
def built_site() -> Path:
    """web/dist as `make build` left it."""
    assert (BUILT_SITE / "build.json").is_file(), "web/dist is not built: run `make build`"
    return BUILT_SITE


@pytest.fixture
def site(built_site: Path) -> Iterator[SiteServer]:
    with serving(built_site) as server:
        yield server


@pytest.fixture
def open_browser(
    playwright_driver: Playwright, chromium_path: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., BrowserContext]]:
    """Start a browser on a new profile: a default context would keep OPFS in memory."""
    contexts: list[BrowserContext] = []

    def start(*flags: str) -> BrowserContext:
        context = playwright_driver.chromium.launch_persistent_context(
            tmp_path_factory.mktemp("profile"),
            executable_path=chromium_path,
            chromium_sandbox=False,
            args=[*ALWAYS, *(flags or FAKE_DEVICES)],
        )
        contexts.append(context)
        return context

    yield start
    for context in contexts:
        context.close()


@pytest.fixture
def page(open_browser: Callable[..., BrowserContext]) -> Page:
    return open_browser().pages[0]


def read_build(site: Path) -> dict[str, Any]:
    """The description of its files that a built index.html carries."""
    block = re.search(r'<script type="application/json" id="build">(.*?)</script>', (site / "index.html").read_text())
    assert block is not None
    build: dict[str, Any] = json.loads(block[1])
    return build


def lay_out_again(built_site: Path, folder: Path, *, worker_begins_with: str) -> Path:
    """The same site with a line of the test at the head of the worker, and digests to match."""
    build = read_build(built_site)
    web = folder / "web"
    shutil.copytree(ROOT / "web", web, ignore=shutil.ignore_patterns("dist"))
    worker = web / "worker.mjs"
    worker.write_text(worker_begins_with + worker.read_text())
    runtime = {path.name: path for path in (built_site / build["runtime"]).iterdir()}
    wheels = {path.name: path for path in (built_site / build["packages"]).iterdir() if path.suffix == ".whl"}
    (folder / "site").mkdir()
    site_layout.lay_out(folder / "site", web=web, runtime=runtime, wheels=wheels, lock=build["lock"])
    return folder / "site"


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
