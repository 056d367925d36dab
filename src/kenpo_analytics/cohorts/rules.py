"""Does a value meet a dated definition? One expression, right also when the definition changes within the year."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import narwhals as nw

from kenpo_analytics.definitions import Definition, Definitions
from kenpo_analytics.errors import DefinitionError
from kenpo_analytics.frames import sure
from kenpo_analytics.months import month_index
from kenpo_analytics.tables import CHECKUPS

OPS: dict[str, Callable[[Any, Any], Any]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
    "=": operator.eq,
}


def meets(used: Definitions, id: str, value: nw.Expr, clock: nw.Expr, first: int, last: int) -> nw.Expr:
    """Is the value on the asked side of the definition in force at its clock month? Never null; null values: no.

    Parameters
    ----------
    used, id
        The definitions and the id of the threshold.
    value
        The measured value.
    clock
        Month index on the definition's clock (checkup month, letter month, April of the KPI year).
    first, last
        Month indices between which `clock` lies: versions outside are left out, and a version that covers all of it
        needs no date comparison.
    """
    conditions = [_in_version(row, value, clock, first, last) for row in _relevant(used, id, first, last)]
    if not conditions:
        return sure(value < value)  # no version in force then: nobody meets it
    return nw.any_horizontal(*conditions, ignore_nulls=False) if len(conditions) > 1 else conditions[0]


def _relevant(used: Definitions, id: str, first: int, last: int) -> list[Definition]:
    return [row for row in used.versions(id) if _start(row) <= last and _end(row) > first]


def _in_version(row: Definition, value: nw.Expr, clock: nw.Expr, first: int, last: int) -> nw.Expr:
    if isinstance(row.value, str):
        raise DefinitionError(f"定義「{row.id}」は数値ではありません: 「{row.value}」")
    condition = OPS[row.op](value, row.value)
    if _start(row) > first:
        condition = condition & (clock >= _start(row))
    if _end(row) <= last:
        condition = condition & (clock < _end(row))
    return sure(condition)


def _start(row: Definition) -> int:
    return month_index(row.valid_from) if row.valid_from else 0


def _end(row: Definition) -> int:
    return month_index(row.valid_to) if row.valid_to else 10**6


def usable_fpg(used: Definitions, fasting: nw.Expr) -> nw.Expr:
    """May this row's FPG count as fasting? At least 10 hours, or (switch, 仮定) the sampling time is missing.

    Source: 標準的な健診・保健指導プログラム(令和6年度版): 絶食10時間以上.
    """
    unconfirmed = used.text("fasting.unconfirmed")
    if unconfirmed not in ("use", "drop"):
        raise DefinitionError(f"定義「fasting.unconfirmed」は use か drop です: 「{unconfirmed}」")
    confirmed = sure(fasting == "fasting")
    return confirmed | fasting.is_null() if unconfirmed == "use" else confirmed


def plausible(value: nw.Expr, column: str) -> nw.Expr:
    """The value where it lies in the plausible range of its column, null elsewhere.

    A glucose of 5.6 is mmol/L, an HbA1c of 56 lacks its point: used as they stand they would count as normal or as
    diabetes. Such values are not corrected by a guess either; `implausible` counts them.
    """
    return nw.when(~_outside(value, column)).then(value)


def implausible(*values: tuple[nw.Expr, str]) -> nw.Expr:
    """Is any of these (value, column) outside its plausible range? Never null."""
    return nw.any_horizontal(*(_outside(value, column) for value, column in values), ignore_nulls=False)


def _outside(value: nw.Expr, column: str) -> nw.Expr:
    declared = next(item for item in CHECKUPS.columns if item.name == column)
    return sure((value < declared.low) | (value > declared.high))
