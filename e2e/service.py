"""The server of all stories behind its gate: one `holdfast serve`, killed and started again as they ask."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from e2e.network_gate import NetworkGate
from e2e.stores import Stores
from tests.integration.processes import wait_until
from tests.integration.server_process import ServerProcess


class Service:
    """A server with its own bucket and ledger, and the network to it. The page lives at the gate's address."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "server.log"
        self.log.touch()
        self.gate = NetworkGate(upstream_port=0)
        self.url = f"http://localhost:{self.gate.port}"
        self._server = ServerProcess(folder / "data", environ={"HOLDFAST_PUBLIC_URL": self.url}, log_path=self.log)
        self.gate.upstream_port = self._server.port
        self._stores: Stores | None = None

    @property
    def stores(self) -> Stores:
        """Bucket and ledger, while the server runs (they are the embedded ones and die with it)."""
        assert self._stores is not None, "start the server first"
        return self._stores

    def start(self) -> None:
        """Start the server on its data and return when it is ready."""
        self._server.start()
        bucket = self._server.bucket
        self._stores = Stores(
            database_url=self._server.database_url,
            endpoint=bucket.endpoint,
            access_key=bucket.access_key,
            secret_key=bucket.secret_key,
            bucket=bucket.bucket,
        )

    def kill(self) -> None:
        """SIGKILL the server; its API processes, database and bucket end with it."""
        self._close_stores()
        self._server.kill()

    def kill_api(self) -> None:
        """SIGKILL the API processes only, as soon as there are any; the server starts others."""
        wait_until(self._server.worker_pids, "an API process to kill")
        self._server.kill_workers()

    def heal(self) -> None:
        """An honest network and a running server, whatever the last story left."""
        self.gate.back()
        self.gate.bent.clear()
        self.gate.passed.clear()
        if not self._server.is_running():
            self.start()

    def close(self) -> None:
        """Kill the server and shut the gate."""
        self.kill()
        self.gate.close()

    def _close_stores(self) -> None:
        if self._stores is not None:
            self._stores.close()
            self._stores = None


@contextmanager
def running_service(folder: Path) -> Iterator[Service]:
    """The service for as long as the block lasts."""
    service = Service(folder)
    try:
        service.start()
        yield service
    finally:
        service.close()
