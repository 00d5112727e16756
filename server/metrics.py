"""What the server counts, for Prometheus; with several workers all of them together.

The workers of one server share a directory (PROMETHEUS_MULTIPROC_DIR, set by the supervisor before
they start), so that any of them answers for all.
"""

import os
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
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


@dataclass(slots=True)
class _Noted:
    """Answers of one kind since they were last written down: how many in each bucket of _SECONDS, and their sum."""

    in_bucket: list[int]
    seconds: float = 0.0


class Metrics:
    """One process's counters."""

    def __init__(self) -> None:
        self._noted: dict[tuple[str, str, int, str | None], _Noted] = {}
        self._new_receipts = self._repeated_receipts = self._new_bytes = 0
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
            "The ledger's steps of a flush: look-up; acknowledge, once its object is stored (holdfast_bucket_seconds).",
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
            "Since the last whole audit, scrub or collect.",
            ["pass"],
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self._pass_seconds = Gauge(
            "holdfast_pass_duration_seconds",
            "How long the last whole audit, scrub or collect worked.",
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
        """Note one answer; `problem` is its code where it was a refusal."""
        noted = self._noted.get((method, route, status, problem))
        if noted is None:
            noted = self._noted[method, route, status, problem] = _Noted([0] * (len(_SECONDS) + 1))
        noted.in_bucket[bisect_left(_SECONDS, seconds)] += 1
        noted.seconds += seconds

    def count_receipt(self, *, size: int, is_new: bool) -> None:
        """Note one receipt for a chunk of `size` bytes."""
        if is_new:
            self._new_receipts += 1
            self._new_bytes += size
        else:
            self._repeated_receipts += 1

    def write_down(self) -> None:
        """Add what was noted since the last time to the counters that the workers share.

        A labelled counter in shared memory costs microseconds; once a second instead of once a request they are
        nothing. A killed worker takes its last second's counts with it.
        """
        noted, self._noted = self._noted, {}
        for (method, route, status, problem), answers in noted.items():
            count = sum(answers.in_bucket)
            self._requests.labels(method, route, str(status)).inc(count)
            if problem is not None:
                self._problems.labels(problem).inc(count)
            _add_to_histogram(self._seconds.labels(method, route), answers)
        self._chunks.labels("new").inc(self._new_receipts)
        self._chunks.labels("again").inc(self._repeated_receipts)
        self._bytes.inc(self._new_bytes)
        self._new_receipts = self._repeated_receipts = self._new_bytes = 0

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
        self.write_down()
        if SHARED_FOLDER_VARIABLE not in os.environ:
            return self._registry
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return together


def _add_to_histogram(histogram: Histogram, noted: _Noted) -> None:
    """Many observations at once, which the library has no call for; a test compares it with single ones."""
    for bucket, count in zip(histogram._buckets, noted.in_bucket, strict=True):
        if count:
            bucket.inc(count)
    histogram._sum.inc(noted.seconds)
