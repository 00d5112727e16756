"""What a story is given: a running service behind a gate, and machines with browsers that may die.

A story that fails leaves what its pages said and showed, and the server's log, in .build/e2e-artifacts/.
"""

import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Playwright, sync_playwright

from e2e.artifacts import REPORTS, folder_of_failure, save_page
from e2e.chromium import FAKE_DEVICES
from e2e.figures import Figures, lines_of
from e2e.machine import Machine, MachineRoom
from e2e.service import Service, running_service
from e2e.used_profile import UsedProfile
from scripts.find_chromium import find_chromium


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Lets a fixture know at its end how its story went."""
    report = yield
    item.stash.setdefault(REPORTS, {})[report.when] = report
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what stories measured."""
    lines = lines_of(terminalreporter.getreports("passed"))
    if lines:
        terminalreporter.section("figures")
        for line in lines:
            terminalreporter.line(line)


@pytest.fixture
def figures(record_property: Callable[[str, object], None]) -> Figures:
    return Figures(record_property)


@pytest.fixture(scope="session")
def chromium_path() -> str:
    return str(find_chromium())


@pytest.fixture(scope="session")
def session_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One server, bucket and ledger for all stories."""
    with running_service(tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture
def service(session_service: Service, request: pytest.FixtureRequest) -> Iterator[Service]:
    """The service, running, with an honest network before and after the story."""
    session_service.heal()
    log_begins_at = session_service.log.stat().st_size
    yield session_service
    folder = folder_of_failure(request.node)
    if folder:
        with session_service.log.open("rb") as log:
            log.seek(log_begins_at)
            (folder / "server.log").write_bytes(log.read())
        bent = [f"{bend.name} {request.method} {request.path}" for bend, request in session_service.gate.bent]
        (folder / "gate.log").write_text("\n".join(bent))
    session_service.heal()


@pytest.fixture(scope="session")
def used_profile(session_service: Service, chromium_path: str, tmp_path_factory: pytest.TempPathFactory) -> UsedProfile:
    """What a machine's profile holds that has opened the service's page before."""
    return UsedProfile(chromium_path, session_service.url, tmp_path_factory.mktemp("used"))


# Per module: a driver that lives longer would hold the event loop that other modules' async tests need.
@pytest.fixture(scope="module")
def playwright_driver() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def machine_room(
    playwright_driver: Playwright,
    chromium_path: str,
    session_service: Service,
    used_profile: UsedProfile,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[MachineRoom]:
    """Where a module's machines stand."""
    room = MachineRoom(
        playwright_driver,
        chromium_path,
        session_service.url,
        lambda: tmp_path_factory.mktemp("machine"),
        used_profile,
        is_headed=bool(os.environ.get("HOLDFAST_E2E_HEADED")),
    )
    yield room
    room.put_all_away()


@pytest.fixture
def start_machine(
    service: Service, machine_room: MachineRoom, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Machine]]:
    """Start a machine with other devices, or just with a profile of its own; it ends with the story."""
    machines: list[Machine] = []

    def start(
        *, flags: tuple[str, ...] = FAKE_DEVICES, folder: Path | None = None, is_as_shipped: bool = False
    ) -> Machine:
        machines.append(machine_room.start(flags, folder, is_as_shipped=is_as_shipped))
        return machines[-1]

    yield start
    folder = folder_of_failure(request.node)
    for number, machine in enumerate(machines):
        if folder:
            _save_machine(machine, folder, number)
        machine_room.put_away(machine)


@pytest.fixture
def machine(service: Service, machine_room: MachineRoom, request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A machine with fake devices, its desk cleared. Stories share it, with its profile, until one fails on it."""
    machine = machine_room.standing()
    yield machine
    folder = folder_of_failure(request.node)
    if folder:
        _save_machine(machine, folder, 0)
        machine_room.put_away(machine)
    else:
        machine.clear_desk()


def _save_machine(machine: Machine, folder: Path, number: int) -> None:
    (folder / f"machine{number}.console.log").write_text("\n".join(machine.browser.console))
    for tab_number, tab in enumerate(machine.tabs):
        save_page(tab.page, folder / f"machine{number}.tab{tab_number}")
