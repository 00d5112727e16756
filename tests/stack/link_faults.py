"""A load of all kinds of chunks over a stack of which one link is faulty, and what must be true afterwards."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from server.storage.bucket_settings import BucketSettings
from tests.integration.processes import wait_until
from tests.integration.server_process import ServerProcess
from tests.integration.server_stores import environ_of
from tests.stack.audits import audit_twice
from tests.stack.link_gate import Fault, LinkGate
from tests.stack.mixed_client import MixedClient, Told
from tests.stack.outcomes import Outcome, count_words, describe_repairs

# A sender ends so many attempts under a fault; a silent one costs each of them a deadline.
ATTEMPTS: Final = 4
ATTEMPTS_IN_SILENCE: Final = 1
# Longer than the 20 s in which the server promises an answer; on its own faulty link a client need not be so patient.
_PATIENCE_S: Final = 30.0
_PATIENCE_ON_FAULTY_LINK_S: Final = 8.0
# Rows are small: a connection to the ledger has carried this after a few flushes.
_LEDGER_CUT_AFTER_BYTES: Final = 6_000
# How many senders of each kind.
_SENDERS: Final = 2
_LIMIT_S: Final = 240


class Link(StrEnum):
    """Between whom."""

    CLIENT = "client to API"
    BUCKET = "API to bucket"
    LEDGER = "API to ledger"


@dataclass
class GatedStack:
    """A server whose every link leads through a gate; `database_url` and `bucket` pass them by."""

    server: ServerProcess
    gates: dict[Link, LinkGate]
    database_url: str
    bucket: BucketSettings


@contextmanager
def gated_stack(folder: Path, database_url: str, bucket: BucketSettings, calm: dict[str, str]) -> Iterator[GatedStack]:
    """Start it on these stores."""
    ledger, store = urlsplit(database_url), urlsplit(f"//{bucket.endpoint}")
    gates = {
        Link.LEDGER: LinkGate(str(ledger.hostname), int(ledger.port or 0), _LEDGER_CUT_AFTER_BYTES),
        Link.BUCKET: LinkGate(str(store.hostname), int(store.port or 0)),
    }
    gated_url = ledger._replace(netloc=f"{ledger.netloc.rpartition(':')[0]}:{gates[Link.LEDGER].port}").geturl()
    gated_bucket = replace(bucket, endpoint=f"127.0.0.1:{gates[Link.BUCKET].port}")
    try:
        with ServerProcess(folder / "data", environ=environ_of(gated_url, gated_bucket) | calm) as server:
            gates[Link.CLIENT] = LinkGate("127.0.0.1", server.port)
            yield GatedStack(server, gates, database_url, bucket)
    finally:
        for gate in gates.values():
            gate.close()


def run_cell(stack: GatedStack, link: Link, fault: Fault) -> Outcome:
    """Load, then the fault in the middle of it, then none again; every promise is kept meanwhile and afterwards."""
    gate = stack.gates[link]
    client = MixedClient(f"http://127.0.0.1:{stack.gates[Link.CLIENT].port}")
    assert client.sender.register().status_code == 201
    # Given senders at work
    load = _Load(client, _PATIENCE_ON_FAULTY_LINK_S if link is Link.CLIENT else _PATIENCE_S)
    load.wait_for(ATTEMPTS)
    assert all(each.is_receipt for each in load.take_told())

    # When the link goes bad for a while
    gate.fault = fault
    load.wait_for(ATTEMPTS_IN_SILENCE if fault is Fault.HALF_OPEN else ATTEMPTS)
    told = load.take_told()
    load.finish()
    told += load.take_told()
    gate.fault = Fault.NONE
    healed_s = time.monotonic()

    # Then what was told was true, the server answered in time whatever its stores did, and it is well by itself
    assert all(each.is_honest for each in told), told
    assert link is Link.CLIENT or all(each.status for each in told), "the server did not answer in time"
    lost = client.count_lost_in(stack.server)  # before anybody sends it again
    client.timeout_s = _PATIENCE_S
    client.send_until_acknowledged(client.bodies)
    back_s = time.monotonic() - healed_s
    first, second = audit_twice(stack.database_url, stack.bucket)
    assert second == {}, "the second audit changed something (I5)"
    lost += client.count_lost_in(stack.server)
    longest = f"{load.longest_s:.1f}"
    words = count_words([each.word for each in told])
    return Outcome(link, fault, words, describe_repairs(first), longest, back_s, lost, 0)


class _Load:
    """Senders of small, large and loose chunks, each of a new one when its last attempt has ended, whatever came."""

    def __init__(self, client: MixedClient, patience_s: float) -> None:
        client.timeout_s = patience_s
        self.longest_s = 0.0
        self._client = client
        self._told: list[Told] = []
        self._ended = dict.fromkeys(range(3 * _SENDERS), 0)
        self._is_over = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._send, args=(kind,), daemon=True) for kind in self._ended]
        for thread in self._threads:
            thread.start()

    def wait_for(self, attempts: int) -> None:
        """Until each sender has ended so many further ones, one that is under way now not counted."""
        goal = {kind: ended + attempts + 1 for kind, ended in self._ended.items()}
        wait_until(lambda: all(self._ended[kind] >= goal[kind] for kind in goal), "the senders' attempts", _LIMIT_S)

    def take_told(self) -> list[Told]:
        """What was told since the last time."""
        with self._lock:
            told, self._told = self._told, []
        return told

    def finish(self) -> None:
        """No other attempt begins; return when the last one has ended."""
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _send(self, kind: int) -> None:
        while not self._is_over.is_set():
            with self._lock:
                (part,) = self._client.make(small=kind % 3 == 0, large=kind % 3 == 1, loose=kind % 3 == 2)
            began_s = time.monotonic()
            told = self._client.send(part)
            with self._lock:
                self.longest_s = max(self.longest_s, time.monotonic() - began_s)
                self._told.append(told)
                self._ended[kind] += 1
