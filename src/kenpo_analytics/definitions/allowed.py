"""Which values can a definition take? Listed or bounded beside each value, else the range of the checkup's column."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from kenpo_analytics.errors import DefinitionError
from kenpo_analytics.tables import CHECKUPS

if TYPE_CHECKING:
    from kenpo_analytics.definitions.registry import Definition

COUNTED = ("か月", "日", "歳", "領域", "件", "機関", "支部")
ORDERED = ((".lower", ".upper"), (".min_months", ".max_months"))
_INTERVAL = re.compile(r"([\[(])(.+)\.\.(.+)\]")
_RANGES = {column.name: (column.low, column.high) for column in CHECKUPS.columns}


def told(row: Definition) -> str:
    """Which values can it take, in the reader's words? `or / and`, `20～1000`, `0より大きく1以下`."""
    bounds = _bounds(row)
    if bounds is None:
        return row.values.replace("|", " / ")
    low, high, open_below = bounds
    span = f"{low:g}より大きく{high:g}以下" if open_below else f"{low:g}～{high:g}"
    return f"{span}の整数" if row.unit in COUNTED else span


def refuse_impossible(rows: Iterable[Definition], given: Mapping[str, object]) -> None:
    """Can every value in `rows` that was `given` be, alone and beside the bound it belongs to?

    Raises
    ------
    DefinitionError
        Not one of the listed values, out of range, not a whole number of months, days, years or domains, or a lower
        bound that is not below its upper bound.
    """
    used = {row.id: row for row in rows}
    for row in (row for row in used.values() if row.id in given):
        if not _fits(row):
            raise DefinitionError(
                f"定義「{row.id}」の値「{_plain(row)}」は使えません(使える値: {told(row)})",
                hint="docs/definitions.md の「使える値」を見てください。",
            )
        for below, above in ORDERED:
            stem = row.id.removesuffix(below).removesuffix(above)
            low, high = used.get(stem + below), used.get(stem + above)
            if low and high and not low.value < high.value:  # type: ignore[operator]  # both are numbers
                raise DefinitionError(
                    f"定義「{low.id}」の値「{_plain(low)}」は「{high.id}」の値「{_plain(high)}」より小さくします",
                    hint="両方の値を kenpo.toml か overrides で合わせてください。",
                )


def _fits(row: Definition) -> bool:
    bounds = _bounds(row)
    if bounds is None:
        return _plain(row) in row.values.split("|")
    (low, high, open_below), value = bounds, float(row.value)
    whole = row.unit not in COUNTED or value.is_integer()
    return whole and low <= value <= high and not (open_below and value == low)


def _bounds(row: Definition) -> tuple[float, float, bool] | None:
    """Lowest and highest value, and whether the lowest itself is out; None where the values are listed."""
    if found := _INTERVAL.fullmatch(row.values):
        return float(found[2]), float(found[3]), found[1] == "("
    if row.values:
        return None
    low, high = _RANGES[row.item]
    assert low is not None and high is not None  # a test holds this for every packaged row
    return low, high, False


def _plain(row: Definition) -> str:
    return row.value if isinstance(row.value, str) else f"{row.value:.10g}"
