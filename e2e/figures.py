"""Figures that stories measure: printed at the end of the run, never asserted; other work may share the machine."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

PROPERTY = "figure"


@dataclass(frozen=True)
class Figures:
    """What a story notes; it travels with the story's report, also from another process."""

    record_property: Callable[[str, object], None]

    def note(self, what: str, value: str, *, goal: str = "") -> None:
        """One line of the summary."""
        self.record_property(PROPERTY, f"{what}: {value}" + (f"  (goal: {goal})" if goal else ""))


def lines_of(reports: Iterable[Any]) -> list[str]:
    """The figures of all reports, in order."""
    return [value for report in reports for name, value in getattr(report, "user_properties", []) if name == PROPERTY]
