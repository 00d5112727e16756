"""Where the server listens, who may not, and what it says where it cannot."""

import socket
from pathlib import Path

import httpx
import pytest

from tests.integration.sender import open_client
from tests.integration.server_process import ServerProcess


def has_ipv6_loopback() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def ask(url: str) -> httpx.Response:
    with open_client() as client:
        return client.get(url)


def fails_with(tmp_path: Path, environ: dict[str, str], port: int | None = None) -> tuple[int, str]:
    """Exit code and words of a server that must not start."""
    server = ServerProcess(tmp_path / "data", environ=environ, port=port)
    server.launch()
    try:
        return server.exit_code(), server.log
    finally:
        server.kill()


def test_both_loopback_addresses_answer(server: ServerProcess) -> None:
    assert ask(f"http://127.0.0.1:{server.port}/api/health/live").status_code == 200
    if has_ipv6_loopback():
        assert ask(f"http://[::1]:{server.port}/api/health/live").status_code == 200


def test_the_page_lives_at_one_address_and_the_api_at_all(server: ServerProcess) -> None:
    answer = ask(f"http://127.0.0.1:{server.port}/")
    assert answer.is_redirect
    assert answer.headers["location"] == f"http://localhost:{server.port}/"
    assert ask(f"http://127.0.0.1:{server.port}/api/recordings").status_code == 200


def test_a_second_server_on_the_same_data_is_refused_and_the_first_unharmed(
    server: ServerProcess, tmp_path: Path
) -> None:
    code, words = fails_with(tmp_path, {"HOLDFAST_DATA_DIR": str(server.data_dir)})
    assert code == 1
    assert f"another server (pid {server.pid})" in words
    assert "HOLDFAST_DATA_DIR" in words
    assert server.health() == 200


def test_a_taken_port_is_named_before_anything_is_started(server: ServerProcess, tmp_path: Path) -> None:
    code, words = fails_with(tmp_path, {}, port=server.port)
    assert code == 1
    assert f"port {server.port} on 127.0.0.1 is taken" in words
    assert "HOLDFAST_PORT" in words
    assert not (tmp_path / "data").exists()
    assert server.health() == 200


def test_a_port_taken_on_ipv6_alone_is_named_too(tmp_path: Path) -> None:
    if not has_ipv6_loopback():
        pytest.skip("this machine has no ::1")
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as taken:
        port = taken.getsockname()[1]
        code, words = fails_with(tmp_path, {}, port=port)
    assert code == 1
    assert f"port {port} on ::1 is taken" in words


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_nothing_listens_beyond_loopback_without_authentication(tmp_path: Path, host: str) -> None:
    code, words = fails_with(tmp_path, {"HOLDFAST_HOST": host})
    assert code == 2
    assert "HOLDFAST_HOST" in words
    assert "authentication" in words


def test_every_wrong_setting_gets_its_own_line(tmp_path: Path) -> None:
    code, words = fails_with(tmp_path, {"HOLDFAST_WORKERS": "many", "HOLDFAST_DRAIN_S": "-1"})
    assert code == 2
    lines = words.splitlines()
    assert len(lines) == 2
    assert "HOLDFAST_WORKERS is 'many'" in lines[0]
    assert "HOLDFAST_DRAIN_S is '-1'" in lines[1]
