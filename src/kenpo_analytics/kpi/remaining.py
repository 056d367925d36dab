"""How many are still needed? People to the target and to the national mean, by remaining month (あと何人)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from kenpo_analytics.definitions.kpi import Kpi
from kenpo_analytics.kpi.development import LAST, Years
from kenpo_analytics.kpi.readings import Reading

_CLOSE = 1e-9


def remaining(
    item: Kpi, row: dict[str, Any], held: Sequence[Reading], years: Years, position: int
) -> dict[str, int | None]:
    """Remaining months after the row's month, and for shares of people over a fixed base the people still needed.

    needed, per_month (to the target), needed_national, per_month_national (to the nation's last full year), and
    pace_last_year: people a month in the same remaining months of the last complete year. The base is the row's
    denominator. Null where it is no such share, or where there is no target or no national value.
    """
    left = LAST - position
    found: dict[str, int | None] = {"remaining": left}
    if item.accumulates != "base" or item.counts != "people" or not left:
        return found
    for reference, name in (("target", ""), ("national", "_national")):
        if row[reference] is not None:
            people = max(0, math.ceil(row[reference] * row["denominator"] - row["numerator"] - _CLOSE))
            found |= {f"needed{name}": people, f"per_month{name}": math.ceil(people / left)}
    return found | {"pace_last_year": _pace(row, held, max(years, default=None), left)}


def _pace(row: dict[str, Any], held: Sequence[Reading], year: int | None, left: int) -> int | None:
    if year is None:
        return None
    back = (row["fiscal_year"] - year) * 100
    taken = {r.month: r.numerator for r in held if r.version == row["definition_version"]}
    return round((taken[(year + 1) * 100 + 3] - taken[row["month"] - back]) / left)
