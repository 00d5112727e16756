"""The listening sockets, which the supervisor opens and every worker inherits.

One shared accept queue on purpose, not one a worker by SO_REUSEPORT: connections that wait in a
worker's own queue die with that worker, those in the shared one are taken by the next. For the same
reason the supervisor keeps its copy open while it runs: a moment without workers is a wait, not a refusal.
"""

import errno
import socket
from typing import Final

BACKLOG: Final = 2_048
# With port 0 the number that is free on 127.0.0.1 may be taken on ::1.
_FREE_PORT_ATTEMPTS: Final = 20
# What a machine without IPv6 on its loopback answers.
_NO_IPV6: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT)


class PortError(Exception):
    """The address cannot be listened on; the message names it and says what to do."""


class _TakenError(PortError):
    """Somebody else listens there."""


def bind_listeners(host: str, port: int) -> list[socket.socket]:
    """Bound sockets, not yet listening; `localhost` is 127.0.0.1 and, where the machine has it, ::1.

    Port 0 takes a port that is free on both. Raises `PortError`.
    """
    attempts = 1 if port else _FREE_PORT_ATTEMPTS
    for attempt in range(1, attempts + 1):
        try:
            return _bind_all(host, port)
        except _TakenError:
            if attempt == attempts:
                raise
    raise AssertionError("the loop returns or raises")


def start_listening(listeners: list[socket.socket]) -> None:
    """Take connections into the queues from now on. Raises `PortError` where another server was faster."""
    for listener in listeners:
        try:
            listener.listen(BACKLOG)
        except OSError as error:
            address, port = listener.getsockname()[:2]
            raise _describe(address, port, error) from error


def port_of(listeners: list[socket.socket]) -> int:
    """The one port of all of them."""
    return int(listeners[0].getsockname()[1])


def _bind_all(host: str, port: int) -> list[socket.socket]:
    if host != "localhost":
        return [_bind(host, port)]
    listeners = [_bind("127.0.0.1", port)]
    try:
        listeners.append(_bind("::1", port_of(listeners)))
    except PortError as error:
        cause = error.__cause__
        if not (isinstance(cause, OSError) and cause.errno in _NO_IPV6):
            listeners[0].close()
            raise
    return listeners


def _bind(address: str, port: int) -> socket.socket:
    is_ipv6 = ":" in address
    try:
        listener = socket.socket(socket.AF_INET6 if is_ipv6 else socket.AF_INET, socket.SOCK_STREAM)
    except OSError as error:
        raise _describe(address, port, error) from error
    try:
        # Else connections of the last life, in TIME_WAIT, would keep the port for a minute.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_ipv6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address, port))
    except OSError as error:
        listener.close()
        raise _describe(address, port, error) from error
    return listener


def _describe(address: str, port: int, error: OSError) -> PortError:
    match error.errno:
        case errno.EADDRINUSE:
            return _TakenError(
                f"port {port} on {address} is taken: another program, perhaps another Holdfast, listens there. "
                "Stop it, or set HOLDFAST_PORT to another port (0: any free one)"
            )
        case errno.EACCES:
            return PortError(
                f"port {port} on {address} needs rights that this user lacks: set HOLDFAST_PORT above 1023"
            )
        case _:
            return PortError(f"cannot listen on {address} port {port} ({error.strerror}): check HOLDFAST_HOST")
