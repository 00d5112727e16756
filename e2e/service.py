"""The server of all stories behind its gate: one `holdfast serve`, killed and started again as they ask."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from e2e.network_gate import NetworkGate
from e2e.stores import Stores


class Service:
    """A server, its stores, and the network to it. The page lives at the gate's address."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "server.log"
        self.gate = NetworkGate(upstream_port=0)
        self.url = f"http://localhost:{self.gate.port}"
        self.stores: Stores

    def start(self) -> None:
        """Start the server on its data and return when it is ready."""
        raise NotImplementedError

    def kill(self) -> None:
        """SIGKILL."""
        raise NotImplementedError

    def heal(self) -> None:
        """An honest network and a running server, whatever the last story left."""
        raise NotImplementedError


@contextmanager
def running_service(folder: Path) -> Iterator[Service]:
    """The service for as long as the block lasts."""
    service = Service(folder)
    try:
        service.start()
        yield service
    finally:
        service.gate.close()
