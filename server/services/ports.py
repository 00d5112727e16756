"""Ports on the loopback address that nobody listens on, the same ones as last time where they are free."""

import secrets
import socket
from collections.abc import Mapping, Sequence

from server.services.data_directory import PORT_FIRST, PORT_LAST
from server.services.errors import ServiceStartError

LOOPBACK = "127.0.0.1"
_ATTEMPTS_MAX = 1_000


def choose_ports(names: Sequence[str], remembered: Mapping[str, int]) -> dict[str, int]:
    """A free port for each name: the remembered one where it is still free, a random one otherwise."""
    taken: set[int] = set()
    ports: dict[str, int] = {}
    for name in names:
        port = remembered.get(name)
        if port is None or port in taken or not is_free(port):
            port = _choose(taken)
        taken.add(port)
        ports[name] = port
    return ports


def is_free(port: int) -> bool:
    """Whether a listener could take the port now (a connection in TIME_WAIT does not hold it)."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _choose(taken: set[int]) -> int:
    for _ in range(_ATTEMPTS_MAX):
        port = PORT_FIRST + secrets.randbelow(PORT_LAST - PORT_FIRST)
        if port not in taken and is_free(port):
            return port
    raise ServiceStartError(f"no free port between {PORT_FIRST} and {PORT_LAST} on {LOOPBACK}")
