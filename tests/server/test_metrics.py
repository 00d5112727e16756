"""Counting in a worker's own memory first must give the figures that counting each answer gives."""

from prometheus_client import CollectorRegistry, Histogram, generate_latest

from server import metrics
from server.metrics import Metrics

# In, on and beyond the buckets' bounds.
_SECONDS = [0.0, 0.001, 0.002, 0.0021, 0.5, 19.9, 20.0, 21.0, 3600.0]


def lines_of(text: bytes, name: str) -> list[str]:
    return sorted(line for line in text.decode().splitlines() if line.startswith(name) and "_created" not in line)


def test_many_observations_at_once_are_the_same_histogram() -> None:
    counted = Metrics()
    for seconds in _SECONDS:
        counted.observe_request("GET", "/x", 200, seconds, None)
    registry = CollectorRegistry()
    single = Histogram(
        "holdfast_http_request_seconds", "", ["method", "route"], buckets=metrics._SECONDS, registry=registry
    )
    for seconds in _SECONDS:
        single.labels("GET", "/x").observe(seconds)
    name = "holdfast_http_request_seconds"
    assert lines_of(counted.render(), name) == lines_of(generate_latest(registry), name)


def test_nothing_is_counted_twice_or_forgotten() -> None:
    counted = Metrics()
    counted.observe_request("PUT", "/x", 503, 0.1, "overloaded")
    counted.count_receipt(size=10, is_new=True)
    counted.write_down()
    counted.write_down()
    counted.observe_request("PUT", "/x", 503, 0.1, "overloaded")
    counted.count_receipt(size=10, is_new=False)
    text = counted.render().decode()
    assert 'holdfast_http_requests_total{method="PUT",route="/x",status="503"} 2.0' in text
    assert 'holdfast_problems_total{code="overloaded"} 2.0' in text
    assert 'holdfast_chunks_acknowledged_total{kind="new"} 1.0' in text
    assert 'holdfast_chunks_acknowledged_total{kind="again"} 1.0' in text
    assert "holdfast_chunk_bytes_acknowledged_total 10.0" in text
