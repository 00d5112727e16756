"""Draws the newest results of `make bench-growth` as SVG for docs/: throughput above, latency below.

  python -m loadtest.plot_growth

By hand, because two small charts are not worth a library of drawing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
RESULTS: Final = ROOT / "loadtest" / "results"
IMAGES: Final = ROOT / "docs" / "images"

_WIDTH, _HEIGHT = 720, 280  # of one chart
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 150, 40, 45  # what is around its area
_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")  # told apart by colour-blind people too
_STYLE: Final = (
    "<style>text{font:13px system-ui,sans-serif;fill:#333}.title{font-weight:600}.grid{stroke:#ddd}"
    "@media(prefers-color-scheme:dark){text{fill:#ddd}.grid{stroke:#444}}</style>"
)


@dataclass(frozen=True)
class Line:
    """One line of a chart: (x, y) in order of x."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Axis:
    """Where the values of one direction lie between 0 and 1."""

    ticks: Sequence[tuple[float, str]]  # value and what is written there
    low: float
    high: float
    is_log: bool = False

    def place(self, value: float) -> float:
        """From 0, the lowest, to 1, the highest."""
        if self.is_log:
            return (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return (value - self.low) / (self.high - self.low)


def read_table(page: str) -> list[dict[str, float]]:
    """The rows of a result's table, its columns by name."""
    lines = [line.strip("| \n").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    return [{name: float(cell) for name, cell in zip(lines[0], cells, strict=True)} for cells in lines[1:]]


def draw_chart(title: str, x_name: str, x_axis: Axis, lines: Sequence[Line], top: float) -> str:
    """One chart as SVG elements, `top` below the picture's upper edge."""
    y_axis = _rule(max(y for line in lines for _, y in line.points))
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    drawn = [f'<text class="title" x="{_LEFT}" y="{top + 22}">{title}</text>']
    for value, label in y_axis.ticks:
        y = top + _TOP + height * (1 - y_axis.place(value))
        drawn.append(f'<line class="grid" x1="{_LEFT}" x2="{_LEFT + width}" y1="{y:.1f}" y2="{y:.1f}"/>')
        drawn.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    for value, label in x_axis.ticks:
        x = _LEFT + width * x_axis.place(value)
        drawn.append(f'<text x="{x:.1f}" y="{top + _TOP + height + 18}" text-anchor="middle">{label}</text>')
    middle = _LEFT + width / 2
    drawn.append(f'<text x="{middle}" y="{top + _TOP + height + 38}" text-anchor="middle">{x_name}</text>')
    labels_at: list[float] = []
    for line, colour in zip(lines, _COLOURS, strict=False):
        places = [
            (_LEFT + width * x_axis.place(x), top + _TOP + height * (1 - y_axis.place(y))) for x, y in line.points
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        drawn += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in places]
        label_y = places[-1][1] + 4
        while any(abs(label_y - other) < 15 for other in labels_at):
            label_y -= 15
        labels_at.append(label_y)
        drawn.append(f'<text x="{places[-1][0] + 10:.1f}" y="{label_y:.1f}" style="fill:{colour}">{line.name}</text>')
    return "\n".join(drawn)


def draw_page(alternative: str, charts: Sequence[tuple[str, str, Axis, Sequence[Line]]]) -> str:
    """A whole SVG of charts one below the other."""
    body = "\n".join(draw_chart(*chart, top=n * _HEIGHT) for n, chart in enumerate(charts))
    height = _HEIGHT * len(charts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
        f' role="img" aria-label="{alternative}">\n{_STYLE}\n{body}\n</svg>\n'
    )


def draw_ledger(page: str) -> str:
    """Throughput and p99 against the ledger's size, a line for each number of connections."""
    rows = read_table(page)
    sizes = sorted({row["rows before"] for row in rows})
    axis = Axis([(size, f"{size / 1e6:g} million" if size else "0") for size in sizes], 0, sizes[-1])
    kinds = sorted({row["connections"] for row in rows}, reverse=True)

    def lines(column: str) -> list[Line]:
        return [
            Line(
                f"{kind:,.0f} connection{'s' if kind > 1 else ''}",
                [(row["rows before"], row[column]) for row in rows if row["connections"] == kind],
            )
            for kind in kinds
        ]

    return draw_page(
        "Acknowledgements a second and p99 against rows in the ledger",
        [
            ("Acknowledgements a second", "rows in the ledger", axis, lines("acks/s")),
            ("p99, ms", "rows in the ledger", axis, lines("p99")),
        ],
    )


def draw_connections(page: str) -> str:
    """Throughput and latency against the number of connections."""
    rows = read_table(page)
    numbers = [row["connections"] for row in rows]
    axis = Axis([(number, f"{number:.0f}") for number in numbers], numbers[0], numbers[-1], is_log=True)

    def line(column: str, name: str) -> Line:
        return Line(name, [(row["connections"], row[column]) for row in rows])

    return draw_page(
        "Acknowledgements a second and latency against connections",
        [
            ("Acknowledgements a second", "connections", axis, [line("acks/s", "1 KB chunks")]),
            ("Latency, ms", "connections", axis, [line("p99", "p99"), line("p50", "p50")]),
        ],
    )


def _rule(highest: float) -> Axis:
    """From 0 to a round number above the highest, in four to six steps."""
    step = 10 ** math.floor(math.log10(highest / 4))
    for factor in (1, 2, 5, 10):
        if step * factor * 5 >= highest:
            step *= factor
            break
    count = math.ceil(highest / step)
    return Axis([(n * step, f"{n * step:,g}") for n in range(count + 1)], 0, count * step)


def draw_all() -> None:
    """Both pictures from the newest results, where there are some."""
    for name, draw in (("growth-ledger", draw_ledger), ("growth-connections", draw_connections)):
        found = sorted(RESULTS.glob(f"*-{name}.md"))
        if found:
            (IMAGES / f"{name}.svg").write_text(draw(found[-1].read_text()))
            print(f"docs/images/{name}.svg shows {found[-1].relative_to(ROOT)}")


if __name__ == "__main__":
    draw_all()
