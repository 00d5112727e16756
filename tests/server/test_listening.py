"""The listening sockets: both loopback addresses on one port, or a sentence that names what is in the way."""

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from server.listening import PortError, bind_listeners, port_of, start_listening


@contextmanager
def bound(host: str, port: int) -> Iterator[list[socket.socket]]:
    listeners = bind_listeners(host, port)
    try:
        yield listeners
    finally:
        for listener in listeners:
            listener.close()


def test_localhost_is_one_port_on_every_loopback_address() -> None:
    with bound("localhost", 0) as listeners:
        assert {listener.getsockname()[1] for listener in listeners} == {port_of(listeners)}
        assert listeners[0].getsockname()[0] == "127.0.0.1"


def test_nothing_is_accepted_before_listening_starts() -> None:
    with bound("127.0.0.1", 0) as listeners, socket.socket() as client:
        assert client.connect_ex(listeners[0].getsockname()) == errno.ECONNREFUSED
        start_listening(listeners)
        assert client.connect_ex(listeners[0].getsockname()) == 0


def test_a_machine_without_ipv6_listens_on_ipv4_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def open_socket(family: int, kind: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return original(family, kind)

    original = socket.socket
    monkeypatch.setattr("server.listening.socket.socket", open_socket)
    with bound("localhost", 0) as listeners:
        assert [listener.getsockname()[0] for listener in listeners] == ["127.0.0.1"]


def test_a_taken_port_is_named_with_what_to_do() -> None:
    with bound("localhost", 0) as listeners:
        start_listening(listeners)
        with pytest.raises(PortError, match=rf"port {port_of(listeners)} on 127\.0\.0\.1 is taken.*HOLDFAST_PORT"):
            bind_listeners("localhost", port_of(listeners))


def test_of_two_servers_that_bound_at_the_same_moment_one_is_refused() -> None:
    with bound("127.0.0.1", 0) as first, bound("127.0.0.1", port_of(first)) as second:
        start_listening(first)
        with pytest.raises(PortError, match="is taken"):
            start_listening(second)


def test_an_address_that_is_not_here_is_named() -> None:
    with pytest.raises(PortError, match=r"192\.0\.2\.1 port 0 .*HOLDFAST_HOST"):
        bind_listeners("192.0.2.1", 0)
