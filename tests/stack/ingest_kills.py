"""Who dies at which step of ingest, and what must be true afterwards."""

import os
import signal
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import psycopg

from protocol.errors import ErrorCode
from server.storage.blob_store import BlobStoreError
from server.storage.s3_client import read_any
from tests.contracts.minio_process import MinioProcess
from tests.integration.processes import kill_process, wait_until
from tests.integration.sender import Sender, make_chunk
from tests.integration.server_process import ServerProcess
from tests.integration.server_stores import open_stores
from tests.stack.audits import audit_twice
from tests.stack.halting import AFTER, BEFORE, Halt
from tests.stack.mixed_client import MixedClient
from tests.stack.outcomes import Outcome, count_words, describe_repairs
from tests.stack.standing_still import StandingStill, go_on

STEPS: Final = {
    "admitted, nothing looked up": Halt("look_up", BEFORE),
    "looked up": Halt("look_up", AFTER),
    "before the PUT": Halt("put", BEFORE, within="flush"),
    "PUT done": Halt("put", AFTER, within="flush"),
    "rows inserted, before COMMIT": Halt("commit", BEFORE, within="acknowledge_coming"),
    "COMMIT done": Halt("commit", AFTER, within="acknowledge_coming"),
    "before the answer": Halt("flush", AFTER),
}


class Victim(StrEnum):
    """Who is killed with SIGKILL."""

    WORKER = "API process"
    SUPERVISOR = "whole server"
    POSTGRES = "PostgreSQL"
    SEAWEEDFS = "SeaweedFS"
    MINIO = "MinIO"


_SERVICES: Final = {Victim.POSTGRES: "postgres", Victim.SEAWEEDFS: "seaweedfs"}


@dataclass
class Stack:
    """A real server with a client, a deleted recording, and, where the bucket is MinIO's, that process."""

    server: ServerProcess
    still: StandingStill
    minio: MinioProcess | None = None
    deleted: Sender | None = None

    def delete_a_recording(self) -> None:
        """One that had a chunk; nothing may bring it back."""
        client = MixedClient(self.server.base_url)
        assert client.sender.register().status_code == 201
        client.send_until_acknowledged(client.make(small=1))
        client.sender.delete()
        self.deleted = client.sender

    def count_returned(self) -> int:
        """Deleted recordings of which something is back, or that take chunks."""
        assert self.deleted is not None
        refusal = self.deleted.send(7, make_chunk(7))
        with open_stores(self.server) as stores:
            rows = stores.chunks(self.deleted.recording_id)
        return int(bool(rows) or refusal.json().get("code") != ErrorCode.RECORDING_DELETED)


def run_cell(stack: Stack, step: str, victim: Victim) -> Outcome:
    """Kill it there; everybody comes back; every promise is kept."""
    server = stack.server
    server.wait_until_ready()
    # Given acknowledged chunks, and others on their way that stand still at the step
    client = MixedClient(server.base_url)
    assert client.sender.register().status_code == 201
    client.send_until_acknowledged(client.make(small=1, large=1, loose=1))
    stack.still.order(STEPS[step])
    parts = client.make(small=2, large=2, loose=2)
    attempts = client.begin(parts)
    pid = stack.still.wait(f"the server to stand still: {step}")

    # When the victim dies there
    killed_s = time.monotonic()
    old = server.service_pids().get(_SERVICES.get(victim, ""), 0)
    kill(stack, victim, pid, old)
    go_on(pid)
    told = attempts.finish()
    assert all(each.is_honest for each in told.values()), told

    # Then it comes back with all that it had acknowledged, and takes the rest; a repeat gets the same receipt
    bring_back(stack, victim, pid, old)
    lost = client.count_lost_in(server)  # before anybody sends it again
    client.send_until_acknowledged(parts)
    back_s = time.monotonic() - killed_s
    first, second = audit_twice(server.database_url, server.bucket)
    lost += client.count_lost_in(server)
    outcome = Outcome(
        step,
        victim,
        count_words([each.word for each in told.values()]),
        describe_repairs(first),
        "client" if not first else "client; audit",
        back_s,
        lost,
        stack.count_returned(),
    )
    assert len(client.first_receipts) == len(client.bodies)
    assert second == {}, "the second audit changed something (I5)"
    return outcome


def kill(stack: Stack, victim: Victim, pid: int, service_pid: int) -> None:
    """SIGKILL of the worker that stands still, or of another victim."""
    if victim is Victim.WORKER:
        os.kill(pid, signal.SIGKILL)
    elif victim is Victim.SUPERVISOR:
        stack.server.kill()
    elif victim is Victim.MINIO:
        assert stack.minio is not None
        stack.minio.kill()
    else:
        kill_process(service_pid)


def bring_back(stack: Stack, victim: Victim, worker_pid: int, service_pid: int) -> None:
    """Wait until everybody is back, or start it again where nobody else does."""
    server = stack.server
    if victim is Victim.WORKER:
        wait_until(lambda: server.worker_pids() and worker_pid not in server.worker_pids(), "another worker")
    elif victim is Victim.SUPERVISOR:
        server.start()
    elif victim is Victim.MINIO:
        assert stack.minio is not None
        stack.minio.__enter__()
    else:
        name = _SERVICES[victim]
        wait_until(lambda: server.service_pids().get(name, service_pid) != service_pid, f"another {name}")
    server.wait_until_ready()
    # Its process is there before it answers, and what the server thinks may be older than the death.
    wait_until(lambda: _do_stores_answer(server), "both stores to answer")


def _do_stores_answer(server: ServerProcess) -> bool:
    try:
        read_any(server.bucket)
        psycopg.connect(server.database_url, connect_timeout=5).close()
    except (BlobStoreError, psycopg.Error):
        return False
    return True
