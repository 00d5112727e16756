"""What the server counts, for Prometheus; with several workers all of them together.

The workers of one server share a directory (PROMETHEUS_MULTIPROC_DIR, set by the supervisor before
they start), so that any of them answers for all.
"""

import os
from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector

# From a warm acknowledgement (a few ms) to the deadline of ingest (20 s).
_SECONDS: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)

# Where the workers of one server count together.
SHARED_FOLDER_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"

METRICS_CONTENT_TYPE: Final = CONTENT_TYPE_LATEST


class Metrics:
    """One process's counters."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self._registry = registry
        self._requests = Counter(
            "holdfast_http_requests",
            "Answers by method, route and status.",
            ["method", "route", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "holdfast_http_request_seconds",
            "From the request's head to its answer.",
            ["method", "route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._problems = Counter("holdfast_problems", "Refusals by code.", ["code"], registry=registry)
        self._chunks = Counter(
            "holdfast_chunks_acknowledged", "Receipts: new, or the same again.", ["kind"], registry=registry
        )
        self._bytes = Counter(
            "holdfast_chunk_bytes_acknowledged", "Bytes of newly acknowledged chunks.", registry=registry
        )
        self._bucket_seconds = Histogram(
            "holdfast_bucket_seconds",
            "Calls to the bucket, by what the object is: pack, chunk, other.",
            ["call", "what"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._bucket_errors = Counter(
            "holdfast_bucket_errors", "Calls that the bucket did not answer as it should.", ["call"], registry=registry
        )
        self._flush_seconds = Histogram(
            "holdfast_flush_seconds",
            "The ledger's steps of a flush: look-up, acknowledge. Its PUT is in holdfast_bucket_seconds.",
            ["step"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._flush_chunks = Histogram(
            "holdfast_flush_chunks",
            "Chunks that shared a transaction.",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024),
            registry=registry,
        )
        self._flushes = Gauge(
            "holdfast_flushes_in_flight",
            "Packs and large chunks on their way into bucket and ledger.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._waiting_bytes = Gauge(
            "holdfast_waiting_bytes", "Bytes of bodies held in memory.", registry=registry, multiprocess_mode="livesum"
        )
        self._waiting_bodies = Gauge(
            "holdfast_waiting_bodies", "Bodies held in memory.", registry=registry, multiprocess_mode="livesum"
        )
        self._findings = Gauge(
            "holdfast_findings_unresolved",
            "Differences between bucket and ledger that are not settled.",
            ["kind"],
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self._wanted = Gauge(
            "holdfast_chunks_wanted",
            "Chunks that the bucket lost and that are asked for again.",
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self._pass_age = Gauge(
            "holdfast_pass_age_seconds",
            "Since the last whole audit or scrub.",
            ["pass"],
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self._pass_seconds = Gauge(
            "holdfast_pass_duration_seconds",
            "How long the last whole audit or scrub worked.",
            ["pass"],
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self._is_matched = Gauge(
            "holdfast_installation_matched",
            "1: bucket and ledger belong together.",
            registry=registry,
            multiprocess_mode="livemin",
        )

    def observe_request(self, method: str, route: str, status: int, seconds: float, problem: str | None) -> None:
        """Count one answer; `problem` is its code where it was a refusal."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)
        if problem is not None:
            self._problems.labels(problem).inc()

    def count_receipt(self, *, size: int, is_new: bool) -> None:
        """Count one receipt for a chunk of `size` bytes."""
        self._chunks.labels("new" if is_new else "again").inc()
        if is_new:
            self._bytes.inc(size)

    def observe_bucket(self, call: str, what: str, seconds: float, has_answered: bool) -> None:
        """Count one call to the bucket."""
        self._bucket_seconds.labels(call, what).observe(seconds)
        if not has_answered:
            self._bucket_errors.labels(call).inc()

    def observe_flush(self, step: str, seconds: float, chunk_count: int) -> None:
        """Count one step of one flush."""
        self._flush_seconds.labels(step).observe(seconds)
        if step == "acknowledge":
            self._flush_chunks.observe(chunk_count)

    def set_flushes_in_flight(self, count: int) -> None:
        """How many flushes this process has begun and not ended at this moment."""
        self._flushes.set(count)

    def set_waiting(self, *, byte_count: int, body_count: int) -> None:
        """How much this process holds at this moment."""
        self._waiting_bytes.set(byte_count)
        self._waiting_bodies.set(body_count)

    def set_matched(self, is_matched: bool) -> None:
        """What the last comparison of bucket and ledger said."""
        self._is_matched.set(1 if is_matched else 0)

    def set_findings(self, kind: str, count: int) -> None:
        """How many findings of the kind are unresolved."""
        self._findings.labels(kind).set(count)

    def set_wanted(self, count: int) -> None:
        """How many chunks are asked for again."""
        self._wanted.set(count)

    def set_pass(self, kind: str, age_s: float, duration_s: float) -> None:
        """When the last audit or scrub ended, and how long it worked."""
        self._pass_age.labels(kind).set(age_s)
        self._pass_seconds.labels(kind).set(duration_s)

    def render(self) -> bytes:
        """Prometheus' text for all workers."""
        return generate_latest(self._all_workers())

    def collect(self) -> Iterable[Metric]:
        """The same, to be read here."""
        return self._all_workers().collect()

    def _all_workers(self) -> CollectorRegistry:
        if SHARED_FOLDER_VARIABLE not in os.environ:
            return self._registry
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return together
