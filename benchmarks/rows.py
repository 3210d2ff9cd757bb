"""Rows of the tables on costs: values of several rounds, beside what is aimed at."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import NamedTuple


class Row(NamedTuple):
    """One line of the table: values of rounds, what is aimed at, and what was measured."""

    what: str
    values: list[float]
    aim: str
    beside: str
    unit: str = "ratio"

    def line(self) -> str:
        spread = f"{_number(min(self.values))} – {_number(max(self.values))}" if len(self.values) > 1 else "–"
        return f"| {self.what} | {_number(statistics.median(self.values))} | {spread} | {self.aim} | {self.beside} |"


def _number(value: float) -> str:
    return f"{value:.2f}" if value < 100 else f"{value:,.0f}"


class Asked(NamedTuple):
    rounds: int
    image: Path | None
    tree: Path | None
    folder: Path


def in_seconds(of: list[float]) -> str:
    return f"{statistics.median(of):.2f} s"
