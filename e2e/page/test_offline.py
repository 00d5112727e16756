"""The service worker: the page without a network, whole by its build, and no build taken from a page that uses it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from e2e.page.built_site import a_line, lay_out_again, read_build
from e2e.page.puppet import Puppet, lay_out_puppet_site
from e2e.page.site_server import SiteServer
from e2e.recorder_page import READY_LIMIT_S, RecorderPage
from web_build.snapshot import MEMORY_NAME


def wait_for_offline_use(recorder: RecorderPage) -> None:
    recorder.wait(lambda: recorder.shown.get("offline-use") == "ready", "the page to be kept for offline use", 90)


def caches_of(page: Page) -> dict[str, list[str]]:
    """The paths that each of the origin's caches holds, by its name."""
    read: dict[str, list[str]] = page.evaluate(
        """async () => {
            const paths = async (cache) => (await cache.keys()).map(({ url }) => new URL(url).pathname.slice(1));
            const names = await caches.keys();
            return Object.fromEntries(await Promise.all(
                names.map(async (name) => [name, await paths(await caches.open(name))])));
        }"""
    )
    return read


def workers_of_the_page(page: Page) -> dict[str, Any]:
    """Whether the page is under a service worker, whether that is the active one, and what waits behind it."""
    read: dict[str, Any] = page.evaluate(
        """async () => {
            const registration = await navigator.serviceWorker.getRegistration();
            const { controller } = navigator.serviceWorker;
            return {
                isControlled: controller !== null,
                isOfActive: controller === registration.active,
                waiting: registration.waiting?.state ?? null,
            };
        }"""
    )
    return read


def look_for_the_next_build(page: Page) -> dict[str, Any]:
    """Have the browser look, unless it has found one: an installation that failed on a busy machine is tried again."""
    page.evaluate(
        """async () => {
            const registration = await navigator.serviceWorker.getRegistration();
            if (!registration.installing && !registration.waiting) await registration.update().catch(() => {});
        }"""
    )
    return workers_of_the_page(page)


def follow_service_workers(tab: Page, site: SiteServer) -> dict[str, str]:
    """The status of each of the site's service workers, by version, as the browser tells it from now on.

    Asked from a tab that shows nothing: a page of the site would keep the active one in its place.
    """
    statuses: dict[str, str] = {}

    def take(told: dict[str, Any]) -> None:
        own = (version for version in told["versions"] if version["scriptURL"].startswith(site.url))
        statuses.update((version["versionId"], version["status"]) for version in own)

    session = tab.context.new_cdp_session(tab)
    session.on("ServiceWorker.workerVersionUpdated", take)
    session.send("ServiceWorker.enable")
    return statuses


def build_name(site: SiteServer) -> str:
    return f"holdfast-{read_build(site.folder)['name']}"


@pytest.fixture
def next_build(built_site: Path, tmp_path: Path) -> Path:
    """The page built anew, with a change in the worker."""
    return lay_out_again(built_site, tmp_path, worker_begins_with="// the next build\n")


@pytest.fixture
def next_puppet_build(built_site: Path, tmp_path: Path) -> Path:
    """Likewise the page around a puppet."""
    return lay_out_puppet_site(built_site, tmp_path, worker_begins_with="// the next build\n")


def open_kept_puppet(open_puppet: Callable[..., Puppet]) -> Puppet:
    """For what the service worker does alone: a page that is kept, without a Python in it."""
    puppet = open_puppet()
    puppet.come_up(is_kept=True)
    puppet.wait(lambda: puppet.shown.get("offlineUse") == "ready", "the page to be kept for offline use")
    return puppet


def test_without_a_network_the_page_opens_records_and_recovers(
    page: Page, known_site: SiteServer, recorder: RecorderPage
) -> None:
    recorder.open()
    first = recorder.record()
    recorder.wait_for_count("slices-durable", 5)
    recorder.stop()

    # Given a machine whose network is away, a new tab records, and dies in the middle of it
    known_site.is_away = True
    tab = page.context.new_page()
    away = RecorderPage(tab, known_site.url).open()
    assert away.words.count("without a network")
    second = away.record()
    away.wait_for_count("slices-durable", 10)
    saved = away.count("slices-durable")
    tab.close(run_before_unload=False)

    # Then the next one, still without a network, takes both up
    page.reload()
    recorder.wait_for_state("ready", "idle", limit_s=READY_LIMIT_S)
    recorder.wait(lambda: {first, second} <= set(recorder.rows), "both recordings in the list")
    recorder.wait_for_row(second, "saved", "uploading")
    row = page.locator(f'[data-recording-id="{second}"].row')
    assert saved >= 10 and "on this device" in row.inner_text()


