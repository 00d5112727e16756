"""The server's processes: they come back one by one, and end together, however they are killed."""

import json
import signal

import pytest

from e2e.stores import Stores
from tests.integration.processes import descendants_of, is_alive, kill_process, wait_until
from tests.integration.sender import Sender, make_chunk
from tests.integration.server_process import ServerProcess
from tests.integration.server_stores import open_stores


def test_nothing_outlives_a_killed_supervisor_and_the_next_start_has_everything(
    server: ServerProcess, sender: Sender
) -> None:
    # Given a server with acknowledged chunks
    for index in range(3):
        assert sender.send(index, make_chunk(index)).status_code == 201
    below = server.descendants()
    assert server.worker_pids()
    assert set(server.service_pids()) == {"postgres", "seaweedfs"}

    # When only its supervisor is killed, every process it started ends by itself
    server.send_signal(signal.SIGKILL)
    assert server.exit_code() == -signal.SIGKILL
    wait_until(lambda: not any(map(is_alive, below)), "every process of the killed supervisor to end")

    # Then the next start works on the same data and port
    server.start()
    with open_stores(server) as now:
        sender.check_kept(now)
    assert [sender.fetch(index) for index in range(3)] == [body for _, body in sender.receipts.values()]


def test_a_killed_worker_is_replaced(server: ServerProcess, sender: Sender) -> None:
    before = server.worker_pids()
    kill_process(before[0])
    wait_until(
        lambda: len(server.worker_pids()) == len(before) and before[0] not in server.worker_pids(), "another worker"
    )
    assert sender.send(0, make_chunk(0)).status_code == 201


@pytest.mark.parametrize("name", ["postgres", "seaweedfs"])
def test_a_killed_service_comes_back_by_itself_with_everything_acknowledged(
    server: ServerProcess, stores: Stores, sender: Sender, name: str
) -> None:
    # Given an acknowledged chunk
    body, other = make_chunk(0), make_chunk(1)
    assert sender.send(0, body).status_code == 201
    supervisor, workers, killed = server.pid, server.worker_pids(), server.service_pids()[name]

    # When the service is killed under the running server
    kill_process(killed)

    # Then another one serves the same data, and neither supervisor nor workers had to start again
    wait_until(lambda: server.service_pids().get(name, killed) != killed, f"another {name}")
    # A worker may find its old connections broken first: it answers 503, and its client sends again.
    wait_until(lambda: sender.send(1, other).is_success, "a chunk to be taken")
    wait_until(lambda: sender.ask(0).is_success, "a chunk to be given back")
    assert sender.fetch(0) == body
    assert (server.pid, server.worker_pids()) == (supervisor, workers)
    sender.check_kept(stores)


def test_the_workers_are_replaced_without_losing_a_chunk(server: ServerProcess, stores: Stores, sender: Sender) -> None:
    before = set(server.worker_pids())
    assert sender.send(0, make_chunk(0)).status_code == 201
    server.send_signal(signal.SIGUSR1)
    wait_until(lambda: len(now := set(server.worker_pids())) == len(before) and not now & before, "new workers")
    assert sender.send(1, make_chunk(1)).status_code == 201
    sender.check_kept(stores)


def test_the_log_is_one_json_object_a_line_and_holds_no_secret(server: ServerProcess, sender: Sender) -> None:
    assert sender.send(0, make_chunk(0)).status_code == 201
    lines = [json.loads(line) for line in server.log.splitlines()]
    assert all({"at", "level", "logger", "process", "message"} <= line.keys() for line in lines)
    assert any(line["message"] == f"ready: http://localhost:{server.port}" for line in lines)
    secrets = json.loads((server.data_dir / "credentials.json").read_bytes())
    for name in ("database_password", "superuser_password", "secret_key", "volume_key"):
        assert secrets[name] not in server.log


def test_an_interrupted_start_leaves_nothing_running(server: ServerProcess) -> None:
    server.terminate()
    server.launch()
    pid = server.pid
    wait_until(lambda: descendants_of(pid), "the first service to start")
    below = server.descendants()
    assert server.terminate() == 0
    assert not any(map(is_alive, below))
