"""One real server for the tests that kill it; each finds it running again."""

from collections.abc import Iterator

import pytest

from e2e.stores import Stores
from tests.integration.processes import wait_until
from tests.integration.sender import Sender
from tests.integration.server_process import ServerProcess
from tests.integration.server_stores import open_stores

WORKERS = 2


@pytest.fixture(scope="session")
def session_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(
        tmp_path_factory.mktemp("server") / "data", environ={"HOLDFAST_WORKERS": str(WORKERS)}
    ) as server:
        yield server


@pytest.fixture
def server(session_server: ServerProcess) -> ServerProcess:
    """The server, ready, whatever the last test left."""
    if not session_server.is_running():
        session_server.start()
    session_server.wait_until_ready()
    wait_until(lambda: len(session_server.worker_pids()) == WORKERS, "every worker to run")
    return session_server


@pytest.fixture
def stores(server: ServerProcess) -> Iterator[Stores]:
    with open_stores(server) as stores:
        yield stores


@pytest.fixture
def sender(server: ServerProcess) -> Sender:
    """A client with a registered recording of its own."""
    sender = Sender(server.base_url)
    assert sender.register().status_code == 201
    return sender