def test_everything_of_the_build_is_kept_before_record_is_enabled(page: Page, site: SiteServer) -> None:
    recorder = RecorderPage(page, site.url).open()
    kept = caches_of(page)[build_name(site)]
    assert set(read_build(site.folder)["files"]) <= set(kept)
    # As the responses that they came as, with an address: of others Chromium keeps no compiled code.
    without_address = """async (name) => {
        const cache = await caches.open(name);
        return (await cache.matchAll()).filter(({ url }) => !url).length;
    }"""
    assert page.evaluate(without_address, build_name(site)) == 0
    # And with the index once it is installed: exactly what the build laid out, but for the operator's page.
    wait_for_offline_use(recorder)
    laid_out = {
        path.relative_to(site.folder).as_posix() for path in (site.folder / "assets").rglob("*") if path.is_file()
    }
    plain = {path for path in laid_out if not path.endswith((".br", ".gz")) and "/ops-" not in path}
    assert set(caches_of(page)[build_name(site)]) == plain | {""}


def test_the_api_is_never_answered_from_a_cache_nor_put_into_one(
    page: Page, known_site: SiteServer, recorder: RecorderPage
) -> None:
    recorder.open()
    assert workers_of_the_page(page)["isControlled"]
    ask = "async () => { try { return (await fetch('/api/recordings')).status } catch { return 'no answer' } }"
    assert page.evaluate(ask) == 404
    known_site.is_away = True
    assert page.evaluate(ask) == "no answer"
    assert not [path for paths in caches_of(page).values() for path in paths if path.startswith("api")]


def test_a_new_build_neither_takes_over_a_page_that_records_nor_takes_its_files_away(
    page: Page, site: SiteServer, next_build: Path
) -> None:
    # Given a page under its own build's service worker, recording
    recorder = RecorderPage(page, site.url).open()
    wait_for_offline_use(recorder)
    page.reload()
    recorder.wait_for_state("ready", "idle", limit_s=READY_LIMIT_S)
    recording_id = recorder.record()
    recorder.wait_for_count("slices-durable", 5)

    # When a new build is installed beside it, the server has nothing else any more, and its worker dies
    old, new = build_name(site), f"holdfast-{read_build(next_build)['name']}"
    site.folder = next_build
    recorder.wait(lambda: look_for_the_next_build(page)["waiting"] == "installed", "the new build to wait")
    site.is_away = True
    at_death = recorder.count("slices-durable")
    page.workers[0].evaluate("() => self.close()")

    # Then it goes on under its own, whole
    assert workers_of_the_page(page)["isOfActive"]
    assert set(caches_of(page)) == {old, new}
    recorder.wait(lambda: recorder.count("slices-durable") > at_death + 20, "a new worker of the old build", 90)
    assert recorder.recording_id == recording_id
    assert "new version" not in recorder.words, "nobody is asked to close a tab that records"
    recorder.stop()
    assert recorder.count("slices-durable") == recorder.count("slices-captured")
    recorder.wait(lambda: "new version of Holdfast is here" in recorder.words, "the words about the next build")

    # And with the last page of the old build, its files go
    tab = page.context.new_page()
    statuses = follow_service_workers(tab, site)
    after = RecorderPage(tab, site.url)
    waiting = after.wait(lambda: [key for key, status in statuses.items() if status == "installed"], "what waits")
    page.close()
    after.wait(lambda: statuses[waiting[0]] == "activated", "the next build to be active", READY_LIMIT_S)
    after.visit()
    assert read_build_of(tab) == str(read_build(next_build)["name"])
    after.wait(lambda: recording_id in after.rows, "the recording in the list", READY_LIMIT_S)
    after.wait(lambda: set(caches_of(tab)) == {new}, "the old build to be forgotten")


def test_a_reload_that_keeps_the_old_build_says_so_and_how_to_get_the_next(
    open_puppet: Callable[..., Puppet], next_puppet_build: Path
) -> None:
    puppet = open_kept_puppet(open_puppet)
    words = puppet.page.locator("body")
    assert "new version" not in words.inner_text()
    puppet.site.folder = next_puppet_build
    puppet.page.reload()
    puppet.page.reload()
    puppet.come_up(is_kept=True)
    puppet.wait(lambda: "close every tab of this page" in words.inner_text(), "the words about the next build")
    assert workers_of_the_page(puppet.page)["waiting"] == "installed"


