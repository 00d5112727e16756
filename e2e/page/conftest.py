"""A browser with a lasting profile and the built page, served without the product's server."""

from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, Playwright

from e2e.artifacts import folder_of_failure, save_page
from e2e.chromium import ALWAYS, FAKE_DEVICES, LIFTOFF_ONLY
from e2e.page.built_site import BUILT_SITE
from e2e.page.puppet import LISTENER, Puppet, lay_out_puppet_site
from e2e.page.site_server import SiteServer, serving
from e2e.recorder_page import READY_LIMIT_S, RecorderPage

_SAID = pytest.StashKey[list[str]]()


@pytest.hookimpl(wrapper=True, tryfirst=True)  # around the one that notes how it went
def pytest_runtest_makereport(
    item: pytest.Function, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep what the page of a failed story said and shows, before anything is put away."""
    report = yield
    if report.when == "call" and (folder := folder_of_failure(item)):
        page = item.funcargs.get("page")
        if isinstance(page, Page):
            save_page(page, folder / "page")
            said = item.stash[_SAID]
            (folder / "console.log").write_text("\n".join(said))
    return report


@pytest.fixture(scope="session")
def built_site() -> Path:
    """web/dist as `make build` left it."""
    assert (BUILT_SITE / "build.json").is_file(), "web/dist is not built: run `make build`"
    return BUILT_SITE


@pytest.fixture
def site(built_site: Path) -> Iterator[SiteServer]:
    with serving(built_site) as server:
        yield server


@pytest.fixture(scope="module")
def browser(
    playwright_driver: Playwright, chromium_path: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BrowserContext]:
    """A browser with a profile on disk, because a default context would keep OPFS in memory.

    Tests share it: each has a server, and so an origin with a storage, of its own.
    """
    context = playwright_driver.chromium.launch_persistent_context(
        tmp_path_factory.mktemp("profile"),
        executable_path=chromium_path,
        chromium_sandbox=False,
        args=[*ALWAYS, *FAKE_DEVICES, LIFTOFF_ONLY],  # a second list of features off would undo Playwright's
    )
    yield context
    context.close()


@pytest.fixture
def page(browser: BrowserContext, request: pytest.FixtureRequest) -> Iterator[Page]:
    page = browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(f"pageerror: {error}"))
    request.node.stash[_SAID] = said
    yield page
    page.close(run_before_unload=False)


@pytest.fixture(scope="module")
def known_site(browser: BrowserContext, built_site: Path) -> Iterator[SiteServer]:
    """A site that the browser has opened before and keeps: opening it again takes a third of the work."""
    with serving(built_site) as server:
        page = browser.new_page()
        recorder = RecorderPage(page, server.url).open()
        recorder.wait(lambda: recorder.shown["offline-use"] == "ready", "the page to be kept", READY_LIMIT_S)
        page.close(run_before_unload=False)
        yield server


@pytest.fixture
def recorder(page: Page, known_site: SiteServer) -> Iterator[RecorderPage]:
    """A page of the known site, still empty. What its story recorded goes with it."""
    yield RecorderPage(page, known_site.url)
    page.goto("about:blank")
    session = page.context.new_cdp_session(page)
    session.send("Storage.clearDataForOrigin", {"origin": known_site.url, "storageTypes": "file_systems,local_storage"})
    known_site.is_away = False


@pytest.fixture(scope="module")
def puppet_site(built_site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay_out_puppet_site(built_site, tmp_path_factory.mktemp("puppet"))


@pytest.fixture
def open_puppet(page: Page, puppet_site: Path) -> Iterator[Callable[..., Puppet]]:
    """Open the page around a puppet; `before` is a script that runs before the page's own."""
    with serving(puppet_site) as site:

        def start(query: str = "", *, before: str = "") -> Puppet:
            page.add_init_script(LISTENER + before)
            page.clock.install()
            page.goto(f"{site.url}/{query}")
            return Puppet(page, site)

        yield start
        page.clock.resume()  # it is the browser's, and so the next test's too


@pytest.fixture
def puppet(open_puppet: Callable[..., Puppet]) -> Puppet:
    """A page whose worker is up and ready."""
    puppet = open_puppet()
    puppet.come_up()
    puppet.wait(lambda: puppet.shown["state"] == "ready", "ready")
    return puppet
