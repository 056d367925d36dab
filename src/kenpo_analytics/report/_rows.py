"""What does a figure draw for one row? Its name, its numbers where they may be shown, else the mark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kenpo_analytics.disclosure import Checked
from kenpo_analytics.errors import ParameterError
from kenpo_analytics.report._format import MARKS, Style, names_of, number


@dataclass(frozen=True)
class Row:
    """One row: key (as in the table), name, the numbers (None: not shown) and, if the first is not shown, why."""

    key: str
    name: str
    numbers: dict[str, float | None]
    mark: str

    def __getitem__(self, name: str) -> float:
        value = self.numbers[name]
        assert value is not None
        return value

    def has(self, *names: str) -> bool:
        """Are all of these shown?"""
        return all(self.numbers.get(name) is not None for name in names)


def rows_of(checked: Checked, label: str, values: Sequence[str], names: Mapping[str, str] | None = None) -> list[Row]:
    """The rows of a checked table as a figure needs them. The first of `values` decides the mark."""
    table, states = checked.table, checked.states
    if unknown := [name for name in (label, *values) if name not in table.columns]:
        raise ParameterError(f"表にない列です: {', '.join(unknown)}", hint=f"列: {', '.join(table.columns)}")
    meaning = names or names_of(label) or {}
    found = []
    for row, state in zip(table.to_dicts(), states.to_dicts(), strict=True):
        key = "" if row[label] is None else str(row[label])
        numbers = {name: _float(row[name]) for name in values}
        mark = "" if numbers[values[0]] is not None else MARKS.get(state[values[0]], MARKS["missing"])
        found.append(Row(key, meaning.get(key, key), numbers, mark))
    if not found:
        raise ParameterError("図に描く行がありません。", hint="絞り込みの条件を確かめてください。")
    return found


def _float(value: Any) -> float | None:
    return None if value is None else float(value)


def extremes(rows: Sequence[Row], value: str, style: Style) -> str:
    """ "最大は名張市 +0.310、最小は…" for a text alternative."""
    shown = sorted((row for row in rows if row.has(value)), key=lambda row: row[value])
    hidden = len(rows) - len(shown)
    note = f"表示しない項目{hidden}。" if hidden else ""
    if not shown:
        return f"表示できる値がありません。{note}"
    low, high = shown[0], shown[-1]
    text = f"最大は{high.name}の{number(high[value], style)}、最小は{low.name}の{number(low[value], style)}。"
    return text + note