def test_a_first_visit_keeps_its_files_though_nothing_stops_the_next_build_from_becoming_active(
    page: Page, site: SiteServer, next_build: Path
) -> None:
    # Given a page that no service worker controls, because there was none when it was opened
    recorder = RecorderPage(page, site.url).open()
    wait_for_offline_use(recorder)
    assert not workers_of_the_page(page)["isControlled"]
    recorder.record()
    recorder.wait_for_count("slices-durable", 5)

    # When the next build becomes active at once
    old, new = build_name(site), f"holdfast-{read_build(next_build)['name']}"
    site.folder = next_build
    recorder.wait(lambda: look_for_the_next_build(page) and new in caches_of(page), "the new build to be installed")
    recorder.wait(lambda: workers_of_the_page(page)["waiting"] is None, "the new build to be active")
    site.is_away = True
    page.context.new_cdp_session(page).send("Network.clearBrowserCache")  # nothing of it is left but what is kept
    at_death = recorder.count("slices-durable")
    page.workers[0].evaluate("() => self.close()")

    # Then the page's next worker still starts from the page's own build
    assert {old, new} == set(caches_of(page))
    recorder.wait(lambda: recorder.count("slices-durable") > at_death + 20, "a new worker of the old build", 90)
    recorder.stop()


def test_a_build_that_does_not_arrive_whole_is_not_installed(
    open_puppet: Callable[..., Puppet], next_puppet_build: Path
) -> None:
    puppet = open_kept_puppet(open_puppet)
    site, page = puppet.site, puppet.page
    site.folder = next_puppet_build
    site.damaged.add("page.css")
    outcome = page.evaluate(
        """async () => {
            const registration = await navigator.serviceWorker.getRegistration();
            const found = new Promise((resolve) => registration.onupdatefound = () => {
                const { installing } = registration;
                installing.onstatechange = () => resolve(installing.state);
            });
            await registration.update().catch(() => {});
            return found;
        }"""
    )
    assert outcome == "redundant"
    site.damaged.clear()
    site.is_away = True
    page.reload()
    puppet.come_up()
    puppet.wait(lambda: puppet.shown["state"] == "ready", "the page of the build that is kept")


def test_a_worker_whose_file_is_kept_no_more_checks_itself(page: Page, site: SiteServer) -> None:
    recorder = RecorderPage(page, site.url).open()
    recorder.wait(lambda: recorder.shown["offline-use"] == "ready", "the page to be kept", READY_LIMIT_S)
    worker = read_build(site.folder)["worker"]
    page.evaluate("async ([name, path]) => (await caches.open(name)).delete(path)", [build_name(site), f"/{worker}"])
    page.context.new_cdp_session(page).send("Network.clearBrowserCache")
    site.damaged.add("/worker.js")
    page.reload()  # under the service worker now, and the worker opens at once
    recorder.wait(lambda: recorder.state == "failed", "the failure", READY_LIMIT_S)
    assert worker in recorder.words


@pytest.mark.parametrize(
    "fault",
    [
        "Object.defineProperty(globalThis, 'caches', { value: undefined });",
        "Cache.prototype.put = () => Promise.reject(new DOMException('full', 'QuotaExceededError'));",
    ],
    ids=["no-cache-api", "no-room"],
)
def test_where_nothing_can_be_kept_the_page_says_so_and_records(
    page: Page, built_site: Path, tmp_path: Path, site: SiteServer, fault: str
) -> None:
    site.folder = lay_out_again(built_site, tmp_path, worker_begins_with=f"{fault}\n{a_line(0.01)}")
    page.add_init_script(fault)
    recorder = RecorderPage(page, site.url).open()
    assert recorder.shown["offline-use"] == "not-ready"
    assert not [path for path in site.requests if path.endswith(MEMORY_NAME)], "it could not be kept either"
    recorder.wait(lambda: "would not open yet" in recorder.words, "the words")
    recorder.record()
    recorder.wait_for_count("slices-durable", 5)
    recorder.stop()


def read_build_of(page: Page) -> str:
    name: str = page.evaluate("JSON.parse(document.getElementById('build').textContent).name")
    return name
