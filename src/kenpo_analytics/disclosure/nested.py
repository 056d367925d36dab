"""Which counts of overlapping groups differ by so few people that the difference is a small group itself?"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import polars as pl

from kenpo_analytics.disclosure.roles import Roles
from kenpo_analytics.disclosure.suppress import SECONDARY, SHOWN, Cells, Sum


def too_close(value: float, shown: Collection[float], floor: float) -> bool:
    """Would this number beside the shown ones leave 1 to `floor - 1` people as a difference?"""
    return any(1 <= abs(value - other) < floor for other in shown)


def nested_sums(cells: Cells, frame: pl.DataFrame, roles: Roles, name: str, main: Mapping[str, Any]) -> list[Sum]:
    """Mask rows too close to a shown one (the main row first); the sums that keep what is masked from coming back."""
    found = []
    for rows in _families(frame, roles, main):
        rows = [row for row in rows if frame[name][row] is not None]
        shown: list[int] = []
        for row in rows:
            cell = roles.grid[row, name]
            near = [cells.values[other] for other in shown]
            if cells.mask[cell] == SHOWN and too_close(cells.values[cell], near, cells.floors[cell]):
                cells.mask[cell] = SECONDARY
            if cells.mask[cell] == SHOWN:
                shown.append(cell)
        for row in rows[1:]:
            found.append(_difference(cells, roles.grid[rows[0], name], roles.grid[row, name], name))
    return found


def _families(frame: pl.DataFrame, roles: Roles, main: Mapping[str, Any]) -> list[list[int]]:
    """Rows that share all other keys; those with more of the main labels come first, then by their labels."""
    others = [key for key in roles.by if key not in main]
    families: dict[tuple[Any, ...], list[int]] = {}
    for row in range(frame.height):
        families.setdefault(tuple(frame[key][row] for key in others), []).append(row)

    def rank(row: int) -> tuple[int, list[str]]:
        return -sum(frame[key][row] == label for key, label in main.items()), [str(frame[key][row]) for key in main]

    return [sorted(rows, key=rank) for rows in families.values()]


def _difference(cells: Cells, main: int, other: int, name: str) -> Sum:
    """The larger of two counts is the smaller and the people between them, who must not come out."""
    small, large = sorted((main, other), key=lambda cell: (cells.values[cell], cell))
    gap = cells.values[large] - cells.values[small]
    rest = cells.add(gap, cells.floors[other], ("", name, "nested"), rest=True)
    return Sum(large, (small, rest))
