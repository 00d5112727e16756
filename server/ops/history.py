"""The last hour in samples: one process of a server takes them, any of them gives them.

They lie beside the counters that the processes share, and go with them when the server stops.
"""

import asyncio
import fcntl
import os
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from server.metrics import Metrics
from server.ops.answers import History, Sample

EVERY_S: Final = 10.0
_SAMPLES_MAX: Final = 361  # an hour, both ends
_FILE_NAME: Final = "history.json"
_LOCK_NAME: Final = "history.lock"
# Answers that a chunk waited for.
_ACK_ROUTES: Final = frozenset({"/api/recordings/{recording_id}/chunks/{chunk_index}", "/api/chunks/upload"})
_ACK_METHODS: Final = frozenset({"PUT", "POST"})


class HistoryKeeper:
    """`folder` is where the processes share; None where there is only this one."""

    def __init__(self, metrics: Metrics, folder: Path | None, *, read_clock_s: Callable[[], float] = time.time) -> None:
        self._metrics = metrics
        self._folder = folder
        self._read_clock_s = read_clock_s
        self._samples: deque[Sample] = deque(maxlen=_SAMPLES_MAX)

    async def run(self) -> None:
        """Take a sample every EVERY_S while no other process does; ends by cancellation."""
        descriptor = await self._become_the_one()
        try:
            self._samples.extend(self._load().samples)
            while True:
                await asyncio.to_thread(self.take)
                await asyncio.sleep(EVERY_S)
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def take(self) -> None:
        """One sample more."""
        self._samples.append(self.sample_now())
        if self._folder is not None:
            beside = self._folder / f"{_FILE_NAME}.partial"
            beside.write_bytes(msgspec.json.encode(self._own()))
            beside.replace(self._folder / _FILE_NAME)

    def read(self) -> History:
        """What was taken so far, by whichever process."""
        return self._own() if self._folder is None else self._load()

    def sample_now(self) -> Sample:
        """The counters at this moment."""
        totals: dict[str, float] = {}
        receipts: dict[str, float] = {}
        refusals: dict[str, float] = {}
        objects: dict[str, float] = {}
        buckets: dict[float, float] = {}
        for family in self._metrics.collect():
            for name, labels, value in ((s.name, s.labels, s.value) for s in family.samples):
                match name:
                    case "holdfast_chunks_acknowledged_total":
                        _add(receipts, labels["kind"], value)
                    case "holdfast_problems_total":
                        _add(refusals, labels["code"], value)
                    case "holdfast_bucket_seconds_count" if labels["call"] == "put":
                        _add(objects, labels["what"], value)
                    case "holdfast_http_request_seconds_bucket":
                        if labels["route"] in _ACK_ROUTES and labels["method"] in _ACK_METHODS:
                            bound = float(labels["le"])
                            buckets[bound] = buckets.get(bound, 0.0) + value
                    case _:
                        _add(totals, name, value)
        bounds = sorted(buckets)
        return Sample(
            at=self._read_clock_s(),
            receipts=receipts,
            received_bytes=totals.get("holdfast_chunk_bytes_acknowledged_total", 0.0),
            refusals=refusals,
            objects=objects,
            bucket_errors=totals.get("holdfast_bucket_errors_total", 0.0),
            waiting_bytes=totals.get("holdfast_waiting_bytes", 0.0),
            waiting_bodies=totals.get("holdfast_waiting_bodies", 0.0),
            flushes_in_flight=totals.get("holdfast_flushes_in_flight", 0.0),
            ack_seconds=[buckets[bound] for bound in bounds],
            # The last one is without bound, which JSON has no number for: -1.
            ack_bounds_s=[bound if bound != float("inf") else -1.0 for bound in bounds],
        )

    def _own(self) -> History:
        return History(every_s=EVERY_S, samples=list(self._samples))

    def _load(self) -> History:
        with suppress(OSError, msgspec.DecodeError):
            if self._folder is not None:
                return msgspec.json.decode((self._folder / _FILE_NAME).read_bytes(), type=History)
        return History(every_s=EVERY_S, samples=[])

    async def _become_the_one(self) -> int | None:
        if self._folder is None:
            return None
        descriptor = os.open(self._folder / _LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while True:
                with suppress(OSError):
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return descriptor
                await asyncio.sleep(EVERY_S)
        except BaseException:
            os.close(descriptor)
            raise


def _add(counts: dict[str, float], name: str, value: float) -> None:
    counts[name] = counts.get(name, 0.0) + value
