"""SIGTERM: nothing new is taken, and everything that was accepted is stored, acknowledged and answered."""

import signal
import socket

from e2e.stores import Stores
from tests.integration.ledger_lock import chunks_table_locked
from tests.integration.processes import wait_until
from tests.integration.sender import Sender, Sending, Streams, make_chunk
from tests.integration.server_process import ServerProcess
from tests.integration.server_stores import open_stores


def refuses_connections(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_chunk_under_way_gets_its_receipt_after_sigterm(
    server: ServerProcess, stores: Stores, sender: Sender
) -> None:
    # Given a chunk whose COMMIT waits
    body = make_chunk(0)
    before = set(stores.keys())
    with chunks_table_locked(server.database_url) as unlock:
        sending = Sending(sender, 0, body)
        sending.start()
        wait_until(lambda: set(stores.keys()) - before, "the object to stand in the bucket")

        # When the server is told to stop, it takes no other connection
        server.send_signal(signal.SIGTERM)
        wait_until(lambda: refuses_connections(server.port), "the port to be closed")
        unlock()

    # Then the chunk is acknowledged all the same, and the server ends well
    sending.join()
    assert sending.answer is not None
    assert sending.answer.status_code == 201
    assert server.exit_code() == 0
    server.start()
    with open_stores(server) as now:
        sender.check_kept(now)


def test_a_stream_of_chunks_keeps_every_promise_when_the_server_is_stopped(
    server: ServerProcess, sender: Sender
) -> None:
    streams = Streams(sender)
    wait_until(lambda: len(sender.receipts) >= 20, "some chunks to be acknowledged")
    server.send_signal(signal.SIGINT)
    assert server.exit_code() == 0
    streams.finish()
    server.start()
    with open_stores(server) as now:
        sender.check_kept(now)


def test_a_second_sigint_does_not_wait_for_a_request_that_does_not_end(server: ServerProcess, sender: Sender) -> None:
    # Given a body that never becomes whole
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        head = f"PUT /api/recordings/{sender.recording_id}/chunks/0 HTTP/1.1\r\nhost: localhost\r\n"
        digest = "content-digest: sha-256=:" + "A" * 43 + "=:\r\nchunk-run: 0\r\n"
        connection.sendall(f"{head}{digest}content-length: 100000\r\n\r\nhalf".encode())
        offset = len(server.log)

        # When it is interrupted twice
        server.send_signal(signal.SIGINT)
        wait_until(lambda: "finishing what was accepted" in server.log[offset:], "the drain to begin")
        server.send_signal(signal.SIGINT)

        # Then it ends, and says what that means
        assert server.exit_code() == 0
        assert "ending the workers at once" in server.log[offset:]
