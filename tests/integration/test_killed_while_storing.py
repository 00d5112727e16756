"""A server killed with -9 at the worst moments of a chunk's way: nothing acknowledged is missing or stands twice."""

import socket
from collections.abc import Callable

import pytest

from e2e.stores import Stores
from tests.integration.ledger_lock import chunks_table_locked
from tests.integration.processes import wait_until
from tests.integration.sender import Sender, Sending, Streams, chunk_headers, make_chunk
from tests.integration.server_process import ServerProcess
from tests.integration.server_stores import open_stores


def kill_workers(server: ServerProcess) -> None:
    assert server.kill_workers()


def kill_supervisor(server: ServerProcess) -> None:
    server.kill()


def bring_back(server: ServerProcess) -> None:
    if not server.is_running():
        server.start()
    server.wait_until_ready()


@pytest.mark.parametrize("kill", [kill_workers, kill_supervisor])
def test_a_chunk_whose_server_dies_between_put_and_commit_is_stored_once_when_it_is_sent_again(
    server: ServerProcess, stores: Stores, sender: Sender, kill: Callable[[ServerProcess], None]
) -> None:
    # Given an acknowledged chunk, and one whose bytes are in the bucket and whose COMMIT waits
    assert sender.send(0, make_chunk(0)).status_code == 201
    body = make_chunk(1)
    before = set(stores.keys())
    with chunks_table_locked(server.database_url):
        sending = Sending(sender, 1, body)
        sending.start()
        wait_until(lambda: set(stores.keys()) - before, "the object to stand in the bucket")

        # When the server is killed there
        kill(server)
    sending.join()
    assert sending.answer is None

    # Then the next one holds what was acknowledged, and takes the chunk again: one row, the right bytes
    bring_back(server)
    assert sender.send(1, body).is_success
    with open_stores(server) as now:
        assert [row.chunk_index for row in now.chunks(sender.recording_id)] == [0, 1]
        sender.check_kept(now)
        # The lost attempt's object stays where it was, and the second one got a key of its own (I11).
        ours = [key for key in set(now.keys()) - before if key.startswith(("chunks/", "packs/"))]
        assert len(ours) == 2
    assert sender.fetch(1) == body


def test_half_a_body_leaves_nothing_when_its_worker_is_killed(
    server: ServerProcess, stores: Stores, sender: Sender
) -> None:
    assert sender.send(0, make_chunk(0)).status_code == 201
    body = make_chunk(1, 200_000)
    lines = [f"PUT /api/recordings/{sender.recording_id}/chunks/1 HTTP/1.1", "host: localhost"]
    lines += [f"{name}: {value}" for name, value in chunk_headers(body).items()]
    head = "\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode()
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head + body[: len(body) // 2])
        kill_workers(server)
    assert [row.chunk_index for row in stores.chunks(sender.recording_id)] == [0]
    assert not stores.keys(f"chunks/{sender.recording_id}/00000001-")
    wait_until(lambda: sender.send(1, body).status_code == 201, "the whole body to be taken")
    sender.check_kept(stores)


@pytest.mark.parametrize("kill", [kill_workers, kill_supervisor])
def test_a_stream_of_chunks_keeps_every_promise_when_the_server_is_killed(
    server: ServerProcess, sender: Sender, kill: Callable[[ServerProcess], None]
) -> None:
    # Given four senders at work
    streams = Streams(sender)
    wait_until(lambda: len(sender.receipts) >= 20, "some chunks to be acknowledged")

    # When the server dies in the middle
    kill(server)
    streams.finish()
    promised = dict(sender.receipts)

    # Then all that was acknowledged is there and gets the same receipt again, and the rest follows
    bring_back(server)
    with open_stores(server) as now:
        sender.check_kept(now)
        for index, body in streams.tried.items():
            answer = sender.send(index, body)
            assert answer.is_success, answer.text
        sender.check_kept(now)
        assert len(now.chunks(sender.recording_id)) == len(streams.tried)
    for index, (receipt, _) in promised.items():
        assert sender.receipts[index][0] == receipt
