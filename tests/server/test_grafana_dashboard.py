"""The Grafana dashboard asks for metrics and labels that the server really has."""

import json
import re
from pathlib import Path

from server.metrics import Metrics

DASHBOARD = Path(__file__).resolve().parents[2] / "docs" / "grafana-dashboard.json"


def list_series() -> dict[str, set[str]]:
    """Labels by the name of each series, of a server that has counted everything once."""
    metrics = Metrics()
    metrics.observe_request("PUT", "/api/chunks/upload", 200, 0.1, "overloaded")
    metrics.count_receipt(size=1, is_new=True)
    metrics.observe_bucket("put", "pack", 0.1, has_answered=False)
    metrics.set_waiting(byte_count=1, body_count=1)
    metrics.set_flushes_in_flight(1)
    metrics.set_matched(is_matched=True)
    found: dict[str, set[str]] = {}
    for family in metrics.collect():
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def test_every_panel_asks_for_what_there_is() -> None:
    series = list_series()
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len(panels) > 8
    for panel in panels:
        for target in panel["targets"]:
            names = re.findall(r"\bholdfast_\w+", target["expr"])
            assert names, panel["title"]
            for name in names:
                assert name in series, f"{panel['title']}: there is no {name}"
                labels = re.findall(r"by \(([^)]*)\)", target["expr"]) + re.findall(r"(\w+)=~?\"", target["expr"])
                asked = {label.strip() for group in labels for label in group.split(",")}
                assert asked <= series[name], f"{panel['title']}: {name} has no {asked - series[name]}"


def test_the_acknowledgements_it_times_are_routes_that_answer() -> None:
    from server.ops.history import _ACK_ROUTES

    expression = next(
        target["expr"]
        for panel in json.loads(DASHBOARD.read_text())["panels"]
        for target in panel["targets"]
        if "histogram_quantile" in target["expr"] and "route" in target["expr"]
    )
    pattern = re.search(r'route=~"([^"]+)"', expression)
    assert pattern is not None
    assert all(re.fullmatch(pattern[1], route) for route in _ACK_ROUTES)
